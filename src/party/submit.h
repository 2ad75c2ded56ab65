/*
 * Submitting a job: everything that can be checked is checked before anything is written, then one
 * transaction writes the job, its tasks, what its parties of this site keep, and the commands to
 * the others; the answer comes when all parties have accepted. A job whose scheduler party another
 * site serves is handed over to it.
 */
#ifndef NORN_PARTY_SUBMIT_H
#define NORN_PARTY_SUBMIT_H

#include "net/http.h"
#include "store/node.h"

struct submit_opts {
	const char *user_name;       /* NULL: none */
	const char *idempotency_key; /* NULL: none */
	const char *actor;           /* stands in the history; NULL: "client" */
	bool plan;                   /* only say what would run where */
	bool as_scheduler; /* asked by the initiator's site: the initiator stays as it is, and
			    * the job is not handed on */
};

/* answer: a new reference to the whole envelope, as /v2/job/submit sends it. Called once, perhaps
 * from inside submit_job(). */
typedef void submit_cb(json_t *answer, void *arg);

/* root {dag, schema_version, kind} is compiled where it stands: the caller keeps its reference, but
 * may not read it afterwards. opts are copied. */
void submit_job(struct node *n, json_t *root, const struct submit_opts *opts, submit_cb *cb,
		void *arg);

/* POST /v2/scheduler/job/create of another site: body {dag, schema_version, kind} and optional
 * user_name, idempotency_key, plan. The caller must speak for the initiator. */
void submit_handle_scheduler_create(struct http_req *r, void *arg);
extern const struct http_doc submit_scheduler_doc;

#endif
