#include "party/group.h"

#include "auth/request.h"
#include "base/js.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/partner.h"
#include "party/peer.h"
#include "plan/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS_MAX 1024

struct item;
struct group;

/* Statements for consecutive items [from, to) of one kind (and, but for reports, of one party of
 * one job), and their answers from the results, of which the first is number k. */
struct kind {
	const char *name;
	bool unknown_is_ok; /* a job that was never created here has nothing to stop */
	bool has_task;
	bool ends; /* has an end status */
	bool is_report;
	bool is_start; /* somebody waits for it */
	void (*add)(const struct group *g, size_t from, size_t to, struct db_batch *b);
	void (*answer)(struct group *g, size_t from, size_t to, const struct db_result *r, int k);
};

struct item {
	const struct kind *kind; /* NULL: wrong, and answered */
	int64_t no;
	const json_t *body; /* borrowed from the request */
	const char *job_id, *role, *party_id;
	const char *task_name;
	bool answered;
	enum err_code code;
	char *text; /* NULL: success */
	int k;      /* of its set in the batch on its way */
};

struct group {
	struct http_req *r;
	size_t n;
	size_t from, to; /* items of the batch on its way */
	bool one_by_one; /* something was refused: whatever it is, it must not undo the others */
	bool wakes_sched, wakes_exec;
	int64_t first_no,
	    last_no; /* of all: what comes again comes as a whole, or from its middle */
	struct item items[];
};

/* ---- answers ---- */

static void answer_ok(struct item *i)
{
	i->answered = true;
}

static void PRINTF_LIKE(3, 4) refuse(struct item *i, enum err_code code, const char *fmt, ...)
{
	va_list ap;
	char text[ERR_MSG_MAX];

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	i->code = code;
	i->text = mem_strdup(text);
	i->answered = true;
}

static void group_free(struct group *g)
{
	for (size_t i = 0; i < g->n; i++)
		free(g->items[i].text);
	free(g);
}

static void reply(struct group *g)
{
	json_t *answers = json_array();

	for (size_t i = 0; i < g->n && g->items[i].answered; i++) {
		const struct item *m = &g->items[i];
		json_array_append_new(
		    answers, node_envelope(m->code, m->text != NULL ? m->text : "success", NULL));
	}
	reply_ok(g->r, json_pack("{s:o}", "answers", answers));
	group_free(g);
}

/* ---- the kinds ---- */

static const char *status_of(const struct item *i)
{
	return js_str(i->body, "status", "");
}

static void bind_job(const struct item *i, struct db_batch *b)
{
	db_text(b, i->job_id);
	db_text(b, i->role);
	db_text(b, i->party_id);
}

/* job_id, task_name, attempt, role, party_id: an array each */
static void bind_tasks(const struct group *g, size_t from, size_t to, struct db_batch *b)
{
	struct db_array job = {0}, task = {0}, attempt = {0}, role = {0}, party = {0};

	for (size_t i = from; i < to; i++) {
		const struct item *m = &g->items[i];
		db_array_text(&job, m->job_id);
		db_array_text(&task, m->task_name);
		db_array_int(&attempt, js_int(m->body, "task_version", 0));
		db_array_text(&role, m->role);
		db_array_text(&party, m->party_id);
	}
	db_array(b, &job);
	db_array(b, &task);
	db_array(b, &attempt);
	db_array(b, &role);
	db_array(b, &party);
}

static void add_job_start(const struct group *g, size_t from, size_t to, struct db_batch *b)
{
	db_add(b, Q_PARTY_JOB_START);
	bind_job(&g->items[from], b);
}

static void answer_job_start(struct group *g, size_t from, size_t to, const struct db_result *r,
			     int k)
{
	bool started = db_get_bool(r, k, 0, "started");

	for (size_t i = from; i < to; i++) {
		struct item *m = &g->items[i];
		if (started)
			answer_ok(m);
		else
			refuse(m, ERR_JOB_UPDATE,
			       "Update job does not take effect: job_id[%s],status[running]",
			       m->job_id);
	}
}

static void add_job_finish(const struct group *g, size_t from, size_t to, struct db_batch *b)
{
	const struct item *m = &g->items[from]; /* the first end counts */
	const json_t *failure = json_object_get(m->body, "first_failure");

	db_add(b, Q_PARTY_JOB_FINISH);
	bind_job(m, b);
	db_text(b, status_of(m));
	db_int(b, js_int(m->body, "progress", 0));
	db_text(b, js_str(m->body, "reason_code", NULL));
	db_text(b, js_str(m->body, "reason", NULL));
	db_json(b, json_is_object(failure) ? failure : NULL);
}

