/*
 * Server-sent events: the history and progress of a job, a log, the metrics of a task, as they
 * come. A stream ends with an event "end" when nothing more will come, or without one after an hour
 * or when the node goes down; a client then goes on where it was, by Last-Event-ID, as browsers do
 * by themselves.
 */
#include "api/api.h"
#include "api/log_source.h"
#include "api/logfile.h"
#include "api/reply.h"

#include "base/clock.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define STREAMS_MAX  512 /* of a node */
#define ROWS_MAX     200 /* in one look */
#define LOG_PIECE    (64 * 1024)
#define FIRST_MS     50
#define STEP_MAX_MS  500
#define HEARTBEAT_MS 15000
#define LIFE_MS      3600000

struct stream;

/* What differs between the streams. */
struct source {
	void (*ask)(struct stream *s);
	db_cb *got;
};

struct stream {
	struct http_req *r;
	json_t *p;
	const struct source *source;
	const char *file; /* of a log */
	int64_t cursor;   /* number of the last event, or offset in a log */
	int64_t change;   /* of the progress that was sent last */
	int64_t now_change;
	bool has_change;
	bool ended;   /* the job is over; what is left of the history follows */
	bool started; /* the head of the answer is sent */
	bool closed;
	bool full; /* the client has to read first */
	bool busy; /* a statement is on its way */
	int step_ms;
	int64_t sent_ms;
	int64_t until_ms;
	struct event *timer;
};

static int n_streams;

static const char *job_of(const struct stream *s)
{
	return js_str(s->p, "job_id", "");
}

static void stream_free(struct stream *s)
{
	n_streams--;
	event_free(s->timer);
	json_decref(s->p);
	free(s);
}

static void stream_end(struct stream *s)
{
	http_req_on_close(s->r, NULL, NULL);
	http_reply_end(s->r);
	stream_free(s);
}

static void later(struct stream *s, int ms)
{
	const struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	evtimer_add(s->timer, &tv);
}

/* ---- sending ---- */

static void on_room(struct http_req *r, void *arg)
{
	struct stream *s = arg;

	s->full = false;
	if (!s->busy)
		later(s, 0);
}

static void begin(struct stream *s)
{
	if (s->started)
		return;
	s->started = true;
	http_reply_header(s->r, "Cache-Control", "no-store");
	http_reply_header(s->r, "X-Accel-Buffering", "no");
	http_reply_start(s->r, 200, "text/event-stream", on_room, s);
	s->sent_ms = clock_mono_ms();
}

static void chunk(struct stream *s, const struct buf *b)
{
	s->sent_ms = clock_mono_ms();
	s->step_ms = FIRST_MS;
	if (!http_reply_chunk(s->r, b->data, b->len))
		s->full = true;
}

/* data is JSON on one line. id < 0: none. */
static void send_event(struct stream *s, const char *name, int64_t id, const char *data)
{
	struct buf b = {0};

	if (id >= 0)
		buf_printf(&b, "id: %lld\n", (long long)id);
	buf_printf(&b, "event: %s\ndata: ", name);
	for (const char *c = data; *c != '\0'; c++) /* between the values of a JSON text */
		buf_addc(&b, *c == '\n' || *c == '\r' ? ' ' : *c);
	buf_adds(&b, "\n\n");
	chunk(s, &b);
	buf_free(&b);
}

static void send_value(struct stream *s, const char *name, int64_t id, json_t *v)
{
	char *text = js_dump_str(v);

	send_event(s, name, id, text);
	free(text);
	json_decref(v);
}

static void heartbeat(struct stream *s)
{
	struct buf b = {0};
	int step = s->step_ms;

	if (clock_mono_ms() - s->sent_ms < HEARTBEAT_MS)
		return;
	buf_adds(&b, ": alive\n\n");
	chunk(s, &b);
	s->step_ms = step;
	buf_free(&b);
}

/* ---- looking ---- */

static void ask(struct stream *s)
{
	s->busy = true;
	s->source->ask(s);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	if (s->closed || request_node(s->r)->stopping || clock_mono_ms() > s->until_ms)
		stream_end(s);
	else if (!s->full)
		ask(s);
}

static void on_close(void *arg)
{
	struct stream *s = arg;

	s->closed = true;
	if (!s->busy)
		later(s, 0);
}

/* After a look that found nothing more to send now. */
static void rest(struct stream *s)
{
	if (s->closed) {
		stream_end(s);
		return;
	}
	heartbeat(s);
	if (s->full)
		return;
	later(s, s->step_ms);
	s->step_ms = s->step_ms * 3 / 2 > STEP_MAX_MS ? STEP_MAX_MS : s->step_ms * 3 / 2;
}

/* A database that does not answer now may do so later; what was never begun is refused. */
static bool failed(struct stream *s, const struct db_result *res)
{
	if (db_error(res) == NULL)
		return false;
	if (s->started) {
		s->step_ms = STEP_MAX_MS;
		rest(s);
	} else {
		http_req_on_close(s->r, NULL, NULL);
		reply_db_err(s->r, res);
		stream_free(s);
	}
	return true;
}

