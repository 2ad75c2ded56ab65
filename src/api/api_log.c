/* /v2/log: the logs of jobs.
 * <dirs.logs>/<job>/<role>/<party>/<task>/<attempt>/{stdout,stderr,component.log}. */
#include "api/api.h"
#include "api/log_source.h"
#include "api/logfile.h"
#include "api/reply.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/offload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_MAX      (64 * 1024)
#define POLL_FIRST_MS 100
#define POLL_MAX_MS   500

/* A request for a piece of a log; waits while there is nothing. */
struct reading {
	struct http_req *r;
	json_t *p;
	const char *file;
	int64_t offset;
	int64_t deadline_ms;
	int step_ms;
	bool closed;
	struct event *timer;
};

static void reading_free(struct reading *q)
{
	if (q->timer != NULL)
		event_free(q->timer);
	json_decref(q->p);
	free(q);
}

bool log_source_schedule(const json_t *p)
{
	return str_eq(js_str(p, "log", ""), "schedule");
}

static void ask(struct reading *q);

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	ask(arg);
}

bool log_source_path(const struct http_req *r, const json_t *p, const char *file, int64_t attempt,
		     struct buf *path, struct err *e)
{
	const struct node_conf *c = request_node(r)->conf;
	char number[24];

	if (log_source_schedule(p))
		return logfile_path(c->log_dir, path, e, js_str(p, "job_id", ""), file, NULL);
	snprintf(number, sizeof(number), "%lld", (long long)attempt);
	return logfile_path(c->log_dir, path, e, js_str(p, "job_id", ""), js_str(p, "role", ""),
			    js_str(p, "party_id", ""), js_str(p, "task_name", ""), number, file,
			    NULL);
}

void log_source_unknown(struct http_req *r, const json_t *p)
{
	if (log_source_schedule(p))
		refuse(r, ERR_JOB_NOT_FOUND, "No found job: job_id[%s]", js_str(p, "job_id", ""));
	else
		refuse(r, ERR_TASK_NOT_FOUND,
		       "No found task: job_id[%s],role[%s],party_id[%s],task_name[%s]",
		       js_str(p, "job_id", ""), js_str(p, "role", ""), js_str(p, "party_id", ""),
		       js_str(p, "task_name", ""));
}

/* true: answered. */
static bool answer(struct reading *q, int64_t attempt, bool over)
{
	struct buf path = {0};
	struct buf out = {0};
	struct err e;
	int64_t next = q->offset;
	bool at_end = true;

	if (!log_source_path(q->r, q->p, q->file, attempt, &path, &e) ||
	    !logfile_read(buf_str(&path), q->offset, READ_MAX, over, &out, &next, &at_end, &e)) {
		refuse(q->r, e.code, "%s", e.msg);
	} else if (out.len == 0 && !over && !q->closed && clock_mono_ms() < q->deadline_ms &&
		   !request_node(q->r)->stopping) {
		buf_free(&path);
		return false;
	} else {
		reply_ok(q->r, json_pack("{s:I, s:o, s:b, s:I}", "offset", (json_int_t)next, "text",
					 json_stringn(buf_str(&out), out.len), "end",
					 (int)(over && at_end), "attempt", (json_int_t)attempt));
	}
	buf_free(&path);
	buf_free(&out);
	return true;
}

static void on_state(struct db_result *res, void *arg)
{
	struct reading *q = arg;

	if (db_error(res) != NULL) {
		http_req_on_close(q->r, NULL, NULL);
		reply_db_err(q->r, res);
		reading_free(q);
		return;
	}
	if (db_rows(res, 0) == 0) {
		http_req_on_close(q->r, NULL, NULL);
		log_source_unknown(q->r, q->p);
		reading_free(q);
		return;
	}
	if (q->closed || clock_mono_ms() >= q->deadline_ms)
		http_req_on_close(q->r, NULL, NULL);
	if (answer(q, db_get_int(res, 0, 0, "attempt"), db_get_bool(res, 0, 0, "over"))) {
		reading_free(q);
		return;
	}
	const struct timeval tv = {0, q->step_ms * 1000};
	evtimer_add(q->timer, &tv);
	q->step_ms = q->step_ms * 5 / 4 > POLL_MAX_MS ? POLL_MAX_MS : q->step_ms * 5 / 4;
}

