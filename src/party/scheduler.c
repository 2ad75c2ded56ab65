/* Reports of parties to the scheduler of their job, and wishes of other sites. */
#include "auth/request.h"
#include "base/js.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/control.h"
#include "party/partner.h"
#include "party/peer.h"
#include "party/submit.h"

#include <stdlib.h>
#include <string.h>

struct report {
	struct http_req *r;
	json_t *p;
	bool report; /* task report; else job stop or wake */
};

static void report_free(struct report *q)
{
	json_decref(q->p);
	free(q);
}

static void on_reported(struct db_result *res, void *arg)
{
	struct report *q = arg;

	if (db_error(res) != NULL) {
		reply_db_err(q->r, res);
	} else if (!db_get_bool(res, 0, 0, "taken")) {
		reply_code(q->r, ERR_TASK_UPDATE,
			   "Update task status does not take effect: "
			   "task_id[%s],task_version[%lld],status[%s]",
			   js_str(q->p, "task_id", ""), (long long)js_int(q->p, "task_version", 0),
			   js_str(q->p, "status", ""));
	} else {
		if (!str_eq(js_str(q->p, "status", ""), "running")) /* that changes no plan */
			node_wake(request_node(q->r), WAKE_SCHED);
		reply_ok(q->r, NULL);
	}
	report_free(q);
}

/* Null when there is none; so is one that no column takes. */
static void bind_optional_int(struct db_batch *b, const json_t *p, const char *key)
{
	int64_t v = js_int(p, key, INT64_MAX);
	bool is_time = strcmp(key, "elapsed_ms") == 0;

	if (v != INT64_MAX && (is_time || (v >= INT32_MIN && v <= INT32_MAX)))
		db_int(b, v);
	else
		db_null(b);
}

static const struct param handle_report_params[] = {
    {"job_id", P_STR, true, NULL},
    {"role", P_STR, true, NULL},
    {"party_id", P_STR, true, NULL},
    {"task_id", P_STR, true, NULL},
    {"task_version", P_INT, true, NULL, 0, INT32_MAX},
    {"status", P_STR, true, NULL},
};

static void handle_report(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);
	struct report *q;
	struct db_batch *b;
	const char *task_id, *task_name;

	if (p == NULL)
		return;
	task_id = js_str(p, "task_id", "");
	task_name = peer_task_name(task_id, js_str(p, "job_id", ""));
	if (task_name == NULL) {
		reply_code(r, ERR_API_PARAMETER,
			   "task_id: '%s' is not of the form <job_id>_<task name>", task_id);
		json_decref(p);
		return;
	}
	if (!request_speaks_for(r, js_str(p, "party_id", ""))) {
		json_decref(p);
		return;
	}
	/* The optional members of the report, which a FATE site leaves out. */
	json_t *body = http_req_json(r);
	q = mem_zalloc(sizeof(*q));
	q->r = r;
	q->p = p;
	b = db_batch_new(request_node(r)->db);
	db_add(b, Q_SCHED_REMOTE_REPORT);
	db_text(b, js_str(p, "job_id", ""));
	db_text(b, task_name);
	db_int(b, js_int(p, "task_version", 0));
	db_text(b, js_str(p, "role", ""));
	db_text(b, js_str(p, "party_id", ""));
	db_text(b, js_str(p, "status", ""));
	bind_optional_int(b, body, "exit_code");
	bind_optional_int(b, body, "signal");
	db_text(b, js_str(body, "error", NULL));
	db_text(b, js_str(body, "stderr_tail", NULL));
	db_bool(b, js_bool(body, "node_lost", false));
	bind_optional_int(b, body, "elapsed_ms");
	db_submit(b, on_reported, q);
}

static void on_stopped(struct db_result *res, void *arg)
{
	struct report *q = arg;

	if (db_error(res) != NULL) {
		reply_db_err(q->r, res);
	} else {
		node_wake(request_node(q->r), WAKE_SCHED);
		reply_ok(q->r, NULL);
	}
	report_free(q);
}

/* The caller must speak for a party of the job; the first of its parties in the job is the actor.
 */
