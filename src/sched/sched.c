#include "sched/sched.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "party/outbox.h"
#include "plan/plan.h"
#include "sched/cycle.h"
#include "store/phases.h"

#include <stdlib.h>
#include <string.h>

#define IDLE_MAX_MS   1000 /* the safety net when a wake-up was lost */
#define ERROR_WAIT_MS 500

enum sched_state {
	SCHED_SLEEPING, /* the timer is set */
	SCHED_BUSY,     /* a cycle is on its way */
	SCHED_STOPPED
};

struct sched {
	struct node *node;
	struct event *timer;
	enum sched_state state;
	bool again; /* woken while busy */
	int batch;  /* jobs a claim; 1 for a while after the database refused a plan */
	struct cycle *cycle;
	struct cycle_wakes wakes;
	int leave_index;
	int claim_at; /* statement by which the messages of the plan are claimed */
	struct plan_policy policy;
	int64_t cycles, planned, refused;
	int64_t claim_us; /* when the cycle began */
};

static void claim(struct sched *s);

static void sleep_ms(struct sched *s, int64_t ms)
{
	const struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	if (s->state != SCHED_STOPPED) {
		s->state = SCHED_SLEEPING;
		evtimer_add(s->timer, &tv);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	claim(arg);
}

static void on_wake(void *arg)
{
	struct sched *s = arg;

	if (s->state == SCHED_SLEEPING)
		claim(s);
	else
		s->again = true;
}

static void on_next_due(struct db_result *r, void *arg)
{
	struct sched *s = arg;
	int64_t wait_ms = IDLE_MAX_MS;

	if (s->state == SCHED_STOPPED)
		return;
	if (db_error(r) == NULL && db_rows(r, 0) == 1 && !db_is_null(r, 0, 0, "wait_ms")) {
		wait_ms = db_get_int(r, 0, 0, "wait_ms");
		if (wait_ms > IDLE_MAX_MS)
			wait_ms = IDLE_MAX_MS;
	}
	if (s->again) {
		claim(s);
		return;
	}
	sleep_ms(s, wait_ms);
}

/* The cycle is over: go on at once when there may be more, else find out how long to sleep. */
static void rest(struct sched *s, bool more)
{
	cycle_free(s->cycle);
	s->cycle = NULL;
	if (s->state == SCHED_STOPPED)
		return;
	if (more || s->again) {
		claim(s);
		return;
	}
	struct db_batch *b = db_batch_new(s->node->db);
	db_add(b, Q_SCHED_NEXT_DUE);
	db_submit(b, on_next_due, s);
}

static void failed(struct sched *s, const char *doing, const struct err *e)
{
	log_warn(LOG_CTX_NONE, "scheduler: %s: %s", doing, e->msg);
	cycle_free(s->cycle);
	s->cycle = NULL;
	sleep_ms(s, ERROR_WAIT_MS);
}

/* The database refuses what was planned for this one job: end the job with that text. */
static void give_up_job(struct sched *s, const struct err *e)
{
	const struct cycle_job *j = &s->cycle->jobs[0];
	const struct log_ctx ctx = {.job_id = j->job_id, .attempt = -1};

	log_error(&ctx, "the plan of the job was refused: %s", e->msg);
	s->refused++;
	struct db_batch *b = db_batch_new(s->node->db);
	db_add(b, Q_SCHED_FAIL_JOB);
	db_text(b, j->job_id);
	db_text(b, e->msg);
	db_submit(b, NULL, NULL);
	s->batch = (int)s->node->conf->sched_batch;
	cycle_free(s->cycle);
	s->cycle = NULL;
	sleep_ms(s, ERROR_WAIT_MS);
}

/* Whether the same plan would be refused again: not when the database is busy, full, stopping or of
 * another version. */
static bool plan_is_to_blame(const struct db_result *r)
{
	static const char *const classes[] = {"22", "23", "NR", "P0"};
	const char *state = db_sqlstate(r);

	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		if (strncmp(state, classes[i], 2) == 0)
			return true;
	}
	return false;
}

