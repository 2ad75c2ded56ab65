/* /v2/job/rerun, suspend, resume and queue/clean: carried out here when this site schedules the
 * job, else by the site that does. */
#include "api/api.h"

#include "api/reply.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/control.h"
#include "party/peer.h"
#include "party/stop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct asked {
	struct http_req *r;
	json_t *p;
	const char *what; /* rerun, suspend, resume */
	char scheduler[51];
};

static void asked_free(struct asked *a)
{
	json_decref(a->p);
	free(a);
}

static void on_peer(const struct http_response *res, void *arg)
{
	struct asked *a = arg;
	enum err_code code;
	char text[ERR_MSG_MAX - 64];

	if (!peer_answer(res, &code, text, sizeof(text)))
		refuse(a->r, ERR_FEDERATED, "Federated schedule error, party %s: %s", a->scheduler,
		       text);
	else if (code == ERR_OK)
		reply_ok(a->r, json_incref(json_object_get(res->json, "data")));
	else
		refuse(a->r, code, "%s", text);
	asked_free(a);
}

static void hand_over(struct asked *a, const char *party, const char *url)
{
	struct node *n = request_node(a->r);

	if (n->tls == NULL || *url == '\0') {
		refuse(a->r, ERR_FEDERATED,
		       "the job is scheduled by party %s, and there is no route to it: add one "
		       "with `norn site "
		       "add %s URL`",
		       a->scheduler, a->scheduler);
		asked_free(a);
		return;
	}
	char path[64];
	char *text = js_dump_str(a->p);
	snprintf(path, sizeof(path), "/v2/scheduler/job/%s", a->what);
	const struct peer_call call = {.dest_party = a->scheduler,
				       .src_party = party,
				       .url = url,
				       .path = path,
				       .job_id = js_str(a->p, "job_id", "")};
	peer_post(n, &call, text, strlen(text), NULL, on_peer, a);
	free(text);
}

static void on_scheduler(struct db_result *res, void *arg)
{
	struct asked *a = arg;

	if (db_error(res) != NULL) {
		reply_db_err(a->r, res);
	} else if (db_rows(res, 0) == 0) {
		refuse(a->r, ERR_JOB_NOT_FOUND, "No found job: job_id[%s]",
		       js_str(a->p, "job_id", ""));
	} else {
		str_copy(a->scheduler, sizeof(a->scheduler),
			 db_get(res, 0, 0, "scheduler_party_id"));
		hand_over(a, db_get(res, 0, 0, "party_id"), db_get(res, 0, 0, "url"));
		return;
	}
	asked_free(a);
}

static void on_control(json_t *answer, void *arg)
{
	struct asked *a = arg;
	struct db_batch *b;

	if (answer != NULL) {
		if (js_int(answer, "code", 0) != 0)
			json_object_set_new(answer, "request_id", json_string(http_req_id(a->r)));
		http_reply_json(a->r, 200, answer);
		asked_free(a);
		return;
	}
	b = db_batch_new(request_node(a->r)->db);
	db_add(b, Q_API_JOB_SCHEDULER);
	db_text(b, js_str(a->p, "job_id", ""));
	db_submit(b, on_scheduler, a);
}

static char *actor_of(const struct http_req *r)
{
	const char *user = http_req_header(r, "user_name");

	return user != NULL && *user != '\0' && str_is_utf8(user, strlen(user))
		   ? mem_printf("user %.200s", user)
		   : mem_strdup("client");
}

static void control(struct http_req *r, enum control_what what, const char *name, json_t *p)
{
	struct asked *a;

	if (p == NULL) /* and r is gone */
		return;
	a = mem_zalloc(sizeof(*a));
	a->r = r;
	a->p = p;
	a->what = name;
	char *actor = actor_of(r);
	const struct control_opts o = {
	    .what = what,
	    .job_id = js_str(p, "job_id", ""),
	    .actor = actor,
	    .all = js_bool(p, "all", false),
	    .from = js_str(p, "from", NULL),
	    .parameters = json_object_get(p, "parameters"),
	};
	control_job(request_node(r), &o, on_control, a);
	free(actor);
}

static const struct param job_only[] = {{"job_id", P_STR, true, NULL}};

static const struct param job_rerun_params[] = {{"job_id", P_STR, true, NULL},
						{"all", P_BOOL, false, "false"},
						{"from", P_STR, false, NULL},
						{"parameters", P_DICT, false, NULL}};

static void job_rerun(struct http_req *r, void *arg)
{
	control(r, CONTROL_RERUN, "rerun", request_args(r));
}

static void job_suspend(struct http_req *r, void *arg)
{
	control(r, CONTROL_SUSPEND, "suspend", request_args(r));
}

static void job_resume(struct http_req *r, void *arg)
{
	control(r, CONTROL_RESUME, "resume", request_args(r));
}

/* ---- the queue: jobs that wait are stopped one after another ---- */

struct cleaning {
	struct http_req *r;
	json_t *jobs; /* ids */
	json_t *answers;
	size_t at;
	char *actor;
};

static void clean_next(struct cleaning *c);

static void on_cleaned(const struct err *e, void *arg)
{
	struct cleaning *c = arg;
	const char *id = json_string_value(json_array_get(c->jobs, c->at++));

	json_object_set_new(
	    c->answers, id,
	    node_envelope(e == NULL ? ERR_OK : e->code, e == NULL ? "success" : e->msg, NULL));
	clean_next(c);
}

static void clean_next(struct cleaning *c)
{
	if (c->at < json_array_size(c->jobs)) {
		stop_job(request_node(c->r), json_string_value(json_array_get(c->jobs, c->at)),
			 c->actor, on_cleaned, c);
		return;
	}
	reply_ok(c->r, c->answers);
	json_decref(c->jobs);
	free(c->actor);
	free(c);
}

static void on_waiting(struct db_result *res, void *arg)
{
	struct cleaning *c = arg;

	if (db_error(res) != NULL) {
		reply_db_err(c->r, res);
		json_decref(c->jobs);
		json_decref(c->answers);
		free(c->actor);
		free(c);
		return;
	}
	for (int i = 0; i < db_rows(res, 0); i++)
		json_array_append_new(c->jobs, json_string(db_get(res, 0, i, "job_id")));
	clean_next(c);
}

static void queue_clean(struct http_req *r, void *arg)
{
	struct cleaning *c = mem_zalloc(sizeof(*c));

	c->r = r;
	c->jobs = json_array();
	c->answers = json_object();
	c->actor = actor_of(r);
	db_submit(one_statement(r, Q_API_JOBS_WAITING), on_waiting, c);
}

const struct http_route api_control_routes[] = {
    {"POST", "/v2/job/rerun", job_rerun, 0, 0,
     "Run a job again: what has not succeeded, from a task on, or all",
     DOC(TAKES_JSON(job_rerun_params), .data = "{tasks:integer}", .header = "user_name")},
    {"POST", "/v2/job/queue/clean", queue_clean, 0, 0, "Stop every job that waits",
     DOC(.data = "Result{}", .header = "user_name")},
    {"POST", "/v2/job/suspend", job_suspend, 0, 0, "Start nothing new of a job",
     DOC(TAKES_JSON(job_only), .data = "{status:string}", .header = "user_name")},
    {"POST", "/v2/job/resume", job_resume, 0, 0, "Go on with a suspended job",
     DOC(TAKES_JSON(job_only), .data = "{status:string}", .header = "user_name")},
};
const size_t api_control_n_routes = ARRAY_LEN(api_control_routes);
