/*
 * Recording how runs ended. A run that has left outputs is recorded by itself, in one transaction
 * with them. All others wait in a queue and are recorded in sets: while one set is on its way the
 * next one gathers.
 */
#include "exec/run.h"

#include "base/mem.h"
#include "base/str.h"
#include "party/outbox.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_RETRY_MS 1000
#define SET_MAX         64

static void record(struct run *r);
static void flush(struct finish *f);

/* ---- one by itself ---- */

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	record(arg);
}

static void retry_later(struct run *r)
{
	static const struct timeval later = {RECORD_RETRY_MS / 1000, 0};

	event_base_once(r->node->base, -1, EV_TIMEOUT, on_retry, r, &later);
}

static bool is_transient(const struct err *e)
{
	return e->code == ERR_DB_LOST || e->code == ERR_DB_UNAVAILABLE;
}

static void too_late(struct run *r)
{
	const struct log_ctx ctx = run_ctx(r);

	log_warn(
	    &ctx,
	    "the end of the run came too late: its lease is lost, another attempt has taken over");
	run_over(r);
}

/* The scheduler is that of this site, or hears of it by a message, which is on its way if it was
 * claimed with the end. claim_at: as of outbox_claim_add(). */
static void recorded(struct run *r, int claim_at)
{
	if (r->has_exit)
		run_step(r, PHASE_REPORTED);
	if (!r->away)
		node_wake(r->node, WAKE_SCHED);
	else if (claim_at < 0)
		node_wake(r->node, WAKE_OUTBOX);
	run_over(r);
}

static void on_recorded(struct db_result *res, void *arg)
{
	struct run *r = arg;
	const struct log_ctx ctx = run_ctx(r);
	const struct err *e = db_error(res);

	outbox_claimed(r->node, res, r->claim_at);
	if (e == NULL) {
		recorded(r, r->claim_at);
		return;
	}
	if (e->code == ERR_CONFLICT) {
		too_late(r);
		return;
	}
	log_warn(&ctx, "recording the end of the run: %s", e->msg);
	if (!is_transient(e) && strcmp(r->end_status, "success") == 0) {
		/* What it left cannot be registered: that is a failure of the task. */
		buf_reset(&r->error);
		buf_printf(&r->error, "its outputs could not be registered: %s", e->msg);
		str_copy(r->end_status, sizeof(r->end_status), "failed");
	} else if (!is_transient(e) && ++r->tries > 5) {
		exec_look_for_lost(r->exec); /* it is given up as a claim that nobody knows of */
		run_over(r);
		return;
	}
	retry_later(r);
}

/* The end of stderr as text that the database takes; NULL when there is none. Caller frees. */
static char *tail_text(const struct run *r)
{
	struct buf b = {0};

	if (r->tail.len == 0)
		return NULL;
	if (str_is_utf8(r->tail.data, r->tail.len) &&
	    memchr(r->tail.data, '\0', r->tail.len) == NULL)
		buf_add(&b, r->tail.data, r->tail.len);
	else
		str_vis(&b, r->tail.data, r->tail.len);
	return buf_take(&b);
}

static bool has_exit_code(const struct run *r)
{
	return r->has_exit && r->exit_code >= 0;
}

static bool has_signal(const struct run *r)
{
	return r->has_exit && r->signal > 0;
}

static void bind_end(struct run *r, struct db_batch *b)
{
	char *actor = mem_printf("node %s", r->node->name);
	char *tail = tail_text(r);

	db_add(b, Q_RUN_FINISH);
	db_int(b, r->run_no);
	db_int(b, r->lease_no);
	db_text(b, r->end_status);
	if (has_exit_code(r))
		db_int(b, r->exit_code);
	else
		db_null(b);
	if (has_signal(r))
		db_int(b, r->signal);
	else
		db_null(b);
	db_text(b, buf_str(&r->error));
	db_text(b, tail);
	db_int(b, r->user_ms);
	db_int(b, r->sys_ms);
	db_int(b, r->max_rss_kb);
	db_bool(b, r->node_lost);
	db_text(b, r->end_reason);
	db_text(b, actor);
	db_bool(b, r->node->conf->share_error_tail);
	free(tail);
	free(actor);
}

static void record(struct run *r)
{
	struct db_batch *b = db_batch_new(r->node->db);
	struct err e = {0};

	bind_end(r, b);
	if (strcmp(r->end_status, "success") == 0 && !results_add(r, b, &e)) {
		db_batch_free(b);
		buf_reset(&r->error);
		buf_adds(&r->error, e.msg);
		str_copy(r->end_status, sizeof(r->end_status), "failed");
		b = db_batch_new(r->node->db);
		bind_end(r, b);
	}
	r->claim_at = r->away ? outbox_claim_add(r->node, b) : -1;
	db_submit(b, on_recorded, r);
}

