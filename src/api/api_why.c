/* /v2/job/why: why a job failed, waits, or takes long, in words. */
#include "api/why.h"
#include "api/reply.h"

#include "base/clock.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The statements of the batch, in order. */
enum { S_JOB, S_QUEUE, S_PARTY, S_RUNS, S_TASK };

struct why {
	struct http_req *r;
	char job_id[65];
	char task_name[65]; /* "": the whole job */
};

/* The answer under construction. */
struct answer {
	const struct db_result *res;
	struct buf summary;
	json_t *lines;
	json_t *failure; /* NULL: none */
	json_t *waiting; /* NULL: nothing */
	char status[16];
};

static void line(struct answer *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void line(struct answer *a, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	size_t len = strlen(text);
	while (len > 0 && !str_is_utf8(text, len))
		len--; /* the cut fell into a character */
	json_array_append_new(a->lines, json_stringn(text, len));
}

static const char *elapsed(int64_t ms, char out[32])
{
	clock_format_elapsed(ms > 0 ? ms : 0, out, 32);
	return out;
}

/* ---- hints ---- */

struct hint {
	const char *word; /* in the error or the last lines of stderr */
	const char *text;
};

static const struct hint hints[] = {
    {"was lost while",
     "a node of the site went away; with dag.conf.auto_retries the task is tried again"},
    {"No space left", "a disk of that site is full: make room, then `norn job rerun JOB`"},
    {"has not answered", "see whether that site is up: `norn site check PARTY`"},
    {"result file",
     "a component must write its result to the file named by --execution-final-meta-path before it "
     "ends: its stderr log may say why it did not"},
    {"checksum", "the table was changed or damaged on disk: upload it again"},
    {"No found table",
     "the party has no such table: upload it there, or correct the reader's namespace and name"},
    {"ModuleNotFoundError",
     "a Python package is missing in the provider's environment at that site"},
    {"MemoryError",
     "the component ran out of memory: give it less data or the machine more memory"},
    {"Permission denied", "the user of nornd at that site may not read or write that path"},
    {"No such file", "the path does not exist on the machine where the task ran"},
    {"peer",
     "the other site was not reached: `norn site check PARTY` shows where the connection fails"},
};

static const char *hint_of_failure(const json_t *f)
{
	const char *texts[] = {js_str(f, "error", ""), js_str(f, "stderr_tail", "")};

	if (js_bool(f, "node_lost", false))
		return hints[0].text;
	if (str_eq(js_str(f, "status", ""), "timeout") &&
	    strstr(js_str(f, "error", ""), "has not answered") == NULL)
		return "raise the task's conf.timeout, or give it more cores";
	for (size_t k = 0; k < ARRAY_LEN(texts); k++) {
		for (size_t i = 0; i < ARRAY_LEN(hints); i++) {
			if (strstr(texts[k], hints[i].word) != NULL)
				return hints[i].text;
		}
	}
	if (js_int(f, "signal", 0) == 9)
		return "the process was killed from outside: often the kernel, when memory ran out "
		       "(see dmesg)";
	if (js_int(f, "signal", 0) != 0)
		return "the component crashed: its stderr log has more";
	if (js_int(f, "exit_code", 0) == 127 || js_int(f, "exit_code", 0) == 126)
		return "the component's program could not be started: check the provider's path at "
		       "that site";
	return "the task's log has more: `norn log JOB TASK`";
}

static const char *hint_of_reason(const char *reason_code)
{
	if (str_eq(reason_code, "party_refused"))
		return "the named party did not accept the job: its message says what to correct";
	if (str_eq(reason_code, "resources_never"))
		return "lower dag.conf.cores or the tasks' engine_run.cores, or raise "
		       "resources.cores of that site";
	if (str_eq(reason_code, "deadline"))
		return "raise dag.conf.timeout";
	return NULL;
}

static const char *hint_of_waiting(const struct answer *a)
{
	if (str_eq(a->status, "ready"))
		return "`norn site check PARTY` shows whether the party is reached";
	if (js_bool(a->waiting, "blocked", false))
		return "stop a job that holds cores, lower dag.conf.cores, or wait; `norn server "
		       "resources` "
		       "shows who holds what";
	return NULL;
}

/* ---- the parts ---- */

static bool is_bad(const char *status)
{
	return str_eq(status, "failed") || str_eq(status, "timeout");
}

static void failure_summary(struct answer *a)
{
	const json_t *f = a->failure;
	const char *error = js_str(f, "error", "");

	buf_printf(&a->summary, "task %s failed at %s %s", js_str(f, "task_name", "?"),
		   js_str(f, "role", "?"), js_str(f, "party_id", "?"));
	if (js_int(f, "attempt", 0) > 0)
		buf_printf(&a->summary, " in attempt %lld", (long long)js_int(f, "attempt", 0));
	if (error[0] != '\0')
		buf_printf(&a->summary, ": %s", error);
	else if (js_int(f, "signal", 0) != 0)
		buf_printf(&a->summary, " by signal %lld", (long long)js_int(f, "signal", 0));
	else if (json_is_integer(json_object_get(f, "exit_code")))
		buf_printf(&a->summary, " with exit code %lld",
			   (long long)js_int(f, "exit_code", 0));
}

static void party_line(struct answer *a, const json_t *p)
{
	const char *who = js_str(p, "role", "");
	const char *id = js_str(p, "party_id", "");
	const char *created = js_str(p, "create_state", "");
	const char *last = js_str(p, "last_error", NULL);

	if (str_eq(created, "asked"))
		line(a, "%s %s has not accepted the job yet", who, id);
	else if (str_eq(created, "refused"))
		line(a, "%s %s refused the job: %s", who, id,
		     js_str(p, "detail", "no reason given"));
	else if (js_str(p, "detail", NULL) != NULL)
		line(a, "%s %s: %s", who, id, js_str(p, "detail", ""));
	else if (str_eq(js_str(p, "reserve_state", ""), "asked"))
		line(a, "%s %s was asked for %lld cores and has not answered yet", who, id,
		     (long long)js_int(p, "cores", 0));
	if (last != NULL)
		line(a, "party %s was not reached in %lld tries: %s", id,
		     (long long)js_int(p, "tries", 0), last);
}

static void explain_queue(struct answer *a)
{
	const struct db_result *res = a->res;
	size_t i;
	json_t *p;

	if (db_rows(res, S_QUEUE) == 0 || str_eq(a->status, "running"))
		return;
	bool blocked = db_get_bool(res, S_QUEUE, 0, "blocked");
	json_t *parties = db_get_json(res, S_QUEUE, 0, "parties");
	int64_t position = db_get_int(res, S_QUEUE, 0, "queue_position");
	a->waiting = json_pack("{s:s, s:b, s:I, s:o}", "for",
			       str_eq(a->status, "ready") ? "parties to accept the job"
			       : blocked                  ? "resources"
							  : "a scheduler",
			       "blocked", blocked, "next_try_ms",
			       (json_int_t)db_get_int(res, S_QUEUE, 0, "next_try_ms"), "parties",
			       parties != NULL ? parties : json_array());
	buf_reset(&a->summary);
	buf_printf(&a->summary, "the job waits for %s", js_str(a->waiting, "for", ""));
	if (blocked) {
		json_object_set_new(a->waiting, "queue_position", json_integer(position));
		buf_printf(&a->summary, ", number %lld of %lld in the queue", (long long)position,
			   (long long)db_get_int(res, S_QUEUE, 0, "queue_length"));
	}
	json_array_foreach (json_object_get(a->waiting, "parties"), i, p)
		party_line(a, p);
}

static void explain_running(struct answer *a)
{
	char took[32];
	size_t i;
	json_t *t;
	json_t *running = db_get_json(a->res, S_JOB, 0, "running");
	json_t *retries = db_get_json(a->res, S_JOB, 0, "retries");

	json_array_foreach (running, i, t)
		line(a, "task %s runs for %s (attempt %lld): %s", js_str(t, "task_name", ""),
		     elapsed(js_int(t, "elapsed_ms", 0), took), (long long)js_int(t, "attempt", 0),
		     js_str(t, "parties", ""));
	json_array_foreach (retries, i, t)
		line(a, "task %s is tried again in %s as attempt %lld; %lld more tries are allowed",
		     js_str(t, "task_name", ""), elapsed(js_int(t, "wait_ms", 0), took),
		     (long long)js_int(t, "attempt", 0), (long long)js_int(t, "retries_left", 0));
	json_decref(running);
	json_decref(retries);
}

/* A run that did not fail by itself: the scheduler had it ended, for what happened elsewhere. */
static bool was_stopped(const struct db_result *res, int row)
{
	return db_get(res, S_RUNS, row, "error")[0] == '\0';
}

/* Runs of this site: more failures than the first, and the node where each ran. */
static void explain_runs(struct answer *a)
{
	for (int i = 0; i < db_rows(a->res, S_RUNS); i++) {
		const char *status = db_get(a->res, S_RUNS, i, "party_status");
		char took[32];
		if (str_eq(status, "running"))
			line(a, "%s %s runs task %s for %s on node %s",
			     db_get(a->res, S_RUNS, i, "role"),
			     db_get(a->res, S_RUNS, i, "party_id"),
			     db_get(a->res, S_RUNS, i, "task_name"),
			     elapsed(db_get_int(a->res, S_RUNS, i, "elapsed_ms"), took),
			     db_get(a->res, S_RUNS, i, "node"));
		else if (is_bad(status) && was_stopped(a->res, i))
			line(a, "%s %s: task %s was ended after %s, because it failed elsewhere",
			     db_get(a->res, S_RUNS, i, "role"),
			     db_get(a->res, S_RUNS, i, "party_id"),
			     db_get(a->res, S_RUNS, i, "task_name"),
			     elapsed(db_get_int(a->res, S_RUNS, i, "elapsed_ms"), took));
		else if (is_bad(status))
			line(a, "%s %s: task %s ended as %s after %s on node %s: %s",
			     db_get(a->res, S_RUNS, i, "role"),
			     db_get(a->res, S_RUNS, i, "party_id"),
			     db_get(a->res, S_RUNS, i, "task_name"), status,
			     elapsed(db_get_int(a->res, S_RUNS, i, "elapsed_ms"), took),
			     db_get(a->res, S_RUNS, i, "node"), db_get(a->res, S_RUNS, i, "error"));
		else
			line(a, "%s %s: task %s is %s", db_get(a->res, S_RUNS, i, "role"),
			     db_get(a->res, S_RUNS, i, "party_id"),
			     db_get(a->res, S_RUNS, i, "task_name"), status);
	}
}

static json_t *int_or_null(const struct db_result *res, int k, int row, const char *col)
{
	return db_is_null(res, k, row, col) ? json_null()
					    : json_integer(db_get_int(res, k, row, col));
}

/* The first bad run of this site in the form of first_failure. */
static json_t *own_failure(const struct db_result *res)
{
	for (int i = 0; i < db_rows(res, S_RUNS); i++) {
		const char *status = db_get(res, S_RUNS, i, "party_status");
		if (!is_bad(status) || was_stopped(res, i))
			continue;
		return json_pack(
		    "{s:s, s:o, s:s, s:s, s:s, s:o, s:o, s:s, s:s}", "task_name",
		    db_get(res, S_RUNS, i, "task_name"), "attempt",
		    int_or_null(res, S_RUNS, i, "attempt"), "role", db_get(res, S_RUNS, i, "role"),
		    "party_id", db_get(res, S_RUNS, i, "party_id"), "status", status, "exit_code",
		    int_or_null(res, S_RUNS, i, "exit_code"), "signal",
		    int_or_null(res, S_RUNS, i, "signal"), "error", db_get(res, S_RUNS, i, "error"),
		    "stderr_tail", db_get(res, S_RUNS, i, "stderr_tail"));
	}
	return NULL;
}

/* ---- the whole job ---- */

static const char *as_scheduler(struct answer *a)
{
	const struct db_result *res = a->res;
	const char *reason = db_get(res, S_JOB, 0, "reason");
	bool over = !db_is_null(res, S_JOB, 0, "elapsed_ms");
	char took[32];

	str_copy(a->status, sizeof(a->status), db_get(res, S_JOB, 0, "status"));
	elapsed(db_get_int(res, S_JOB, 0, over ? "elapsed_ms" : "age_ms"), took);
	if (over)
		buf_printf(&a->summary, "the job ended as %s after %s", a->status, took);
	else
		buf_printf(&a->summary, "the job is %s, submitted %s ago", a->status, took);
	line(a, "%lld of %lld tasks are done, %lld run",
	     (long long)db_get_int(res, S_JOB, 0, "n_success"),
	     (long long)db_get_int(res, S_JOB, 0, "n_tasks"),
	     (long long)db_get_int(res, S_JOB, 0, "n_running"));
	if (!db_is_null(res, S_JOB, 0, "stop_status") && !over)
		line(a, "%s has asked to stop it; its tasks are being ended",
		     db_get(res, S_JOB, 0, "stop_actor"));
	explain_running(a);
	explain_queue(a);
	a->failure = db_get_json(res, S_JOB, 0, "first_failure");
	if (a->failure == NULL && !str_eq(a->status, "success") && !str_eq(a->status, "canceled"))
		a->failure = own_failure(res);
	if (a->failure != NULL && over) {
		buf_reset(&a->summary);
		failure_summary(a);
	} else if (reason[0] != '\0') {
		buf_printf(&a->summary, ": %s", reason);
	}
	return hint_of_reason(db_get(res, S_JOB, 0, "reason_code"));
}

static const char *as_party(struct answer *a)
{
	const struct db_result *res = a->res;
	char took[32];

	str_copy(a->status, sizeof(a->status), db_get(res, S_PARTY, 0, "status"));
	buf_printf(&a->summary, "the job is %s here, created %s ago", a->status,
		   elapsed(db_get_int(res, S_PARTY, 0, "age_ms"), took));
	if (!db_is_null(res, S_PARTY, 0, "reason"))
		buf_printf(&a->summary, ": %s", db_get(res, S_PARTY, 0, "reason"));
	line(a, "party %s schedules the job; its site knows more",
	     db_get(res, S_PARTY, 0, "scheduler_party_id"));
	for (int i = 0; i < db_rows(res, S_PARTY); i++) {
		const char *status = db_get(res, S_PARTY, i, "status");
		line(a, "%s %s: %s, %lld %% done", db_get(res, S_PARTY, i, "role"),
		     db_get(res, S_PARTY, i, "party_id"), status,
		     (long long)db_get_int(res, S_PARTY, i, "progress"));
		if (str_eq(status, "waiting") && !db_get_bool(res, S_PARTY, i, "reserved"))
			line(a, "%s %s: its %lld cores are not reserved yet",
			     db_get(res, S_PARTY, i, "role"), db_get(res, S_PARTY, i, "party_id"),
			     (long long)db_get_int(res, S_PARTY, i, "cores"));
	}
	explain_runs(a);
	a->failure = db_get_json(res, S_PARTY, 0, "first_failure");
	if (a->failure == NULL)
		a->failure = own_failure(res);
	if (a->failure != NULL && !str_eq(a->status, "running") && !str_eq(a->status, "success")) {
		buf_reset(&a->summary);
		failure_summary(a);
	}
	return hint_of_reason(db_get(res, S_PARTY, 0, "reason_code"));
}

/* ---- one task ---- */

static const char *of_task(struct answer *a, const struct why *w)
{
	const struct db_result *res = a->res;
	char took[32];
	size_t i;
	json_t *run;

	if (db_rows(res, S_TASK) == 0) { /* only this site's parties are known */
		str_copy(a->status, sizeof(a->status), db_get(res, S_RUNS, 0, "status"));
		buf_printf(&a->summary, "task %s is %s", w->task_name, a->status);
		explain_runs(a);
		a->failure = own_failure(res);
		return NULL;
	}
	json_t *runs = db_get_json(res, S_TASK, 0, "runs");
	str_copy(a->status, sizeof(a->status), db_get(res, S_TASK, 0, "status"));
	buf_printf(&a->summary, "task %s is %s (attempt %lld)", w->task_name, a->status,
		   (long long)db_get_int(res, S_TASK, 0, "attempt"));
	if (!db_is_null(res, S_TASK, 0, "waits_for")) {
		buf_printf(&a->summary, ": it waits for %s", db_get(res, S_TASK, 0, "waits_for"));
		a->waiting = json_pack("{s:s}", "for", db_get(res, S_TASK, 0, "waits_for"));
	} else if (!db_is_null(res, S_TASK, 0, "retry_wait_ms") && str_eq(a->status, "waiting")) {
		buf_printf(&a->summary, ": it is tried again in %s",
			   elapsed(db_get_int(res, S_TASK, 0, "retry_wait_ms"), took));
	} else if (str_eq(a->status, "waiting")) {
		buf_adds(&a->summary,
			 ": it waits for the job to start or for free cores of the job");
	}
	json_array_foreach (runs, i, run) {
		const char *status = js_str(run, "status", "");
		const char *error = js_str(run, "error", "");
		line(a, "%s %s: %s%s%s", js_str(run, "role", ""), js_str(run, "party_id", ""),
		     status, error[0] != '\0' ? ": " : "", error);
		if (a->failure == NULL && is_bad(status))
			a->failure = json_incref(run);
	}
	if (a->failure != NULL && !str_eq(a->status, "success") && !str_eq(a->status, "pass")) {
		buf_reset(&a->summary);
		failure_summary(a);
	}
	json_decref(runs);
	return NULL;
}

/* ---- the answer ---- */

static void on_known(struct db_result *res, void *arg)
{
	struct why *w = arg;
	struct answer a = {.res = res};
	const char *hint;

	if (db_error(res) != NULL) {
		reply_db_err(w->r, res);
		free(w);
		return;
	}
	bool known = db_rows(res, S_JOB) > 0 || db_rows(res, S_PARTY) > 0;
	bool task = w->task_name[0] != '\0';
	if (!known || (task && db_rows(res, S_TASK) == 0 && db_rows(res, S_RUNS) == 0)) {
		refuse(w->r, known ? ERR_TASK_NOT_FOUND : ERR_JOB_NOT_FOUND,
		       "No found %s: job_id[%s]%s%s%s", known ? "task" : "job", w->job_id,
		       known ? ",task_name[" : "", known ? w->task_name : "", known ? "]" : "");
		free(w);
		return;
	}
	a.lines = json_array();
	hint = task ? of_task(&a, w) : db_rows(res, S_JOB) > 0 ? as_scheduler(&a) : as_party(&a);
	if (hint == NULL && a.failure != NULL)
		hint = hint_of_failure(a.failure);
	if (hint == NULL && a.waiting != NULL)
		hint = hint_of_waiting(&a);
	json_t *data = json_pack("{s:s, s:s, s:o}", "summary", buf_str(&a.summary), "status",
				 a.status, "lines", a.lines);
	if (a.failure != NULL)
		json_object_set_new(data, "first_failure", a.failure);
	if (a.waiting != NULL)
		json_object_set_new(data, "waiting", a.waiting);
	if (hint != NULL)
		json_object_set_new(data, "hint", json_string(hint));
	buf_free(&a.summary);
	reply_ok(w->r, data);
	free(w);
}

static const struct param api_job_why_params[] = {
    {"job_id", P_STR, true, NULL},
    {"task_name", P_STR, false, NULL},
};
const struct http_doc api_why_doc = {TAKES_QUERY(api_job_why_params), .data = "Why"};

void api_job_why(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct why *w = mem_zalloc(sizeof(*w));
	w->r = r;
	bool fits = str_copy(w->job_id, sizeof(w->job_id), js_str(p, "job_id", "")) &&
		    str_copy(w->task_name, sizeof(w->task_name), js_str(p, "task_name", ""));
	json_decref(p);
	if (!fits) {
		refuse(r, ERR_JOB_NOT_FOUND, "No found job: job_id[%s],task_name[%s]", w->job_id,
		       w->task_name);
		free(w);
		return;
	}
	const enum db_stmt by_job[] = {Q_API_WHY_JOB, Q_API_WHY_QUEUE, Q_API_WHY_PARTY};
	struct db_batch *b = db_batch_new(request_node(r)->db);
	for (size_t i = 0; i < ARRAY_LEN(by_job); i++) {
		db_add(b, by_job[i]);
		db_text(b, w->job_id);
	}
	db_add(b, Q_API_WHY_RUNS);
	db_text(b, w->job_id);
	db_text(b, w->task_name[0] != '\0' ? w->task_name : NULL);
	db_add(b, Q_API_WHY_TASK);
	db_text(b, w->job_id);
	db_text(b, w->task_name);
	db_submit(b, on_known, w);
}
