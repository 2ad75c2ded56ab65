/*
 * The receiving end of the protocol between sites: /v2/partner/... (commands of a job's scheduler
 * to a party) and /v2/scheduler/... (reports of parties to the scheduler). Served with mutual TLS
 * only. A command is obeyed only from a certificate that names the job's scheduler party; a report
 * only from one that names the reporting party.
 */
#ifndef NORN_PARTY_PARTNER_H
#define NORN_PARTY_PARTNER_H

#include "net/http.h"

extern const struct http_route partner_routes[];
extern const size_t partner_n_routes;
extern const struct http_route scheduler_routes[];
extern const size_t scheduler_n_routes;

#endif
