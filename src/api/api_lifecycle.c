/* Jobs after their end: /v2/job/timing, /v2/job/clean, /v2/server/gc. */
#include "api/api.h"

#include "api/reply.h"
#include "base/clock.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/stop.h"
#include "store/gc.h"

#include <stdlib.h>
#include <string.h>

#define CLEAN_WAIT_MS 20000 /* for the end of a job that had to be stopped */
#define CLEAN_LOOK_MS 100

static const struct param job_timing_params[] = {{"job_id", P_STR, true, NULL}};

static void job_timing(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct db_batch *b = one_statement(r, Q_API_JOB_TIMING);
	db_text(b, js_str(p, "job_id", ""));
	pass_data(r, b, ERR_JOB_NOT_FOUND, "No found job: job_id[%.64s]", js_str(p, "job_id", ""));
	json_decref(p);
}

/* ---- clean: stop, wait for the end, delete ---- */

struct clean {
	struct http_req *r;
	char job_id[65];
	char *actor;
	bool stopped;
	int64_t deadline_ms;
	struct event *timer;
};

static void clean_free(struct clean *c)
{
	if (c->timer != NULL)
		event_free(c->timer);
	free(c->actor);
	free(c);
}

static void on_cleaned(struct db_result *res, void *arg)
{
	struct clean *c = arg;

	if (db_error(res) != NULL) {
		reply_db_err(c->r, res);
	} else {
		gc_sweep(request_node(c->r));
		reply_ok(c->r, NULL);
	}
	clean_free(c);
}

static void look(struct clean *c);

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	look(arg);
}

static void on_stop(const struct err *e, void *arg)
{
	static const struct timeval soon = {0, CLEAN_LOOK_MS * 1000};
	struct clean *c = arg;

	/* It may have ended in this very moment. */
	if (e != NULL && e->code != ERR_JOB_NOT_FOUND) {
		refuse(c->r, e->code, "%s", e->msg);
		clean_free(c);
		return;
	}
	c->stopped = true;
	evtimer_add(c->timer, &soon);
}

static void on_state(struct db_result *res, void *arg)
{
	static const struct timeval soon = {0, CLEAN_LOOK_MS * 1000};
	struct clean *c = arg;
	struct node *n = request_node(c->r);

	if (db_error(res) != NULL) {
		reply_db_err(c->r, res);
	} else if (db_rows(res, 0) == 0) {
		refuse(c->r, ERR_JOB_NOT_FOUND, "No found job: job_id[%s]", c->job_id);
	} else if (db_get_bool(res, 0, 0, "ended")) {
		struct buf uri = {0};
		struct db_batch *b = one_statement(c->r, Q_JOB_CLEAN);
		gc_data_uri(n, &uri);
		db_text(b, c->job_id);
		db_text(b, uri.data);
		db_submit(b, on_cleaned, c);
		buf_free(&uri);
		return;
	} else if (!c->stopped) {
		stop_job(n, c->job_id, c->actor, on_stop, c);
		return;
	} else if (clock_mono_ms() < c->deadline_ms && !n->stopping) {
		evtimer_add(c->timer, &soon);
		return;
	} else {
		refuse(c->r, ERR_JOB_KILL,
		       "Kill job failed: job %s is still %s; it is being stopped: clean it when it "
		       "has ended",
		       c->job_id, db_get(res, 0, 0, "status"));
	}
	clean_free(c);
}

static void look(struct clean *c)
{
	struct db_batch *b = one_statement(c->r, Q_API_JOB_ENDED);

	db_text(b, c->job_id);
	db_submit(b, on_state, c);
}

static const struct param job_clean_params[] = {{"job_id", P_STR, true, NULL}};

static void job_clean(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	const char *user = http_req_header(r, "user_name");
	struct clean *c = mem_zalloc(sizeof(*c));
	c->r = r;
	if (!str_copy(c->job_id, sizeof(c->job_id), js_str(p, "job_id", ""))) {
		refuse(r, ERR_JOB_NOT_FOUND, "No found job: job_id[%s...]", c->job_id);
		clean_free(c);
	} else {
		c->actor = user != NULL && user[0] != '\0' && str_is_utf8(user, strlen(user))
			       ? mem_printf("user %.200s", user)
			       : mem_strdup("client");
		c->deadline_ms = clock_mono_ms() + CLEAN_WAIT_MS;
		c->timer = evtimer_new(request_node(r)->base, on_timer, c);
		look(c);
	}
	json_decref(p);
}

/* ---- clean-up of the site ---- */

static void on_gc(const struct gc_result *res, void *arg)
{
	struct http_req *r = arg;

	if (res->error.code != ERR_OK) {
		refuse(r, res->error.code == ERR_DB ? ERR_SERVER : res->error.code, "%s",
		       res->error.code == ERR_DB
			   ? "the database refused the clean-up; the server log has the details"
			   : res->error.msg);
		return;
	}
	reply_ok(r, json_pack("{s:I, s:I, s:b, s:O, s:O}", "n_jobs", (json_int_t)res->n_jobs,
			      "bytes", (json_int_t)res->bytes, "more", (int)res->more, "jobs",
			      res->jobs, "partitions", res->partitions));
}

static const struct param server_gc_params[] = {
    {"keep_days", P_INT, false, NULL, .min = 0, .max = 36500},
    {"dry_run", P_BOOL, false, "false"},
    {"limit", P_INT, false, "1000", .min = 1, .max = GC_JOBS_MAX},
};

static void server_gc(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct node *n = request_node(r);
	int64_t kept = n->conf->retention_jobs_days;
	const struct gc_opts opts = {
	    .keep_days = js_int(p, "keep_days", kept > 0 ? kept : -1),
	    .events_days = n->conf->retention_events_days,
	    .limit = js_int(p, "limit", 1000),
	    .dry_run = js_bool(p, "dry_run", false),
	};
	if (json_object_get(p, "keep_days") == NULL && kept == 0)
		refuse(r, ERR_API_PARAMETER,
		       "keep_days: say how many days jobs are kept after their end, since "
		       "retention.jobs_days is 0");
	else
		gc_run(n, &opts, on_gc, r);
	json_decref(p);
}

const struct http_route api_lifecycle_routes[] = {
    {"GET", "/v2/job/timing", job_timing, 0, 0, "How long each run of a job waited and ran",
     DOC(TAKES_QUERY(job_timing_params), .data = "Timing")},
    {"POST", "/v2/job/clean", job_clean, 0, 0,
     "Stop a job and delete what it has left at this site",
     DOC(TAKES_JSON(job_clean_params), .header = "user_name")},
    {"POST", "/v2/server/gc", server_gc, 0, 0, "Delete old jobs and history",
     DOC(TAKES_JSON(server_gc_params), .data = "Cleanup")},
};
const size_t api_lifecycle_n_routes = ARRAY_LEN(api_lifecycle_routes);