/* ---- in sets ---- */

struct set {
	struct finish *f;
	int claim_at; /* statement by which the reports to other sites are claimed */
	int n;
	struct run *runs[SET_MAX];
};

static bool was_taken(const struct db_result *res, int64_t run_no)
{
	for (int i = 0; i < db_rows(res, 0); i++) {
		if (db_get_int(res, 0, i, "run_no") == run_no)
			return true;
	}
	return false;
}

static void on_set(struct db_result *res, void *arg)
{
	struct set *s = arg;
	struct finish *f = s->f;

	f->busy = false;
	outbox_claimed(f->node, res, s->claim_at);
	for (int i = 0; i < s->n; i++) {
		if (db_error(res) != NULL)
			record(s->runs[i]); /* each by itself: one of them may be to blame */
		else if (was_taken(res, s->runs[i]->run_no))
			recorded(s->runs[i], s->claim_at);
		else
			too_late(s->runs[i]);
	}
	free(s);
	if (!STAILQ_EMPTY(&f->queue))
		flush(f);
}

static void array_or_null(struct db_array *a, bool given, int64_t v)
{
	if (given)
		db_array_int(a, v);
	else
		db_array_text(a, NULL);
}

static void flush(struct finish *f)
{
	struct db_array no = {0}, lease = {0}, status = {0}, code = {0}, sig = {0}, error = {0},
			tail = {0}, user = {0}, sys = {0}, rss = {0}, reason = {0};
	struct db_array *all[] = {&no,   &lease, &status, &code, &sig,   &error,
				  &tail, &user,  &sys,    &rss,  &reason};
	struct set *s = mem_zalloc(sizeof(*s));
	struct db_batch *b = db_batch_new(f->node->db);
	char *actor = mem_printf("node %s", f->node->name);
	bool away = false;

	s->f = f;
	while (s->n < SET_MAX && !STAILQ_EMPTY(&f->queue)) {
		struct run *r = STAILQ_FIRST(&f->queue);
		char *text = tail_text(r);
		STAILQ_REMOVE_HEAD(&f->queue, ending);
		s->runs[s->n++] = r;
		away |= r->away;
		db_array_int(&no, r->run_no);
		db_array_int(&lease, r->lease_no);
		db_array_text(&status, r->end_status);
		array_or_null(&code, has_exit_code(r), r->exit_code);
		array_or_null(&sig, has_signal(r), r->signal);
		db_array_text(&error, buf_str(&r->error));
		db_array_text(&tail, text);
		db_array_int(&user, r->user_ms);
		db_array_int(&sys, r->sys_ms);
		db_array_int(&rss, r->max_rss_kb);
		db_array_text(&reason, r->end_reason);
		free(text);
	}
	f->busy = true;
	db_add(b, Q_RUNS_FINISH);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		db_array(b, all[i]);
	db_text(b, actor);
	db_bool(b, f->node->conf->share_error_tail);
	s->claim_at = away ? outbox_claim_add(f->node, b) : -1;
	db_submit(b, on_set, s);
	free(actor);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct finish *f = arg;

	if (!f->busy && !STAILQ_EMPTY(&f->queue))
		flush(f);
}

/* Whether anything must be written besides the end itself. */
static bool has_outputs(const struct run *r)
{
	const json_t *outputs = json_object_get(json_object_get(r->result, "io_meta"), "outputs");

	return strcmp(r->end_status, "success") == 0 &&
	       (json_object_size(json_object_get(outputs, "data")) > 0 ||
		json_object_size(json_object_get(outputs, "model")) > 0);
}

void run_end(struct run *r, const char *status, const char *reason)
{
	static const struct timeval now = {0, 0};
	const struct log_ctx ctx = run_ctx(r);
	struct finish *f = exec_finish(r->exec);

	r->state = RUN_RECORDING;
	str_copy(r->end_status, sizeof(r->end_status), status);
	r->end_reason = reason;
	channel_close(r->node->channel, r->execution_id);
	if (strcmp(status, "success") == 0)
		log_info(&ctx, "success");
	else
		log_warn(&ctx, "%s: %s", status, buf_str(&r->error));
	if (has_outputs(r) || r->node_lost) {
		record(r);
		return;
	}
	/* Never from inside the caller: others that end in the same round of the loop come along.
	 */
	STAILQ_INSERT_TAIL(&f->queue, r, ending);
	if (!f->busy)
		evtimer_add(f->timer, &now);
}

void finish_init(struct finish *f, struct node *n)
{
	f->node = n;
	STAILQ_INIT(&f->queue);
	f->timer = evtimer_new(n->base, on_timer, f);
}

void finish_free(struct finish *f)
{
	event_free(f->timer);
}