static void answer_ends(struct group *g, size_t from, size_t to, const struct db_result *r, int k)
{
	for (size_t i = from; i < to; i++)
		answer_ok(&g->items[i]);
	g->wakes_exec = true;
}

static void add_task_start(const struct group *g, size_t from, size_t to, struct db_batch *b)
{
	db_add(b, Q_PARTY_TASKS_START);
	bind_tasks(g, from, to, b);
	db_add(b, Q_PARTY_TASKS_STATE);
	bind_tasks(g, from, to, b);
}

static void answer_task_start(struct group *g, size_t from, size_t to, const struct db_result *r,
			      int k)
{
	for (size_t i = from; i < to; i++) {
		const char *status = db_get(r, k + 1, (int)(i - from), "status");
		/* One that comes twice finds it started, or even over: that is no refusal. */
		if (*status != '\0' && strcmp(status, "waiting") != 0)
			answer_ok(&g->items[i]);
		else
			refuse(&g->items[i], ERR_TASK_START,
			       "Start task failed: the job is %s here, the task %s",
			       db_get(r, k + 1, (int)(i - from), "job_status"),
			       *status == '\0' ? "unknown" : status);
	}
	g->wakes_exec = true;
}

static void add_task_stop(const struct group *g, size_t from, size_t to, struct db_batch *b)
{
	struct db_array status = {0}, progress = {0};

	db_add(b, Q_PARTY_TASKS_FINISH);
	bind_tasks(g, from, to, b);
	for (size_t i = from; i < to; i++) {
		db_array_text(&status, status_of(&g->items[i]));
		db_array_int(&progress, js_int(g->items[i].body, "progress", 0));
	}
	db_array(b, &status);
	db_array(b, &progress);
}

static void array_opt_int(struct db_array *a, const json_t *body, const char *key)
{
	if (json_is_integer(json_object_get(body, key)))
		db_array_int(a, js_int(body, key, 0));
	else
		db_array_text(a, NULL);
}

static void add_report(const struct group *g, size_t from, size_t to, struct db_batch *b)
{
	struct db_array status = {0}, code = {0}, sig = {0}, error = {0}, tail = {0}, lost = {0},
			elapsed = {0};

	db_add(b, Q_SCHED_REMOTE_REPORTS);
	bind_tasks(g, from, to, b);
	for (size_t i = from; i < to; i++) {
		const json_t *body = g->items[i].body;
		db_array_text(&status, status_of(&g->items[i]));
		array_opt_int(&code, body, "exit_code");
		array_opt_int(&sig, body, "signal");
		db_array_text(&error, js_str(body, "error", NULL));
		db_array_text(&tail, js_str(body, "stderr_tail", NULL));
		db_array_text(&lost, js_bool(body, "node_lost", false) ? "t" : "f");
		array_opt_int(&elapsed, body, "elapsed_ms");
	}
	struct db_array *all[] = {&status, &code, &sig, &error, &tail, &lost, &elapsed};
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		db_array(b, all[i]);
}

static void answer_report(struct group *g, size_t from, size_t to, const struct db_result *r, int k)
{
	for (int row = 0; row < db_rows(r, k); row++) {
		struct item *m = &g->items[from + (size_t)db_get_int(r, k, row, "place") - 1];
		if (!db_get_bool(r, k, row, "taken")) {
			refuse(m, ERR_TASK_UPDATE,
			       "Update task status does not take effect: "
			       "task_id[%s_%s],task_version[%lld],status[%s]",
			       m->job_id, m->task_name,
			       (long long)js_int(m->body, "task_version", 0), status_of(m));
			continue;
		}
		answer_ok(m);
		/* That it runs now changes no plan. */
		g->wakes_sched |= strcmp(status_of(m), "running") != 0;
	}
	for (size_t i = from; i < to; i++) {
		struct item *m = &g->items[i];
		if (!m->answered)
			refuse(m, ERR_TASK_NOT_FOUND,
			       "No found task: job_id[%s],task_name[%s],role[%s],party_id[%s]",
			       m->job_id, m->task_name, m->role, m->party_id);
	}
}

static const struct kind kinds[] = {
    {"job_start", false, false, false, false, true, add_job_start, answer_job_start},
    {"job_finish", true, false, true, false, false, add_job_finish, answer_ends},
    {"task_start", false, true, false, false, true, add_task_start, answer_task_start},
    {"task_stop", true, true, true, false, false, add_task_stop, answer_ends},
    {"task_report", false, true, false, true, false, add_report, answer_report},
};

