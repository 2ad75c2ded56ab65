/* The scheduler's database and the schedulers: claim, load, plan, write. */
#include "sim.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static bool local(int party)
{
	return sim->site_of[party] == SITE_SCHED;
}

static bool all_local(void)
{
	for (int p = 0; p < sim->n_parties; p++) {
		if (!local(p))
			return false;
	}
	return true;
}

static void step_job(int j, enum status to)
{
	struct sim_job *x = &sim->job[j];

	if (!status_job_step_ok(x->st, to))
		sim_fail("job %d goes from %s to %s", j, status_name(x->st), status_name(to));
	sim_say("job %d %s -> %s", j, status_name(x->st), status_name(to));
	x->st = to;
}

static void step_task(int j, int t, enum status to)
{
	struct sim_task *x = &sim->job[j].task[t];

	if (!status_task_step_ok(x->st, to))
		sim_fail("task %d.%d goes from %s to %s", j, t, status_name(x->st),
			 status_name(to));
	sim_say("task %d.%d/%d %s -> %s", j, t, x->attempt, status_name(x->st), status_name(to));
	x->st = to;
}

void sim_submit(int j)
{
	struct sim_job *x = &sim->job[j];

	x->st = all_local() ? ST_WAITING : ST_READY;
	x->stop = ST_COUNT;
	x->work = (struct sim_work){.exists = true, .due = sim->now};
	x->counts.waiting = x->n_tasks;
	for (int t = 0; t < x->n_tasks; t++)
		x->task[t].mark = x->task[t].deps_left == 0 ? ++sim->mark_seq : 0;
	for (int p = 0; p < sim->n_parties; p++) {
		x->create[p] = local(p) ? CREATE_OK : CREATE_ASKED;
		if (local(p))
			sim_party_create(j, p);
		else
			sim_post(&(struct sim_msg){.site = SITE_SCHED,
						   .job = j,
						   .dest = p,
						   .command = C_CREATE,
						   .give_up = sim->now + CREATE_MS});
	}
}

void sim_poke(int j)
{
	struct sim_work *w = &sim->job[j].work;

	if (!w->exists)
		return;
	w->poke++;
	if (w->lease_until <= sim->now && w->due > sim->now)
		w->due = sim->now;
}

void sim_wake_blocked(bool brief)
{
	for (int j = 0; j < sim->n_jobs; j++) {
		if (sim->job[j].work.blocked && (all_local() || !brief))
			sim_poke(j);
	}
}

bool sim_stop(int j, enum status st)
{
	struct sim_job *x = &sim->job[j];

	if (status_is_end(x->st) || x->stop != ST_COUNT)
		return false;
	sim_say("job %d is to stop as %s", j, status_name(st));
	x->stop = st;
	x->version++;
	sim_poke(j);
	return true;
}

bool sim_task_report(int j, int t, int attempt, int party, enum status st, bool node_lost,
		     bool no_retry)
{
	struct sim_job *x = &sim->job[j];
	struct sim_tp *tp = &x->tp[t][attempt][party];

	if (!tp->exists || tp->final || !status_task_step_ok(tp->st, st)) {
		sim->n_refused++;
		return false;
	}
	tp->st = st;
	tp->node_lost = node_lost;
	tp->no_retry = no_retry;
	tp->final = status_is_end(st);
	if (tp->final) {
		sim_poke(j);
		if (x->work.exists)
			x->task[t].mark = ++sim->mark_seq;
	}
	return true;
}

void sim_created(int j, int party, bool ok)
{
	struct sim_job *x = &sim->job[j];

	if (x->create[party] != CREATE_ASKED)
		return;
	x->create[party] = ok ? CREATE_OK : CREATE_REFUSED;
	sim_poke(j);
}

void sim_reserved(int j, int party, enum plan_reserve r)
{
	struct sim_job *x = &sim->job[j];

	if (x->reserve[party] != RESERVE_ASKED)
		return;
	x->reserve[party] = r;
	sim_poke(j);
}

/* ---- a cycle ---- */

bool sim_claim(int s)
{
	struct sim_sched *sc = &sim->sched[s];
	int first = (int)sim_rand((uint32_t)sim->n_jobs);

	for (int i = 0; i < sim->n_jobs; i++) {
		int j = (first + i) % sim->n_jobs;
		struct sim_work *w = &sim->job[j].work;
		if (!w->exists || w->due > sim->now)
			continue;
		w->lease_no = ++sim->lease_seq;
		w->lease_until = w->due = sim->now + LEASE_MS;
		sc->c = (struct sim_cycle){.job = j, .lease_no = w->lease_no, .poke = w->poke};
		sim_say("scheduler %d claims job %d, lease %lld", s, j, (long long)w->lease_no);
		return true;
	}
	return false;
}