static void count_phases(const struct sched *s)
{
	int64_t took_us = clock_mono_us() - s->claim_us;

	for (int i = 0; i < s->cycle->n_jobs; i++) {
		const struct cycle_job *j = &s->cycle->jobs[i];
		if (j->result.n_effects > 0)
			phase_seen(PHASE_PLANNED, took_us);
		if (j->was == ST_WAITING && j->plan.status != ST_WAITING && j->queued_ms >= 0 &&
		    j->plan.status != ST_CANCELED)
			phase_seen(PHASE_QUEUED, j->queued_ms * 1000);
		if (j->was == ST_WAITING && j->plan.status == ST_RUNNING && j->asked_ms >= 0)
			phase_seen(PHASE_RESERVED, j->asked_ms * 1000);
	}
}

static void on_applied(struct db_result *r, void *arg)
{
	struct sched *s = arg;
	const struct err *e = db_error(r);
	bool more = false;

	outbox_claimed(s->node, r, s->claim_at); /* first: they have the longer way */
	if (e != NULL) {
		bool ours = plan_is_to_blame(r);
		if (ours && s->cycle->n_jobs > 1) {
			/* One of them is to blame: they come back one by one when the leases end.
			 */
			s->batch = 1;
		} else if (ours && e->code != ERR_CONFLICT) {
			give_up_job(s, e);
			return;
		}
		failed(s, "writing a plan", e);
		return;
	}
	s->cycles++;
	s->planned += s->cycle->n_jobs;
	count_phases(s);
	more |= db_rows(r, s->leave_index) > 0;
	if (db_affected(r, 0) > 0) {
		more |= s->wakes.sched;
		if (s->wakes.outbox && s->claim_at < 0)
			node_wake(s->node, WAKE_OUTBOX);
		if (s->wakes.exec)
			node_wake(s->node, WAKE_EXEC);
	}
	more |= s->cycle->n_jobs >= s->batch;
	if (s->batch == 1 && s->cycles % 16 == 0)
		s->batch = (int)s->node->conf->sched_batch;
	rest(s, more);
}

static void on_loaded(struct db_result *r, void *arg)
{
	struct sched *s = arg;
	struct db_batch *b;

	if (db_error(r) != NULL) {
		failed(s, "loading jobs", db_error(r));
		return;
	}
	cycle_loaded(s->cycle, s->node->conf, r);
	b = db_batch_new(s->node->db);
	s->leave_index = cycle_apply_batch(s->cycle, &s->policy, b, &s->wakes);
	s->claim_at = s->wakes.outbox ? outbox_claim_add(s->node, b) : -1;
	db_submit(b, on_applied, s);
}

static void on_claimed(struct db_result *r, void *arg)
{
	struct sched *s = arg;
	struct db_batch *b;

	if (db_error(r) != NULL) {
		failed(s, "claiming jobs", db_error(r));
		return;
	}
	s->cycle = cycle_claimed(r, 1);
	if (s->cycle == NULL) {
		rest(s, false);
		return;
	}
	b = db_batch_new(s->node->db);
	cycle_load_batch(s->cycle, b);
	db_submit(b, on_loaded, s);
}

static void claim(struct sched *s)
{
	struct db_batch *b;

	if (s->state == SCHED_STOPPED)
		return;
	evtimer_del(s->timer);
	s->state = SCHED_BUSY;
	s->again = false;
	s->claim_us = clock_mono_us();
	b = db_batch_new(s->node->db);
	db_add(b, Q_SCHED_RESOURCE_WAKE);
	db_add(b, Q_SCHED_CLAIM);
	db_text(b, s->node->id);
	db_int(b, s->batch);
	db_int(b, s->node->conf->lease_ms);
	db_submit(b, on_claimed, s);
}

void sched_start(struct node *n)
{
	struct sched *s = mem_zalloc(sizeof(*s));

	s->node = n;
	s->batch = (int)n->conf->sched_batch;
	s->policy = plan_policy_default;
	s->policy.reserve_ttl_ms = n->conf->reserve_ttl_ms;
	s->timer = evtimer_new(n->base, on_timer, s);
	n->sched = s;
	node_on_wake(n, WAKE_SCHED, on_wake, s);
	claim(s);
}

void sched_stop(struct node *n)
{
	if (n->sched == NULL)
		return;
	n->sched->state = SCHED_STOPPED;
	evtimer_del(n->sched->timer);
}

void sched_free(struct node *n)
{
	if (n->sched == NULL)
		return;
	cycle_free(n->sched->cycle);
	event_free(n->sched->timer);
	free(n->sched);
	n->sched = NULL;
}
