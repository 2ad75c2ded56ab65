#include "plan/plan.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

const struct plan_policy plan_policy_default = {
    .reserve_retry_ms = 500,
    .reserve_retry_max_ms = 15000,
    .reserve_retry_local_ms = 900000,
    .reserve_ttl_ms = 60000,
    .retry_delay_ms = 1000,
    .retry_delay_max_ms = 60000,
    .max_rescues = 5,
};

const char *plan_reason_name(enum plan_reason r)
{
	static const char *const names[] = {
	    [WHY_NONE] = "",
	    [WHY_CREATED] = "created",
	    [WHY_PARTY_REFUSED] = "party_refused",
	    [WHY_RESOURCES_NEVER] = "resources_never",
	    [WHY_RESOURCES_REFUSED] = "resources_refused",
	    [WHY_RESOURCES_GRANTED] = "resources_granted",
	    [WHY_DEPENDENCIES_DONE] = "dependencies_done",
	    [WHY_ALL_PARTIES_DONE] = "all_parties_done",
	    [WHY_PARTY_ENDED] = "party_ended",
	    [WHY_RETRY] = "retry",
	    [WHY_NODE_LOST] = "node_lost",
	    [WHY_STOP_REQUESTED] = "stop_requested",
	    [WHY_DEADLINE] = "deadline",
	    [WHY_TASKS_DONE] = "tasks_done",
	    [WHY_TASK_FAILED] = "task_failed",
	    [WHY_SUSPENDED] = "suspended",
	};
	return (size_t)r < ARRAY_LEN(names) ? names[r] : "?";
}

struct planner {
	struct plan_job *job;
	const struct plan_policy *policy;
	int64_t now_ms;
	struct plan_result *out;
};

static struct plan_effect *effect(struct planner *p, enum plan_kind kind, enum plan_reason reason)
{
	struct plan_result *r = p->out;

	if (r->n_effects == r->cap) {
		r->cap = r->cap == 0 ? 8 : r->cap * 2;
		r->effects = mem_resize(r->effects, (size_t)r->cap, sizeof(*r->effects));
	}
	struct plan_effect *e = &r->effects[r->n_effects++];
	*e = (struct plan_effect){
	    .kind = kind, .reason = reason, .status = ST_COUNT, .task = -1, .party = -1};
	return e;
}

static void due(struct planner *p, int64_t at_ms)
{
	if (p->out->due_ms == 0 || at_ms < p->out->due_ms)
		p->out->due_ms = at_ms;
}

static void uncount(struct status_counts *c, enum status s)
{
	struct status_counts one = {0};

	status_count(&one, s);
	c->waiting -= one.waiting;
	c->running -= one.running;
	c->canceled -= one.canceled;
	c->timeout -= one.timeout;
	c->failed -= one.failed;
	c->success -= one.success;
}

static void set_task(struct planner *p, struct plan_task *t, enum status to)
{
	uncount(&p->out->counts, t->status);
	t->status = to;
	status_count(&p->out->counts, to);
}

static void end_job(struct planner *p, enum status to, enum plan_reason reason, int party)
{
	struct plan_effect *e = effect(p, PLAN_JOB_STATUS, reason);

	/* FATE's clients know success, failed and canceled as the end of a job, and wait for ever
	 * on others. */
	if (to == ST_TIMEOUT)
		to = ST_FAILED;
	e->status = to;
	e->party = party;
	p->job->status = to;
}

/* A wish to stop, or a deadline: every running task gets that status, then the job. */
static bool stop(struct planner *p)
{
	struct plan_job *j = p->job;
	enum status to = j->stop_status;
	enum plan_reason why = WHY_STOP_REQUESTED;

	if (to == ST_COUNT) {
		if (j->deadline_ms == 0 || j->deadline_ms > p->now_ms)
			return false;
		to = ST_TIMEOUT;
		why = WHY_DEADLINE;
	}
	for (int i = 0; i < j->n_tasks; i++) {
		if (j->tasks[i].status != ST_RUNNING)
			continue;
		struct plan_effect *e = effect(p, PLAN_TASK_END, why);
		e->task = i;
		e->status = to;
		set_task(p, &j->tasks[i], to);
	}
	end_job(p, to, why, -1);
	return true;
}

/* ready: until every party has the job. */
static void plan_ready(struct planner *p)
{
	struct plan_job *j = p->job;

	for (int i = 0; i < j->n_parties; i++) {
		if (j->parties[i].create == CREATE_REFUSED) {
			end_job(p, ST_FAILED, WHY_PARTY_REFUSED, i);
			return;
		}
	}
	for (int i = 0; i < j->n_parties; i++) {
		if (j->parties[i].create != CREATE_OK)
			return;
	}
	effect(p, PLAN_JOB_STATUS, WHY_CREATED)->status = ST_WAITING;
	j->status = ST_WAITING;
}