/* Answers r with the refusal that `refuse` makes, unless the stream runs already: then it ends. */
static void unknown(struct stream *s, void (*say)(struct http_req *r, const json_t *p))
{
	if (s->started) {
		stream_end(s);
		return;
	}
	http_req_on_close(s->r, NULL, NULL);
	say(s->r, s->p);
	stream_free(s);
}

static void no_job(struct http_req *r, const json_t *p)
{
	refuse(r, ERR_JOB_NOT_FOUND, "No found job: job_id[%.64s]", js_str(p, "job_id", ""));
}

/* ---- a job ---- */

static void ask_job(struct stream *s)
{
	struct db_batch *b = one_statement(s->r, Q_API_EVENTS);

	db_text(b, job_of(s));
	db_int(b, s->cursor);
	db_int(b, ROWS_MAX);
	db_add(b, Q_API_CHANGE);
	db_text(b, job_of(s));
	db_submit(b, s->source->got, s);
}

static void on_progress(struct db_result *res, void *arg)
{
	struct stream *s = arg;
	int k;

	s->busy = false;
	if (failed(s, res))
		return;
	k = db_rows(res, 0) > 0 ? 0 : 1;
	if (db_rows(res, k) > 0) {
		json_t *v = db_get_json(res, k, 0, "data");
		const char *status = js_str(json_object_get(v, "job"), "status", "");
		s->has_change = true;
		s->change = s->now_change;
		s->ended = str_eq(status, "success") || str_eq(status, "failed") ||
			   str_eq(status, "canceled") || str_eq(status, "timeout");
		send_value(s, "progress", -1, v);
	}
	rest(s);
}

static void ask_progress(struct stream *s, int64_t change)
{
	struct db_batch *b = one_statement(s->r, Q_API_PROGRESS_SCHED);

	s->busy = true;
	s->now_change = change;
	db_text(b, job_of(s));
	db_add(b, Q_API_PROGRESS_PARTY);
	db_text(b, job_of(s));
	db_submit(b, on_progress, s);
}

static void got_job(struct db_result *res, void *arg)
{
	struct stream *s = arg;

	s->busy = false;
	if (failed(s, res))
		return;
	if (db_rows(res, 0) == 0 || db_is_null(res, 0, 0, "data") ||
	    db_is_null(res, 1, 0, "change")) {
		unknown(s, no_job);
		return;
	}
	begin(s);
	json_t *rows = db_get_json(res, 0, 0, "data");
	size_t n = json_array_size(rows);
	size_t i;
	json_t *v;
	json_array_foreach (rows, i, v) {
		s->cursor = js_int(v, "id", s->cursor);
		send_value(s, "event", s->cursor, json_incref(v));
	}
	json_decref(rows);
	int64_t change = db_get_int(res, 1, 0, "change");
	if (!s->has_change || change != s->change) {
		ask_progress(s, change);
	} else if (n == 0 && s->ended) {
		send_event(s, "end", s->cursor, "{}");
		stream_end(s);
	} else {
		rest(s);
	}
}

/* ---- a log ---- */

static void ask_log(struct stream *s)
{
	db_submit(log_source_state(s->r, s->p), s->source->got, s);
}

static void got_log(struct db_result *res, void *arg)
{
	struct stream *s = arg;
	struct buf path = {0};
	struct buf text = {0};
	struct err e;
	bool at_end = true;

	s->busy = false;
	if (failed(s, res))
		return;
	if (db_rows(res, 0) == 0) {
		unknown(s, log_source_unknown);
		return;
	}
	bool over = db_get_bool(res, 0, 0, "over");
	int64_t attempt = db_get_int(res, 0, 0, "attempt");
	int64_t next = s->cursor;
	/* A new attempt has a log of its own: this stream stays with the one it began with. */
	if (!log_source_schedule(s->p))
		json_object_set_new(s->p, "attempt", json_integer(attempt));
	bool ok =
	    log_source_path(s->r, s->p, s->file, attempt, &path, &e) &&
	    logfile_read(buf_str(&path), s->cursor, LOG_PIECE, over, &text, &next, &at_end, &e);
	if (!ok && !s->started) {
		http_req_on_close(s->r, NULL, NULL);
		refuse(s->r, e.code, "%s", e.msg);
		stream_free(s);
	} else {
		begin(s);
		s->cursor = next;
		if (text.len > 0)
			send_value(s, "log", next,
				   json_pack("{s:I, s:I, s:o}", "attempt", (json_int_t)attempt,
					     "offset", (json_int_t)next, "text",
					     json_stringn(buf_str(&text), text.len)));
		if (!ok || (over && at_end)) {
			send_event(s, "end", next, "{}");
			stream_end(s);
		} else {
			rest(s);
		}
	}
	buf_free(&path);
	buf_free(&text);
}

/* ---- metrics ---- */

