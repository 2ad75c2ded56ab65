/*
 * What a job of another party uses here must have been granted to it (auth.permission): the
 * components of this site's part, the tables its reader tasks and data_warehouse inputs name, and
 * only its own earlier jobs and models.
 */
#ifndef NORN_PARTY_PERMIT_H
#define NORN_PARTY_PERMIT_H

#include "store/node.h"

/* Adds the check of a party's part of a job (party_create_payload) to the batch that creates it:
 * the whole batch fails with 5005 when something was not granted. Adds nothing when auth.permission
 * is off or the job is this site's own. */
void permit_add(const struct node *n, struct db_batch *b, const json_t *payload);

#endif