static int64_t backoff_ms(int64_t first_ms, int64_t max_ms, int tries)
{
	int64_t d = first_ms;

	while (tries-- > 0 && d < max_ms)
		d *= 2;
	return d < max_ms ? d : max_ms;
}

bool plan_all_local(const struct plan_job *j)
{
	for (int i = 0; i < j->n_parties; i++) {
		if (!j->parties[i].local)
			return false;
	}
	return true;
}

/* Jobs that were refused at the same moment do not all come back at the same moment. */
static int64_t reserve_pause_ms(const struct planner *p)
{
	const struct plan_job *j = p->job;

	if (plan_all_local(j))
		return p->policy->reserve_retry_local_ms;
	int64_t pause_ms = backoff_ms(p->policy->reserve_retry_ms, p->policy->reserve_retry_max_ms,
				      j->reserve_tries);
	unsigned mix = (j->salt + (unsigned)j->reserve_tries) * 2654435761U;
	return pause_ms + pause_ms * (int64_t)(mix >> 24) / 1024;
}

/* All parties are asked at once, which is fast; but two jobs that want the same at two sites may
 * then each get one half. So after a refusal they are asked one by one, in an order that is the
 * same for all jobs: whoever has the first half gets the second. */
static void ask(struct planner *p, int granted)
{
	struct plan_job *j = p->job;
	int next = -1;

	for (int i = 0; i < j->n_parties; i++) {
		if (j->parties[i].reserve == RESERVE_NONE &&
		    (next < 0 || j->parties[i].order < j->parties[next].order))
			next = i;
	}
	if (plan_all_local(j) || (j->reserve_tries == 0 && granted == 0))
		next = -1;
	p->out->blocked = true;
	due(p, p->now_ms + reserve_pause_ms(p));
	effect(p, PLAN_RESERVE, WHY_NONE)->party = next;
	if (granted == 0)
		j->reserve_tries++;
}

/* waiting: all parties grant their share, or all give it back. */
static void plan_waiting(struct planner *p)
{
	struct plan_job *j = p->job;
	int asked = 0;
	int granted = 0;
	int refused = -1;

	for (int i = 0; i < j->n_parties; i++) {
		switch (j->parties[i].reserve) {
		case RESERVE_NEVER:
			end_job(p, ST_FAILED, WHY_RESOURCES_NEVER, i);
			return;
		case RESERVE_ASKED:
			asked++;
			break;
		case RESERVE_GRANTED:
			granted++;
			break;
		case RESERVE_REFUSED:
			refused = i;
			break;
		case RESERVE_NONE:
			break;
		}
	}
	if (asked > 0) {
		/* A refusal is known already, but the others have yet to answer: what they grant
		 * late must be given back, so the round is ended only when it is complete. */
		due(p, p->now_ms + p->policy->reserve_ttl_ms);
		return;
	}
	if (j->suspended) {
		if (granted > 0)
			effect(p, PLAN_RELEASE, WHY_SUSPENDED);
		return;
	}
	if (granted == j->n_parties) {
		effect(p, PLAN_JOB_STATUS, WHY_RESOURCES_GRANTED)->status = ST_RUNNING;
		j->status = ST_RUNNING;
		return;
	}
	if (refused >= 0) {
		effect(p, PLAN_RELEASE, WHY_RESOURCES_REFUSED)->party = refused;
		p->out->blocked = true;
		due(p, p->now_ms + reserve_pause_ms(p));
		return;
	}
	ask(p, granted);
}

static void child_parent_done(struct planner *p, int parent)
{
	for (int i = 0; i < p->job->n_edges; i++) {
		if (p->job->edges[i].parent == parent)
			p->job->tasks[p->job->edges[i].child].deps_left--;
	}
}