struct db_batch *log_source_state(struct http_req *r, const json_t *p)
{
	static const char *const names[] = {"job_id", "role", "party_id", "task_name"};
	bool schedule = log_source_schedule(p);
	struct db_batch *b = one_statement(r, schedule ? Q_API_LOG_JOB : Q_API_LOG_RUN);

	bind_texts(b, p, names, schedule ? 1 : ARRAY_LEN(names));
	if (!schedule) {
		if (json_object_get(p, "attempt") != NULL)
			db_int(b, js_int(p, "attempt", 0));
		else
			db_null(b);
	}
	return b;
}

static void ask(struct reading *q)
{
	db_submit(log_source_state(q->r, q->p), on_state, q);
}

static void on_close(void *arg)
{
	struct reading *q = arg;

	q->closed = true;
	if (evtimer_pending(q->timer, NULL)) {
		const struct timeval now = {0, 0};
		evtimer_add(q->timer, &now);
	}
}

const char *log_source_file(struct http_req *r, const json_t *p)
{
	static const char *const logs[][2] = {{"stdout", "stdout"},
					      {"stderr", "stderr"},
					      {"component", "component.log"},
					      {"schedule", "fate_flow_schedule.log"}};
	static const char *const needed[] = {"role", "party_id", "task_name"};
	const char *log = js_str(p, "log", "");

	for (size_t i = 0; !str_eq(log, "schedule") && i < ARRAY_LEN(needed); i++) {
		if (js_str(p, needed[i], NULL) == NULL) {
			refuse(r, ERR_API_PARAMETER, "%s: needed for the log '%s'", needed[i], log);
			return NULL;
		}
	}
	size_t i = 0;
	while (i + 1 < ARRAY_LEN(logs) && !str_eq(log, logs[i][0]))
		i++;
	return logs[i][1];
}

static const struct param log_read_params[] = {
    {"job_id", P_STR, true, NULL},
    {"log", P_STR, true, NULL, .among = LOG_NAMES},
    {"role", P_STR, false, NULL},
    {"party_id", P_STR, false, NULL},
    {"task_name", P_STR, false, NULL},
    {"attempt", P_INT, false, NULL, .min = 0, .max = INT32_MAX},
    {"offset", P_INT, false, "0", .min = 0, .max = INT64_MAX},
    {"wait_ms", P_INT, false, "0", .min = 0, .max = 30000},
};

static void log_read(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	const char *file = log_source_file(r, p);
	if (file == NULL) {
		json_decref(p);
		return;
	}
	struct reading *q = mem_zalloc(sizeof(*q));
	q->r = r;
	q->p = p;
	q->file = file;
	q->offset = js_int(p, "offset", 0);
	q->deadline_ms = clock_mono_ms() + js_int(p, "wait_ms", 0);
	q->step_ms = POLL_FIRST_MS;
	q->timer = evtimer_new(request_node(r)->base, on_timer, q);
	http_req_on_close(r, on_close, q);
	ask(q);
}

/* ---- FATE's logs: lines by number ---- */

/* The file behind FATE's log type, in the latest attempt there is; false: unknown type or no file.
 */
static bool typed_path(struct http_req *r, const json_t *p, struct buf *path, bool *known)
{
	static const char *const types[][2] = {{"task_error", "stderr"},
					       {"task_warning", "stderr"},
					       {"task_info", "stdout"},
					       {"task_debug", "stdout"}};
	const char *type = js_str(p, "log_type", "");
	const char *log_dir = request_node(r)->conf->log_dir;
	struct err e;

	*known = true;
	if (str_eq(type, "schedule_info"))
		return logfile_path(log_dir, path, &e, js_str(p, "job_id", ""),
				    "fate_flow_schedule.log", NULL);
	if (str_eq(type, "schedule_error"))
		return logfile_path(log_dir, path, &e, js_str(p, "job_id", ""),
				    "fate_flow_schedule_error.log", NULL);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (!str_eq(type, types[i][0]))
			continue;
		return js_str(p, "task_name", NULL) != NULL && js_str(p, "role", NULL) != NULL &&
		       js_str(p, "party_id", NULL) != NULL &&
		       logfile_path(log_dir, path, &e, js_str(p, "job_id", ""),
				    js_str(p, "role", ""), js_str(p, "party_id", ""),
				    js_str(p, "task_name", ""), NULL) &&
		       logfile_latest(path, types[i][1]);
	}
	*known = false;
	return false;
}

