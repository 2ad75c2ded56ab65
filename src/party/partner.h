/*
 * The receiving end of the protocol between sites: /v2/partner/... (commands of a job's scheduler
 * to a party) and /v2/scheduler/... (reports of parties to the scheduler). Served with mutual TLS
 * only. A command is obeyed only from a certificate that names the job's scheduler party; a report
 * only from one that names the reporting party.
 */
#ifndef NORN_PARTY_PARTNER_H
#define NORN_PARTY_PARTNER_H

#include "db/db.h"
#include "net/http.h"
#include <jansson.h>

/* Adds the statement that refuses a message which comes behind a later one (X-Norn-Key is its
 * number), and a caller that does not speak for the job's scheduler. It must be of one batch with
 * what the message asks for. p: job_id, role, party_id. */
void partner_add_message(struct http_req *r, const json_t *p, struct db_batch *b);
/* Binds whom the caller speaks for, as an array. */
void partner_bind_caller(struct http_req *r, struct db_batch *b);

extern const struct http_route partner_routes[];
extern const size_t partner_n_routes;
extern const struct http_route scheduler_routes[];
extern const size_t scheduler_n_routes;

#endif