void sim_load(int s, int stage)
{
	struct sim_cycle *c = &sim->sched[s].c;
	const struct sim_job *x = &sim->job[c->job];

	switch (stage) {
	case 0:
		c->seen = *x;
		c->version = x->version;
		c->now = sim->now;
		break;
	case 1:
		memcpy(c->seen.task, x->task, sizeof(c->seen.task));
		break;
	default:
		memcpy(c->seen.tp, x->tp, sizeof(c->seen.tp));
		break;
	}
}

/* What is loaded of a job: tasks with a row in task_work, their waiting children, and all that run
 * for a stop. */
static int choose_tasks(const struct sim_cycle *c, int *task_of)
{
	const struct sim_job *x = &c->seen;
	bool all_running = x->stop != ST_COUNT || (x->deadline > 0 && x->deadline <= c->now);
	int n = 0;

	for (int t = 0; t < x->n_tasks; t++) {
		bool take = x->task[t].mark > 0 || (all_running && x->task[t].st == ST_RUNNING);
		for (int k = 0; k < x->n_tasks && !take; k++)
			take = x->edge[k][t] && x->task[k].mark > 0 && x->task[k].st == ST_RUNNING;
		if (take)
			task_of[n++] = t;
	}
	return n;
}

static void fill_task(const struct sim_job *x, int t, struct plan_task *out)
{
	const struct sim_task *k = &x->task[t];

	*out = (struct plan_task){.task_no = t,
				  .status = k->st,
				  .attempt = k->attempt,
				  .deps_left = k->deps_left,
				  .retries_left = k->retries_left,
				  .rescues = k->rescues,
				  .retry_at_ms = k->retry_at,
				  .n_parties = k->n_parties};
	out->parties = mem_array((size_t)k->n_parties, sizeof(*out->parties));
	for (int i = 0; i < k->n_parties; i++) {
		const struct sim_tp *tp = &x->tp[t][k->attempt][k->party[i]];
		out->parties[i] = (struct plan_task_party){
		    .party = k->party[i],
		    .cores = k->cores[i],
		    .status = tp->exists ? tp->st : ST_WAITING,
		    .node_lost = tp->node_lost,
		    .no_retry = tp->no_retry,
		};
	}
}

static void fill_parties(const struct sim_job *x, const int *task_of, int n, struct plan_job *out)
{
	out->n_parties = sim->n_parties;
	out->parties = mem_array((size_t)sim->n_parties, sizeof(*out->parties));
	for (int p = 0; p < sim->n_parties; p++)
		out->parties[p] = (struct plan_party){.create = x->create[p],
						      .reserve = x->reserve[p],
						      .local = local(p),
						      .order = p,
						      .cores = x->cores[p]};
	for (int t = 0; t < x->n_tasks; t++) {
		bool chosen = false;
		for (int i = 0; i < n; i++)
			chosen |= task_of[i] == t;
		if (chosen || x->task[t].st != ST_RUNNING)
			continue;
		for (int k = 0; k < x->task[t].n_parties; k++)
			out->parties[x->task[t].party[k]].cores_used += x->task[t].cores[k];
	}
}

static void fill_edges(const struct sim_job *x, const int *task_of, int n, struct plan_job *out)
{
	out->edges = mem_array(MAX_TASKS * MAX_TASKS, sizeof(*out->edges));
	for (int i = 0; i < n; i++) {
		for (int k = 0; k < n; k++) {
			if (x->edge[task_of[i]][task_of[k]] && x->task[task_of[i]].mark > 0 &&
			    x->task[task_of[i]].st == ST_RUNNING)
				out->edges[out->n_edges++] = (struct plan_edge){i, k};
		}
	}
}

static struct plan_job *fill_job(const struct sim_cycle *c, int *task_of)
{
	struct plan_job *out = mem_zalloc(sizeof(*out));
	const struct sim_job *x = &c->seen;
	int n = choose_tasks(c, task_of);

	out->status = x->st;
	out->stop_status = x->stop;
	out->counts = x->counts;
	out->reserve_tries = x->reserve_tries;
	out->salt = (unsigned)c->job;
	out->deadline_ms = x->deadline;
	out->n_tasks = n;
	out->tasks = mem_array((size_t)n, sizeof(*out->tasks));
	for (int i = 0; i < n; i++)
		fill_task(x, task_of[i], &out->tasks[i]);
	fill_parties(x, task_of, n, out);
	fill_edges(x, task_of, n, out);
	return out;
}

static void free_job(struct plan_job *p)
{
	for (int i = 0; i < p->n_tasks; i++)
		free(p->tasks[i].parties);
	free(p->tasks);
	free(p->parties);
	free(p->edges);
	free(p);
}

/* ---- effects, as the sched_ functions write them ---- */