/* A log is read whole for its lines: in a thread. */
struct lines_read {
	struct http_req *r;
	struct buf path;
	int64_t begin, end;
	json_t *answer;
};

static void count_lines(void *arg)
{
	struct lines_read *l = arg;

	l->answer = json_integer(logfile_count(buf_str(&l->path)));
}

static void find_lines(void *arg)
{
	struct lines_read *l = arg;

	l->answer = logfile_lines(buf_str(&l->path), l->begin, l->end);
}

static void lines_done(void *arg)
{
	struct lines_read *l = arg;

	reply_ok(l->r, l->answer);
	buf_free(&l->path);
	free(l);
}

/* Takes path over. */
static void read_lines(struct http_req *r, struct buf path, int64_t begin, int64_t end,
		       void (*work)(void *arg))
{
	struct lines_read *l = mem_zalloc(sizeof(*l));

	l->r = r;
	l->path = path;
	l->begin = begin;
	l->end = end;
	offload(request_node(r)->base, OFFLOAD_LOGS, work, lines_done, l);
}

static const struct param log_count_params[] = {
    {"log_type", P_STR, true, NULL},   {"job_id", P_STR, true, NULL},
    {"role", P_STR, false, NULL},      {"party_id", P_STR, false, NULL},
    {"task_name", P_STR, false, NULL}, {"instance_id", P_STR, false, NULL},
};

static void log_count(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);
	struct buf path = {0};
	bool known;

	if (p == NULL)
		return;
	if (typed_path(r, p, &path, &known)) {
		read_lines(r, path, 0, 0, count_lines);
	} else {
		reply_ok(r, json_integer(0));
		buf_free(&path);
	}
	json_decref(p);
}

static const struct param log_query_params[] = {
    {"log_type", P_STR, true, NULL},   {"job_id", P_STR, true, NULL},
    {"role", P_STR, true, NULL},       {"party_id", P_STR, true, NULL},
    {"task_name", P_STR, false, NULL}, {"begin", P_INT, false, "1"},
    {"end", P_INT, false, NULL},       {"instance_id", P_STR, false, NULL},
};

static void log_query(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);
	struct buf path = {0};
	bool known;

	if (p == NULL)
		return;
	if (typed_path(r, p, &path, &known)) {
		int64_t begin = js_int(p, "begin", 1);
		read_lines(r, path, begin > 0 ? begin : 1, js_int(p, "end", INT64_MAX), find_lines);
	} else {
		buf_free(&path);
		if (known)
			reply_ok(r, json_array());
		else
			refuse(r, ERR_SERVER, "Exception('no found log type %.100s')",
			       js_str(p, "log_type", ""));
	}
	json_decref(p);
}

const struct http_route api_log_routes[] = {
    {"GET", "/v2/log/read", log_read, 0, 0, "A log from an offset on, as it grows",
     DOC(TAKES_QUERY(log_read_params),
	 .data = "{offset:integer text:string end:boolean attempt:integer}")},
    {"GET", "/v2/log/count", log_count, 0, 0, "How many lines a log has",
     DOC(TAKES_QUERY(log_count_params), .data = "integer")},
    {"GET", "/v2/log/query", log_query, 0, 0, "Lines of a log by number",
     DOC(TAKES_QUERY(log_query_params), .data = "{line_num:integer content:string}[]")},
};
const size_t api_log_n_routes = ARRAY_LEN(api_log_routes);