static void ask_metrics(struct stream *s)
{
	static const char *const names[] = {"job_id", "role", "party_id", "task_name"};
	struct db_batch *b = one_statement(s->r, Q_API_METRIC_AFTER);

	bind_texts(b, s->p, names, ARRAY_LEN(names));
	db_int(b, s->cursor);
	db_int(b, ROWS_MAX);
	db_submit(b, s->source->got, s);
}

static void got_metrics(struct db_result *res, void *arg)
{
	struct stream *s = arg;

	s->busy = false;
	if (failed(s, res))
		return;
	if (db_rows(res, 0) == 0) {
		unknown(s, log_source_unknown);
		return;
	}
	begin(s);
	bool over = db_get_bool(res, 0, 0, "over");
	bool any = !db_is_null(res, 0, 0, "metric_no");
	for (int i = 0; any && i < db_rows(res, 0); i++) {
		s->cursor = db_get_int(res, 0, i, "metric_no");
		send_event(s, "metric", s->cursor, db_get(res, 0, i, "metric"));
	}
	if (over && !any) {
		send_event(s, "end", s->cursor, "{}");
		stream_end(s);
	} else {
		rest(s);
	}
}

/* ---- the routes ---- */

/* Takes p. The client's last event counts more than the parameter. */
static void open_stream(struct http_req *r, json_t *p, const char *from, const char *file,
			const struct source *source)
{
	const char *last = http_req_header(r, "Last-Event-ID");
	int64_t cursor = js_int(p, from, 0);

	if (last != NULL && last[0] != '\0' && !str_to_i64(last, &cursor))
		cursor = -1;
	if (cursor < 0 || n_streams >= STREAMS_MAX) {
		if (cursor < 0)
			refuse(r, ERR_API_PARAMETER,
			       "%s and Last-Event-ID are numbers that are not negative", from);
		else
			refuse(r, ERR_LIMIT,
			       "this node sends %d streams already: ask another node, or ask again "
			       "instead of streaming",
			       STREAMS_MAX);
		json_decref(p);
		return;
	}
	struct stream *s = mem_zalloc(sizeof(*s));
	n_streams++;
	s->r = r;
	s->p = p;
	s->source = source;
	s->file = file;
	s->cursor = cursor;
	s->step_ms = FIRST_MS;
	s->until_ms = clock_mono_ms() + LIFE_MS;
	s->timer = evtimer_new(request_node(r)->base, on_timer, s);
	http_req_on_close(r, on_close, s);
	ask(s);
}

static const struct param job_stream_params[] = {
    {"job_id", P_STR, true, NULL}, {"after", P_INT, false, "0", .min = 0, .max = INT64_MAX}};

static void job_stream(struct http_req *r, void *arg)
{
	static const struct source job = {ask_job, got_job};
	json_t *p = request_args(r);

	if (p != NULL)
		open_stream(r, p, "after", NULL, &job);
}

static const struct param log_stream_params[] = {
    {"job_id", P_STR, true, NULL},
    {"log", P_STR, true, NULL, .among = LOG_NAMES},
    {"role", P_STR, false, NULL},
    {"party_id", P_STR, false, NULL},
    {"task_name", P_STR, false, NULL},
    {"attempt", P_INT, false, NULL, .min = 0, .max = INT32_MAX},
    {"offset", P_INT, false, "0", .min = 0, .max = INT64_MAX},
};

static void log_stream(struct http_req *r, void *arg)
{
	static const struct source log = {ask_log, got_log};
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	const char *file = log_source_file(r, p);
	if (file != NULL)
		open_stream(r, p, "offset", file, &log);
	else
		json_decref(p);
}

static const struct param metric_stream_params[] = {
    {"job_id", P_STR, true, NULL},
    {"role", P_STR, true, NULL},
    {"party_id", P_STR, true, NULL},
    {"task_name", P_STR, true, NULL},
    {"after", P_INT, false, "0", .min = 0, .max = INT64_MAX},
};

static void metric_stream(struct http_req *r, void *arg)
{
	static const struct source metrics = {ask_metrics, got_metrics};
	json_t *p = request_args(r);

	if (p != NULL)
		open_stream(r, p, "after", NULL, &metrics);
}

const struct http_route api_stream_routes[] = {
    {"GET", "/v2/job/events/stream", job_stream, 0, 0,
     "History and progress of a job as server-sent events",
     DOC(TAKES_QUERY(job_stream_params), .media = "text/event-stream", .header = "Last-Event-ID")},
    {"GET", "/v2/log/stream", log_stream, 0, 0, "A log as server-sent events",
     DOC(TAKES_QUERY(log_stream_params), .media = "text/event-stream", .header = "Last-Event-ID")},
    {"GET", "/v2/output/metric/stream", metric_stream, 0, 0,
     "Metrics of a task as server-sent events",
     DOC(TAKES_QUERY(metric_stream_params), .media = "text/event-stream",
	 .header = "Last-Event-ID")},
};
const size_t api_stream_n_routes = ARRAY_LEN(api_stream_routes);
