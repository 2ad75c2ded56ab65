/*
 * What is asked of a job that this site schedules, after it was submitted: run it again, with other
 * parameters if wanted, suspend it, resume it; and the command by which its parties run it again.
 */
#ifndef NORN_PARTY_CONTROL_H
#define NORN_PARTY_CONTROL_H

#include "net/http.h"
#include "store/node.h"

enum control_what { CONTROL_RERUN, CONTROL_SUSPEND, CONTROL_RESUME };

struct control_opts {
	enum control_what what;
	const char *job_id;
	const char *actor;
	bool all;           /* rerun: every task; else those that have not succeeded */
	const char *from;   /* rerun: besides, this task and all behind it; NULL */
	json_t *parameters; /* rerun: {task: {parameter: value}} laid over the definition's; NULL,
			       borrowed */
};

/* answer: a new reference to the whole envelope; NULL: this site does not schedule the job. Called
 * once. */
typedef void control_cb(json_t *answer, void *arg);
void control_job(struct node *n, const struct control_opts *opts, control_cb *cb, void *arg);

/* POST /v2/partner/job/rerun. */
void control_handle_partner_rerun(struct http_req *r, void *arg);
extern const struct http_doc control_rerun_doc;
/* POST /v2/scheduler/job/rerun, suspend and resume: only for the site of the job's initiator. */
void control_handle_scheduler(struct http_req *r, void *arg);
extern const struct http_doc control_scheduler_doc;

#endif