/* ---- what has come ---- */

/* NULL: the body is as it should be; else the member that is not. */
static const char *wrong_member(struct item *m, const struct kind *k)
{
	static const char *const texts[] = {"reason_code", "reason", "error", "stderr_tail"};
	static const struct {
		const char *name;
		int min, max;
	} numbers[] = {{"task_version", 0, INT32_MAX},
		       {"progress", 0, 100},
		       {"exit_code", INT32_MIN, INT32_MAX},
		       {"signal", INT32_MIN, INT32_MAX}};

	m->job_id = js_str(m->body, "job_id", NULL);
	m->role = js_str(m->body, "role", NULL);
	m->party_id = js_str(m->body, "party_id", NULL);
	if (m->job_id == NULL || !str_is_name(m->job_id, 64))
		return "job_id";
	if (m->role == NULL || strlen(m->role) > 16)
		return "role";
	if (m->party_id == NULL || strlen(m->party_id) > 50)
		return "party_id";
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const json_t *v = json_object_get(m->body, texts[i]);
		if (v != NULL && !json_is_string(v) && !json_is_null(v))
			return texts[i];
	}
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		const json_t *v = json_object_get(m->body, numbers[i].name);
		if (v != NULL && !json_is_null(v) &&
		    (!json_is_integer(v) || json_integer_value(v) < numbers[i].min ||
		     json_integer_value(v) > numbers[i].max))
			return numbers[i].name;
	}
	const json_t *failure = json_object_get(m->body, "first_failure");
	if (failure != NULL && !json_is_object(failure) && !json_is_null(failure))
		return "first_failure";
	if (k->has_task) {
		m->task_name = peer_task_name(js_str(m->body, "task_id", ""), m->job_id);
		if (m->task_name == NULL || !str_is_name(m->task_name, 50))
			return "task_id";
		if (!json_is_integer(json_object_get(m->body, "task_version")))
			return "task_version";
	}
	if ((k->ends && !status_name_is_end(status_of(m))) ||
	    (k->is_report && *status_of(m) == '\0'))
		return "status";
	return NULL;
}

static void read_item(struct group *g, struct item *m, const json_t *v)
{
	bool in_order = m == g->items || js_int(v, "no", 0) > m[-1].no;
	const char *name = js_str(v, "command", "");
	const struct kind *k = NULL;

	m->no = js_int(v, "no", 0);
	m->body = json_object_get(v, "body");
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kinds[i].name, name) == 0)
			k = &kinds[i];
	}
	if (k == NULL) {
		refuse(m, ERR_API_PARAMETER, "command: this is none that may come in a group");
		return;
	}
	const char *wrong = m->no <= 0 || !in_order   ? "no"
			    : json_is_object(m->body) ? wrong_member(m, k)
						      : "body";
	if (wrong != NULL) {
		refuse(m, ERR_API_PARAMETER, "%s of a %s is missing or not valid", wrong, k->name);
		return;
	}
	const struct tls_identity *id = http_req_identity(g->r);
	if (k->is_report && (id == NULL || !tls_identity_has(id, m->party_id))) {
		refuse(m, ERR_API_PERMISSION,
		       "No Permission: the certificate of the caller does not name party %s",
		       m->party_id);
		return;
	}
	m->kind = k;
	if (g->first_no == 0)
		g->first_no = m->no;
	g->last_no = m->no;
}

/* ---- carrying out ---- */

static void carry_out(struct group *g, size_t from, size_t to);

static bool same_set(const struct item *a, const struct item *b)
{
	return a->kind == b->kind &&
	       (a->kind->is_report ||
		(strcmp(a->job_id, b->job_id) == 0 && strcmp(a->role, b->role) == 0 &&
		 strcmp(a->party_id, b->party_id) == 0));
}

/* The end of the set that begins with item i. */
static size_t set_end(const struct group *g, size_t i)
{
	size_t end = i + 1;

	while (end < g->to && g->items[i].kind != NULL && g->items[end].kind != NULL &&
	       same_set(&g->items[i], &g->items[end]))
		end++;
	return end;
}

static void add_set(struct group *g, size_t from, size_t to, struct db_batch *b)
{
	struct item *m = &g->items[from];

	if (!m->kind->is_report) {
		db_add(b, Q_PARTY_MESSAGE);
		bind_job(m, b);
		db_int(b, g->first_no);
		db_int(b, g->last_no);
		partner_bind_caller(g->r, b);
	}
	m->k = (int)db_batch_count(b);
	m->kind->add(g, from, to, b);
}