/* A running attempt whose federated status is final: record it, or try again. */
static void end_attempt(struct planner *p, int i, enum status to)
{
	struct plan_task *t = &p->job->tasks[i];
	int cause = -1;
	bool lost = false;
	bool no_retry = false;

	for (int k = 0; k < t->n_parties; k++) {
		const struct plan_task_party *tp = &t->parties[k];
		if (tp->status == to && cause < 0)
			cause = tp->party;
		if (status_is_interrupt(tp->status)) {
			lost |= tp->node_lost;
			no_retry |= tp->no_retry && !tp->node_lost;
		}
	}
	bool rescue = lost && t->rescues < p->policy->max_rescues;
	bool retry = status_is_interrupt(to) && to != ST_CANCELED && !no_retry &&
		     (rescue || t->retries_left > 0);
	if (!retry) {
		struct plan_effect *e = effect(
		    p, PLAN_TASK_END, to == ST_SUCCESS ? WHY_ALL_PARTIES_DONE : WHY_PARTY_ENDED);
		e->task = i;
		e->status = to;
		e->party = to == ST_SUCCESS ? -1 : cause;
		set_task(p, t, to);
		if (to == ST_SUCCESS)
			child_parent_done(p, i);
		return;
	}
	struct plan_effect *e = effect(p, PLAN_TASK_RETRY, rescue ? WHY_NODE_LOST : WHY_RETRY);
	e->task = i;
	e->status = to;
	e->party = cause;
	e->at_ms = p->now_ms;
	if (rescue) {
		t->rescues++;
	} else {
		e->at_ms += backoff_ms(p->policy->retry_delay_ms, p->policy->retry_delay_max_ms,
				       t->attempt);
		t->retries_left--;
	}
	set_task(p, t, ST_WAITING);
	t->attempt++;
	t->retry_at_ms = e->at_ms;
	for (int k = 0; k < t->n_parties; k++)
		t->parties[k].status = ST_WAITING;
}

static bool cores_fit(const struct plan_job *j, const struct plan_task *t)
{
	for (int k = 0; k < t->n_parties; k++) {
		const struct plan_party *pp = &j->parties[t->parties[k].party];
		if (pp->cores_used + t->parties[k].cores > pp->cores)
			return false;
	}
	return true;
}

static void use_cores(struct plan_job *j, const struct plan_task *t)
{
	for (int k = 0; k < t->n_parties; k++)
		j->parties[t->parties[k].party].cores_used += t->parties[k].cores;
}

/* Starts what can be started; returns whether a waiting task is left that could be later. */
static bool start_tasks(struct planner *p)
{
	struct plan_job *j = p->job;
	bool later = false;

	for (int i = 0; i < j->n_tasks; i++) {
		struct plan_task *t = &j->tasks[i];
		if (t->status != ST_WAITING || t->deps_left > 0)
			continue;
		if (j->suspended) {
			later = true;
			continue;
		}
		if (t->retry_at_ms > p->now_ms) {
			due(p, t->retry_at_ms);
			later = true;
			continue;
		}
		if (!cores_fit(j, t)) {
			later = true;
			continue;
		}
		use_cores(j, t);
		effect(p, PLAN_TASK_START, t->attempt > 0 ? WHY_RETRY : WHY_DEPENDENCIES_DONE)
		    ->task = i;
		set_task(p, t, ST_RUNNING);
	}
	return later;
}

static void plan_running(struct planner *p)
{
	struct plan_job *j = p->job;
	enum status sts[1024];

	for (int i = 0; i < j->n_tasks; i++) {
		struct plan_task *t = &j->tasks[i];
		if (t->status != ST_RUNNING || t->n_parties == 0)
			continue;
		enum status *all = sts;
		if ((size_t)t->n_parties > ARRAY_LEN(sts))
			all = mem_array((size_t)t->n_parties, sizeof(*all));
		for (int k = 0; k < t->n_parties; k++)
			all[k] = t->parties[k].status;
		enum status to = status_of_task(all, (size_t)t->n_parties);
		if (all != sts)
			free(all);
		if (status_is_end(to))
			end_attempt(p, i, to);
		else
			use_cores(j, t);
	}
	const struct status_counts *c = &p->out->counts;
	bool later = false;
	if (c->canceled + c->timeout + c->failed == 0)
		later = start_tasks(p);
	/* A task waiting for its parents can start as long as something runs. */
	enum status to = status_of_job(c, later);
	if (status_is_end(to))
		end_job(p, to, to == ST_SUCCESS ? WHY_TASKS_DONE : WHY_TASK_FAILED, -1);
}

void plan_job(struct plan_job *job, const struct plan_policy *policy, int64_t now_ms,
	      struct plan_result *out)
{
	struct planner p = {.job = job, .policy = policy, .now_ms = now_ms, .out = out};

	memset(out, 0, sizeof(*out));
	out->counts = job->counts;
	if (!status_is_end(job->status) && !stop(&p)) {
		if (job->status == ST_READY) {
			/* One step at a time: the next plan goes on from waiting. */
			plan_ready(&p);
			if (job->status == ST_WAITING)
				due(&p, now_ms);
		} else if (job->status == ST_WAITING) {
			plan_waiting(&p);
		}
		if (job->status == ST_RUNNING)
			plan_running(&p);
	}
	out->progress = status_progress(&out->counts);
	if (!status_is_end(job->status) && job->deadline_ms > 0)
		due(&p, job->deadline_ms);
}

void plan_result_free(struct plan_result *r)
{
	free(r->effects);
	memset(r, 0, sizeof(*r));
}