static void on_stop_allowed(struct db_result *res, void *arg)
{
	struct report *q = arg;
	const struct tls_identity *id = http_req_identity(q->r);
	const char *job_id = js_str(q->p, "job_id", "");
	struct db_batch *b;

	if (db_error(res) != NULL) {
		reply_db_err(q->r, res);
		report_free(q);
		return;
	}
	for (size_t i = 0; id != NULL && i < id->n_parties; i++) {
		if (db_rows(res, (int)i) == 0)
			continue;
		char *actor = mem_printf("party %s", id->parties[i]);
		b = db_batch_new(request_node(q->r)->db);
		db_add(b, Q_JOB_STOP);
		db_text(b, job_id);
		db_text(b, js_str(q->p, "stop_status", "canceled"));
		db_text(b, actor);
		db_null(b);
		bind_optional_int(b, http_req_json(q->r), "attempt");
		db_submit(b, on_stopped, q);
		free(actor);
		return;
	}
	reply_code(q->r, ERR_JOB_NOT_FOUND,
		   "No found job: job_id[%s] (or the calling site takes no part in it)", job_id);
	report_free(q);
}

static const struct param handle_stop_params[] = {{"job_id", P_STR, true, NULL},
						  {"stop_status", P_STR, false, "\"canceled\""}};

static void handle_stop(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);
	struct report *q;
	struct db_batch *b;
	const char *status;

	if (p == NULL)
		return;
	const struct tls_identity *id = http_req_identity(r);
	status = js_str(p, "stop_status", "");
	if (id == NULL || id->n_parties == 0 ||
	    (!str_eq(status, "canceled") && !str_eq(status, "failed") &&
	     !str_eq(status, "timeout"))) {
		reply_code(r, ERR_API_PARAMETER,
			   "stop_status: '%s' is not canceled, failed or timeout", status);
		json_decref(p);
		return;
	}
	q = mem_zalloc(sizeof(*q));
	q->r = r;
	q->p = p;
	b = db_batch_new(request_node(r)->db);
	for (size_t i = 0; i < id->n_parties; i++) {
		db_add(b, Q_JOB_HAS_PARTY);
		db_text(b, js_str(p, "job_id", ""));
		db_text(b, id->parties[i]);
	}
	db_submit(b, on_stop_allowed, q);
}

static const struct param handle_wake_params[] = {{"job_id", P_STR, true, NULL}};

/* Resources were released at a party of a job that waits for some. Only a hint. */
static void handle_wake(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);
	struct report *q;
	struct db_batch *b;

	if (p == NULL)
		return;
	q = mem_zalloc(sizeof(*q));
	q->r = r;
	q->p = p;
	b = db_batch_new(request_node(r)->db);
	db_add(b, Q_SCHED_WAKE);
	db_text(b, js_str(p, "job_id", ""));
	db_submit(b, on_stopped, q);
}

const struct http_route scheduler_routes[] = {
    {"POST", "/v2/scheduler/job/create", submit_handle_scheduler_create, 0, 64 << 20,
     "Submit a job that this site schedules", &submit_scheduler_doc},
    {"POST", "/v2/scheduler/job/stop", handle_stop, 0, 0, "Stop a job that this site schedules",
     DOC(TAKES_JSON(handle_stop_params))},
    {"POST", "/v2/scheduler/job/wake", handle_wake, 0, 0,
     "Resources were released: try the job again", DOC(TAKES_JSON(handle_wake_params))},
    {"POST", "/v2/scheduler/job/rerun", control_handle_scheduler, 0, 0, "Run a job again",
     &control_scheduler_doc},
    {"POST", "/v2/scheduler/job/suspend", control_handle_scheduler, 0, 0,
     "Start nothing new of a job", &control_scheduler_doc},
    {"POST", "/v2/scheduler/job/resume", control_handle_scheduler, 0, 0,
     "Go on with a suspended job", &control_scheduler_doc},
    {"POST", "/v2/scheduler/task/report", handle_report, 0, 0, "Status of a party's process",
     DOC(TAKES_JSON(handle_report_params))},
};
const size_t scheduler_n_routes = ARRAY_LEN(scheduler_routes);
