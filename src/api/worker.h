/*
 * The tokens of tasks: what a component shows its own site to speak for its task, for as long as it
 * runs. As "Authorization: Bearer TOKEN", or in the URL as ?token=TOKEN for components that are
 * only given a URL. The database knows their hashes.
 */
#ifndef NORN_API_WORKER_H
#define NORN_API_WORKER_H

#include "auth/request.h"

/* Whether the call may speak for the task whose token has this SHA-256 (hex). With auth.worker off,
 * a call from this machine without any token may. Answers 5003 and returns false if not. */
MUST_CHECK bool worker_token_fits(struct http_req *r, const char *hash);
/* Calls go when the call brings the token of any task that runs at this site; else answers 5003. */
void worker_reads(struct http_req *r, void (*go)(struct http_req *r));

/* For http_server_opts.admit: whether the body may come. The channel and saved models want their
 * token first, all other calls when the body is large or of unknown length. False: refused, or let
 * in later. True for the routes of clients. */
MUST_CHECK bool worker_admit(struct http_req *r, const struct http_route *route);

void worker_model_save(struct http_req *r, void *arg); /* worker_model.c */
extern const struct http_doc worker_model_doc;

#endif