static void post(int j, int p, enum sim_command command, int t, int attempt, enum status st)
{
	sim_post(&(struct sim_msg){
	    .site = SITE_SCHED,
	    .job = j,
	    .dest = p,
	    .command = command,
	    .task = t,
	    .attempt = attempt,
	    .st = st,
	    .give_up = command == C_RESERVE ? sim->now + sim_policy.reserve_ttl_ms : NEVER});
}

static enum plan_reserve reserve_state(enum sim_answer a)
{
	return a == A_OK ? RESERVE_GRANTED : a == A_NEVER ? RESERVE_NEVER : RESERVE_REFUSED;
}

/* One party or (-1) all; here first: what this site refuses is not asked elsewhere. */
static void apply_reserve(int j, int party, int tries)
{
	struct sim_job *x = &sim->job[j];
	bool refused = false;
	bool others = false;

	for (int p = 0; p < sim->n_parties; p++)
		others |= x->reserve[p] == RESERVE_GRANTED;
	for (int p = 0; p < sim->n_parties; p++) {
		if (!local(p) || (party >= 0 && p != party))
			continue;
		x->reserve[p] = reserve_state(sim_party_reserve(j, p));
		refused |= x->reserve[p] != RESERVE_GRANTED;
	}
	x->reserve_tries = tries;
	for (int p = 0; p < sim->n_parties; p++) {
		if (refused && !others && x->reserve[p] != RESERVE_NEVER)
			x->reserve[p] = RESERVE_NONE;
		if (refused || local(p) || (party >= 0 && p != party))
			continue;
		x->reserve[p] = RESERVE_ASKED;
		post(j, p, C_RESERVE, 0, 0, ST_COUNT);
	}
}

static void apply_release(int j)
{
	struct sim_job *x = &sim->job[j];

	for (int p = 0; p < sim->n_parties; p++) {
		if (x->reserve[p] == RESERVE_GRANTED && local(p))
			sim_party_release(j, p, false);
		else if (x->reserve[p] == RESERVE_GRANTED)
			post(j, p, C_RELEASE, 0, 0, ST_COUNT);
		x->reserve[p] = RESERVE_NONE;
	}
}

static void apply_start_job(int j)
{
	for (int p = 0; p < sim->n_parties; p++) {
		if (!local(p))
			post(j, p, C_JOB_START, 0, 0, ST_COUNT);
		else if (!sim_party_job_start(j, p))
			sim_stop(j, ST_FAILED);
	}
}

static void apply_task_end(int j, int t, const struct plan_effect *e, const struct plan_task *after)
{
	struct sim_job *x = &sim->job[j];
	struct sim_task *k = &x->task[t];
	int attempt = k->attempt;

	step_task(j, t, e->status);
	for (int i = 0; i < k->n_parties; i++) {
		if (local(k->party[i]))
			sim_party_task_finish(j, t, attempt, k->party[i], e->status);
		else
			post(j, k->party[i], C_TASK_STOP, t, attempt, e->status);
	}
	k->retries_left = after->retries_left;
	k->rescues = after->rescues;
	if (e->kind == PLAN_TASK_RETRY) {
		if (attempt + 1 >= MAX_ATTEMPTS)
			sim_fail("task %d.%d is tried without end", j, t);
		k->st = ST_WAITING;
		k->attempt++;
		k->retry_at = e->at_ms;
		return;
	}
	for (int c = 0; e->status == ST_SUCCESS && c < x->n_tasks; c++) {
		if (!x->edge[t][c])
			continue;
		if (--x->task[c].deps_left == 0)
			x->task[c].mark = ++sim->mark_seq;
		if (x->task[c].deps_left < 0)
			sim_fail("task %d.%d has fewer parents than have ended", j, c);
	}
}

static void apply_task_start(int j, int t, int attempt)
{
	struct sim_task *k = &sim->job[j].task[t];

	if (attempt != k->attempt)
		sim_fail("attempt %d of task %d.%d is to start, after %d", attempt, j, t,
			 k->attempt);

	step_task(j, t, ST_RUNNING);
	k->retry_at = 0;
	k->mark = 0;
	for (int i = 0; i < k->n_parties; i++) {
		struct sim_tp *tp = &sim->job[j].tp[t][k->attempt][k->party[i]];
		if (tp->exists)
			sim_fail("task %d.%d attempt %d starts twice", j, t, k->attempt);
		*tp = (struct sim_tp){.exists = true, .st = ST_WAITING};
		if (local(k->party[i]))
			sim_party_task_start(j, t, k->attempt, k->party[i]);
		else
			post(j, k->party[i], C_TASK_START, t, k->attempt, ST_COUNT);
	}
}

