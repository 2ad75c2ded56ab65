/* /v2/job/progress, wait, events: how a job goes. */
#include "api/api.h"
#include "api/reply.h"
#include "api/why.h"

#include "base/clock.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>

#define WAIT_FIRST_MS    40
#define WAIT_STEP_MAX_MS 400

struct wait {
	struct http_req *r;
	char job_id[65];
	bool has_known;
	int64_t known;
	int64_t deadline_ms;
	int step_ms;
	bool closed;
	struct event *timer;
};

static void wait_free(struct wait *w)
{
	if (w->timer != NULL)
		event_free(w->timer);
	free(w);
}

/* The scheduler's view where there is one, else the parties'. */
static void on_progress(struct db_result *res, void *arg)
{
	struct wait *w = arg;

	http_req_on_close(w->r, NULL, NULL);
	if (db_error(res) != NULL)
		reply_db_err(w->r, res);
	else if (db_rows(res, 0) > 0)
		reply_text(w->r, db_get(res, 0, 0, "data"));
	else if (db_rows(res, 1) > 0)
		reply_text(w->r, db_get(res, 1, 0, "data"));
	else
		refuse(w->r, ERR_JOB_NOT_FOUND, "No found job: job_id[%s]", w->job_id);
	wait_free(w);
}

static void send_progress(struct wait *w)
{
	struct db_batch *b = one_statement(w->r, Q_API_PROGRESS_SCHED);

	db_text(b, w->job_id);
	db_add(b, Q_API_PROGRESS_PARTY);
	db_text(b, w->job_id);
	db_submit(b, on_progress, w);
}

static void ask_change(struct wait *w);

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	ask_change(arg);
}

static void on_change(struct db_result *res, void *arg)
{
	struct wait *w = arg;

	if (db_error(res) != NULL || db_is_null(res, 0, 0, "change")) {
		http_req_on_close(w->r, NULL, NULL);
		if (db_error(res) != NULL)
			reply_db_err(w->r, res);
		else
			refuse(w->r, ERR_JOB_NOT_FOUND, "No found job: job_id[%s]", w->job_id);
		wait_free(w);
		return;
	}
	if (w->closed || !w->has_known || db_get_int(res, 0, 0, "change") != w->known ||
	    clock_mono_ms() >= w->deadline_ms || request_node(w->r)->stopping) {
		send_progress(w);
		return;
	}
	const struct timeval tv = {0, w->step_ms * 1000};
	evtimer_add(w->timer, &tv);
	w->step_ms = w->step_ms * 5 / 4 > WAIT_STEP_MAX_MS ? WAIT_STEP_MAX_MS : w->step_ms * 5 / 4;
}

static void ask_change(struct wait *w)
{
	struct db_batch *b = one_statement(w->r, Q_API_CHANGE);

	db_text(b, w->job_id);
	db_submit(b, on_change, w);
}

/* The client is gone: end the waiting at its next step. */
static void on_close(void *arg)
{
	struct wait *w = arg;

	w->closed = true;
	if (evtimer_pending(w->timer, NULL)) {
		const struct timeval now = {0, 0};
		evtimer_add(w->timer, &now);
	}
}

static struct wait *wait_new(struct http_req *r, const json_t *p)
{
	struct wait *w = mem_zalloc(sizeof(*w));

	w->r = r;
	if (!str_copy(w->job_id, sizeof(w->job_id), js_str(p, "job_id", ""))) {
		refuse(r, ERR_JOB_NOT_FOUND, "No found job: job_id[%s...]", w->job_id);
		free(w);
		return NULL;
	}
	return w;
}

static const struct param job_progress_params[] = {{"job_id", P_STR, true, NULL}};

static void job_progress(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct wait *w = wait_new(r, p);
	json_decref(p);
	if (w != NULL)
		send_progress(w);
}

static const struct param job_wait_params[] = {
    {"job_id", P_STR, true, NULL},
    {"known", P_INT, false, NULL},
    {"timeout_ms", P_INT, false, "30000", .min = 0, .max = 60000},
};

static void job_wait(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	int64_t timeout_ms = js_int(p, "timeout_ms", 0);
	struct wait *w = wait_new(r, p);
	if (w != NULL) {
		w->has_known = json_object_get(p, "known") != NULL;
		w->known = js_int(p, "known", 0);
		w->deadline_ms = clock_mono_ms() + timeout_ms;
		w->step_ms = WAIT_FIRST_MS;
		w->timer = evtimer_new(request_node(r)->base, on_timer, w);
		http_req_on_close(r, on_close, w);
		ask_change(w);
	}
	json_decref(p);
}

static const struct param job_events_params[] = {
    {"job_id", P_STR, true, NULL},
    {"after", P_INT, false, "0"},
    {"limit", P_INT, false, "1000", .min = 1, .max = 1000},
};

static void job_events(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct db_batch *b = one_statement(r, Q_API_EVENTS);
	db_text(b, js_str(p, "job_id", ""));
	db_int(b, js_int(p, "after", 0));
	db_int(b, js_int(p, "limit", 0));
	pass_data(r, b, ERR_JOB_NOT_FOUND, "No found job: job_id[%s]", js_str(p, "job_id", ""));
	json_decref(p);
}

const struct http_route api_job_view_routes[] = {
    {"GET", "/v2/job/progress", job_progress, 0, 0, "Progress of a job and its tasks",
     DOC(TAKES_QUERY(job_progress_params), .data = "Progress")},
    {"GET", "/v2/job/wait", job_wait, 0, 0, "Progress as soon as something has changed",
     DOC(TAKES_QUERY(job_wait_params), .data = "Progress")},
    {"GET", "/v2/job/why", api_job_why, 0, 0, "Why a job failed, waits or takes long",
     &api_why_doc},
    {"GET", "/v2/job/events", job_events, 0, 0, "The history of a job",
     DOC(TAKES_QUERY(job_events_params), .data = "Event[]")},
};
const size_t api_job_view_n_routes = ARRAY_LEN(api_job_view_routes);