/* What was carried out is visible to all, and the scheduler and the executors are at it. The caller
 * must not hear of it before the disk has it. */
static void on_barrier(struct db_result *r, void *arg)
{
	struct group *g = arg;

	if (db_error(r) == NULL) {
		reply(g);
		return;
	}
	reply_db_err(g->r, r);
	group_free(g);
}

static void finish(struct group *g)
{
	struct db_batch *b = db_batch_new(request_node(g->r)->db);

	db_add(b, Q_DB_BARRIER);
	db_submit(b, on_barrier, g);
}

static void wake(struct group *g)
{
	struct node *n = request_node(g->r);

	if (g->wakes_exec)
		node_wake(n, WAKE_EXEC);
	if (g->wakes_sched)
		node_wake(n, WAKE_SCHED);
	g->wakes_exec = g->wakes_sched = false;
}

/* How far the next transaction goes: what starts must not wait for what is told behind it. */
static size_t reach(const struct group *g, size_t from)
{
	if (g->one_by_one)
		return from + 1;
	for (size_t i = g->n; i > from; i--) {
		if (g->items[i - 1].kind != NULL && g->items[i - 1].kind->is_start)
			return i;
	}
	return g->n;
}

static void go_on(struct group *g, size_t next)
{
	if (next < g->n)
		carry_out(g, next, reach(g, next));
	else
		finish(g);
}

static void failed(struct group *g, const struct err *e)
{
	const struct log_ctx ctx = {.request_id = http_req_id(g->r), .attempt = -1};
	struct item *m = &g->items[g->from];

	if (e->code == ERR_DB_LOST || e->code == ERR_DB_UNAVAILABLE) {
		reply_err(g->r, e);
		group_free(g);
	} else if (!g->one_by_one) {
		g->one_by_one = true;
		go_on(g, g->from);
	} else if (e->code == ERR_JOB_NOT_FOUND && m->kind->unknown_is_ok) {
		answer_ok(m);
		go_on(g, g->to);
	} else if (e->code == ERR_DB) {
		log_error(&ctx, "%s of job %s: %s", m->kind->name, m->job_id, e->msg);
		refuse(m, ERR_SERVER,
		       "the database refused the request; the server log has the details");
		finish(g);
	} else {
		log_warn(&ctx, "refused %s of job %s from %s: %s", m->kind->name, m->job_id,
			 http_req_remote(g->r), e->msg);
		refuse(m, e->code, "%s", e->msg);
		go_on(g, g->to);
	}
}

static void on_done(struct db_result *r, void *arg)
{
	struct group *g = arg;

	if (db_error(r) != NULL) {
		failed(g, db_error(r));
		return;
	}
	for (size_t i = g->from, end; i < g->to; i = end) {
		end = set_end(g, i);
		if (g->items[i].kind != NULL)
			g->items[i].kind->answer(g, i, end, r, g->items[i].k);
	}
	wake(g);
	go_on(g, g->to);
}

/* Items [from, to) in one transaction. */
static void carry_out(struct group *g, size_t from, size_t to)
{
	struct db_batch *b = db_batch_new(request_node(g->r)->db);

	g->from = from;
	g->to = to;
	db_add(b, Q_DB_LAZY);
	for (size_t i = from, end; i < to; i = end) {
		end = set_end(g, i);
		if (g->items[i].kind != NULL)
			add_set(g, i, end, b);
	}
	db_submit(b, on_done, g);
}

static const struct param group_params[] = {{"messages", P_LIST, true, NULL}};
const struct http_doc group_doc = {TAKES_JSON(group_params), .data = "{answers:Result[]}"};

void group_handle(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);
	const json_t *list = json_object_get(p, "messages");
	size_t n = json_array_size(list);

	if (p == NULL)
		return;
	json_decref(p); /* the list is the request's, too */
	if (n == 0 || n > ITEMS_MAX) {
		reply_code(r, ERR_API_PARAMETER, "messages: 1 to %d at once", ITEMS_MAX);
		return;
	}
	struct group *g = mem_zalloc(sizeof(*g) + n * sizeof(g->items[0]));
	g->r = r;
	g->n = n;
	for (size_t i = 0; i < n; i++)
		read_item(g, &g->items[i], json_array_get(list, i));
	go_on(g, 0);
}