static void apply_end_job(int j)
{
	struct sim_job *x = &sim->job[j];

	for (int p = 0; p < sim->n_parties; p++) {
		if (local(p))
			sim_party_job_finish(j, p, x->st);
	}
	for (int i = 0; i < MAX_MESSAGES; i++) {
		struct sim_msg *m = &sim->msg[i];
		if (!m->exists || m->job != j || m->site != SITE_SCHED)
			continue;
		if (m->tries == 0 && (m->command == C_CREATE || m->command == C_RESERVE))
			m->exists = false;
		else if (m->command == C_CREATE)
			m->give_up = NEVER; /* it may have arrived: only an answer tells */
	}
	for (int p = 0; p < sim->n_parties; p++) {
		if (local(p))
			continue;
		sim_post(&(struct sim_msg){
		    .site = SITE_SCHED,
		    .job = j,
		    .dest = p,
		    .command = C_JOB_FINISH,
		    .st = x->st,
		    /* behind a creation that was given up and may still be under way */
		    .due = sim->now + (x->create[p] == CREATE_REFUSED ? FLIGHT_MS + 1 : 0)});
	}
	for (int t = 0; t < x->n_tasks; t++)
		x->task[t].mark = 0;
	x->work.exists = false;
}

/* ---- plan and write ---- */

/* The kinds in the order in which the statements of one transaction stand. */
static void apply_effects(int j, const struct plan_job *p, const struct plan_result *r,
			  const int *task_of, const struct sim_job *seen)
{
	static const enum plan_kind order[] = {PLAN_RELEASE, PLAN_RESERVE, PLAN_JOB_STATUS,
					       PLAN_TASK_END, PLAN_TASK_START};
	bool start = false;

	for (size_t o = 0; o < ARRAY_LEN(order); o++) {
		for (int i = 0; i < r->n_effects; i++) {
			const struct plan_effect *e = &r->effects[i];
			enum plan_kind kind = e->kind == PLAN_TASK_RETRY ? PLAN_TASK_END : e->kind;
			if (kind != order[o])
				continue;
			int t = e->task >= 0 ? task_of[e->task] : -1;
			if (kind == PLAN_RELEASE)
				apply_release(j);
			else if (kind == PLAN_RESERVE)
				apply_reserve(j, e->party, p->reserve_tries);
			else if (kind == PLAN_JOB_STATUS)
				start |= e->status == ST_RUNNING;
			else if (kind == PLAN_TASK_END)
				apply_task_end(j, t, e, &p->tasks[e->task]);
			else
				apply_task_start(j, t, p->tasks[e->task].attempt);
		}
		if (order[o] == PLAN_JOB_STATUS && start)
			apply_start_job(j);
	}
	for (int i = 0; i < p->n_tasks; i++) {
		int t = task_of[i];
		bool keep = p->tasks[i].status == ST_WAITING && p->tasks[i].deps_left <= 0;
		if (!keep && seen->task[t].mark > 0 &&
		    sim->job[j].task[t].mark == seen->task[t].mark)
			sim->job[j].task[t].mark = 0;
	}
}

static void leave(const struct sim_cycle *c, int64_t due, bool blocked)
{
	struct sim_work *w = &sim->job[c->job].work;

	if (!w->exists || w->lease_no != c->lease_no)
		return;
	bool answered = false, granted = false, asked = false;
	for (int p = 0; p < sim->n_parties; p++) {
		enum plan_reserve r = sim->job[c->job].reserve[p];
		granted |= r == RESERVE_GRANTED;
		asked |= r == RESERVE_ASKED;
		answered |= r == RESERVE_GRANTED || r == RESERVE_REFUSED || r == RESERVE_NEVER;
	}
	w->lease_until = 0;
	w->blocked = blocked && !granted;
	/* The real one looks again after a while in any case; here a lost wake-up shows. */
	w->due = w->poke != c->poke || (blocked && answered && !asked) ? sim->now
		 : due > 0                                             ? due
								       : INT64_MAX;
}

void sim_apply(int s)
{
	struct sim_cycle *c = &sim->sched[s].c;
	struct sim_job *x = &sim->job[c->job];
	struct plan_result r;
	int task_of[MAX_TASKS];
	struct plan_job *p = fill_job(c, task_of);
	enum status was = p->status;

	plan_job(p, &sim_policy, c->now, &r);
	bool mine = x->version == c->version && x->work.exists && x->work.lease_no == c->lease_no;
	if (mine) {
		x->version++;
		if (p->status != was)
			step_job(c->job, p->status);
		x->counts = r.counts;
		x->progress = r.progress > x->progress ? r.progress : x->progress;
		apply_effects(c->job, p, &r, task_of, &c->seen);
		if (status_is_end(x->st))
			apply_end_job(c->job);
	} else {
		sim->n_stale++;
		sim_say("scheduler %d comes too late for job %d", s, c->job);
	}
	leave(c, r.due_ms, r.blocked);
	plan_result_free(&r);
	free_job(p);
}
