/*
 * Stopping a job from any site that takes part: carried out by this site when it schedules the job,
 * else asked of the site that does; when that one cannot be reached, the wish is kept and sent
 * until it can.
 */
#ifndef NORN_PARTY_STOP_H
#define NORN_PARTY_STOP_H

#include "base/err.h"
#include "store/node.h"

/* e NULL: it is ordered, or the job had ended already. */
typedef void stop_cb(const struct err *e, void *arg);

/* actor stands in the history. cb is called once. */
void stop_job(struct node *n, const char *job_id, const char *actor, stop_cb *cb, void *arg);

#endif
