/* Time, the network between sites, executors, and everything that goes wrong with them. */
#include "sim.h"

#include "base/mem.h"

#include <stdlib.h>

enum event_kind {
	E_SUBMIT,
	E_SCHED,
	E_NODE,
	E_JANITOR,
	E_OUTBOX,
	E_LINK,
	E_REQUEST,
	E_REPLY,
	E_TIMEOUT,
	E_PROCESS_ENDS,
	E_STOP,
	E_CALM,
};

struct event {
	int64_t at;
	uint64_t order; /* of what happens at the same time */
	enum event_kind kind;
	int a, b, c;
	int task, attempt, party;
	int64_t no;
	enum status st;
	bool flag;
	struct sim_msg msg;
};

static struct event *heap;
static int n_events, cap_events;
static uint64_t order;

static bool earlier(const struct event *x, const struct event *y)
{
	return x->at != y->at ? x->at < y->at : x->order < y->order;
}

static void at(int64_t after_ms, struct event e)
{
	int i = n_events++;

	if (n_events > cap_events) {
		cap_events = cap_events == 0 ? 256 : cap_events * 2;
		heap = mem_resize(heap, (size_t)cap_events, sizeof(*heap));
	}
	e.at = sim->now + after_ms;
	e.order = ++order;
	while (i > 0 && earlier(&e, &heap[(i - 1) / 2])) {
		heap[i] = heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	heap[i] = e;
}

static struct event next(void)
{
	struct event first = heap[0], last = heap[--n_events];
	int i = 0;

	for (;;) {
		int k = 2 * i + 1;
		if (k >= n_events)
			break;
		if (k + 1 < n_events && earlier(&heap[k + 1], &heap[k]))
			k++;
		if (!earlier(&heap[k], &last))
			break;
		heap[i] = heap[k];
		i = k;
	}
	heap[i] = last;
	return first;
}

static int64_t between(int from, int to)
{
	return from + (int64_t)sim_rand((uint32_t)(to - from + 1));
}

/* ---- schedulers ---- */

static void on_sched(const struct event *e)
{
	struct sim_sched *s = &sim->sched[e->a];
	struct event again = {.kind = E_SCHED, .a = e->a, .b = e->b + 1, .c = e->c};

	if (e->c != s->epoch)
		return;
	if (sim_chance(1) && e->b > 0) {
		sim_say("scheduler %d dies", e->a);
		again.b = 0;
		again.c = ++s->epoch;
		at(between(100, 4000), again);
		return;
	}
	int64_t pause = sim_chance(3) ? between(500, 3 * LEASE_MS) : between(1, 15);
	if (e->b == 0 && !sim_claim(e->a)) {
		again.b = 0;
		pause = between(20, 60);
	} else if (e->b >= 1 && e->b <= 3) {
		sim_load(e->a, e->b - 1);
	} else if (e->b == 4) {
		sim_apply(e->a);
		sim->dirty = true;
		again.b = 0;
	}
	at(pause, again);
}

/* ---- executors ---- */

static void start_process(int j, int t, int attempt, int p, const struct sim_node *n)
{
	struct sim_run *r = &sim->pj[j][p].run[t][attempt];
	uint32_t luck = sim_rand(100);
	struct event e = {.kind = E_PROCESS_ENDS,
			  .a = j,
			  .b = n->id,
			  .task = t,
			  .attempt = attempt,
			  .party = p,
			  .no = r->lease};

	r->starts++;
	sim_say("node %d starts %d.%d/%d at party %d", n->id, j, t, attempt, p);
	if (r->starts > 1)
		sim_fail("task %d.%d attempt %d was started twice at party %d", j, t, attempt, p);
	for (int k = 0; k < sim->job[j].n_tasks; k++) {
		if (sim->job[j].edge[k][t] && sim->job[j].task[k].st != ST_SUCCESS)
			sim_fail("task %d.%d has started before its parent %d succeeded", j, t, k);
	}
	e.st = luck < 94                       ? ST_SUCCESS
	       : luck < 95                     ? ST_PASS
	       : luck < 96                     ? ST_TIMEOUT
	       : luck < 97 && sim_rand(3) == 0 ? ST_CANCELED
					       : ST_FAILED;
	e.flag = luck >= 99; /* an exit code that is never tried again */
	at(between(5, sim_chance(20) ? 4000 : 500), e);
}

static bool node_alive(int id)
{
	for (int s = 0; s < sim->n_sites; s++) {
		for (int i = 0; i < sim->n_nodes; i++) {
			if (sim->node[s][i].id == id)
				return true;
		}
	}
	return false;
}

static void on_process_ends(const struct event *e)
{
	struct sim_run *r = &sim->pj[e->a][e->party].run[e->task][e->attempt];
	enum status st = e->st;

	if (!node_alive(e->b))
		return; /* it died with its node */
	if (r->queued && r->lease == e->no && r->stop != ST_COUNT)
		st = r->stop;
	sim_run_finish(e->a, e->task, e->attempt, e->party, e->no, st, false, e->flag);
	sim->dirty = true;
}

/* Claims what waits and kills what is to stop. */
static void serve(int site, struct sim_node *n)
{
	for (int j = 0; j < sim->n_jobs; j++) {
		for (int p = 0; p < sim->n_parties; p++) {
			struct sim_pjob *pj = &sim->pj[j][p];
			if (!pj->exists || sim->site_of[p] != site)
				continue;
			for (int t = 0; t < sim->job[j].n_tasks; t++) {
				for (int a = 0; a <= sim->job[j].task[t].attempt; a++) {
					struct sim_run *r = &pj->run[t][a];
					if (!r->queued)
						continue;
					sim->dirty = true;
					if (r->node == n->id && r->stop != ST_COUNT)
						sim_run_finish(j, t, a, p, r->lease, r->stop, false,
							       false);
					else if (r->node < 0 && sim_rand(100) < 60 &&
						 sim_run_claim(j, t, a, p, n->id))
						start_process(j, t, a, p, n);
				}
			}
		}
	}
}

static bool expired(const struct sim_node *n)
{
	return sim->now - n->seen > LEASE_MS;
}

static void reborn(struct sim_node *n)
{
	n->id = ++sim->node_seq;
	n->seen = sim->now;
	n->frozen = false;
}

static void on_node(const struct event *e)
{
	struct sim_node *n = &sim->node[e->a][e->b];
	int64_t pause = between(60, 140);

	if (sim_chance(sim->deaths)) {
		sim_say("node %d dies", n->id);
		n->id = -1;
		pause = between(50, 2 * LEASE_MS);
	} else if (sim_chance(sim->deaths)) {
		/* only slow: its processes go on, and may end before it wakes up */
		sim_say("node %d freezes", n->id);
		n->frozen = true;
		pause = between(500, 2 * LEASE_MS);
	} else if (n->id < 0) {
		reborn(n);
	} else if (n->frozen && expired(n)) {
		sim_say("node %d has lost its lease and ends its processes", n->id);
		reborn(n);
	} else {
		n->frozen = false;
		n->seen = sim->now;
		serve(e->a, n);
	}
	at(pause, *e);
}

/* The runs of a node whose lease has ended are lost. */
static void give_up_runs(int site, int j, int p)
{
	struct sim_pjob *pj = &sim->pj[j][p];

	for (int t = 0; t < sim->job[j].n_tasks; t++) {
		for (int a = 0; a <= sim->job[j].task[t].attempt; a++) {
			struct sim_run *r = &pj->run[t][a];
			const struct sim_node *owner = NULL;
			if (!r->queued || r->node < 0)
				continue;
			for (int i = 0; i < sim->n_nodes; i++) {
				if (sim->node[site][i].id == r->node)
					owner = &sim->node[site][i];
			}
			if (owner != NULL && !expired(owner))
				continue;
			sim->n_lost_runs++;
			sim->dirty = true;
			sim_run_finish(j, t, a, p, r->lease,
				       r->stop != ST_COUNT ? r->stop : ST_FAILED, true, false);
		}
	}
}

static void on_janitor(const struct event *e)
{
	for (int j = 0; j < sim->n_jobs; j++) {
		for (int p = 0; p < sim->n_parties; p++) {
			struct sim_pjob *pj = &sim->pj[j][p];
			if (!pj->exists || sim->site_of[p] != e->a)
				continue;
			give_up_runs(e->a, j, p);
			if (pj->reserved && pj->expires != 0 && pj->expires <= sim->now) {
				pj->reserved = false;
				if (e->a == SITE_SCHED)
					sim_wake_blocked(false);
			}
		}
	}
	at(between(400, 600), *e);
}

/* ---- messages ---- */

static void answered(struct sim_msg *m, enum sim_answer a)
{
	const struct sim_msg x = *m;

	m->exists = false;
	sim->dirty = true;
	switch (x.command) {
	case C_CREATE:
		sim_created(x.job, x.dest, a == A_OK);
		break;
	case C_RESERVE:
		sim_reserved(x.job, x.dest,
			     a == A_OK      ? RESERVE_GRANTED
			     : a == A_NEVER ? RESERVE_NEVER
					    : RESERVE_REFUSED);
		break;
	case C_JOB_START:
		if (a != A_OK)
			sim_stop(x.job, ST_FAILED);
		break;
	case C_TASK_START:
		if (a != A_OK)
			sim_task_report(x.job, x.task, x.attempt, x.dest, ST_FAILED, false, false);
		break;
	case C_RELEASE:
	case C_JOB_FINISH:
	case C_TASK_STOP:
	case C_REPORT:
		break;
	}
}

static enum sim_answer execute(const struct sim_msg *m)
{
	bool ok = true;

	sim->dirty = true;
	switch (m->command) {
	case C_CREATE:
		sim_party_create(m->job, m->dest);
		break;
	case C_RESERVE:
		return sim_party_reserve(m->job, m->dest);
	case C_RELEASE:
		sim_party_release(m->job, m->dest, false);
		break;
	case C_JOB_START:
		ok = sim_party_job_start(m->job, m->dest);
		break;
	case C_JOB_FINISH:
		sim_party_job_finish(m->job, m->dest, m->st);
		break;
	case C_TASK_START:
		ok = sim_party_task_start(m->job, m->task, m->attempt, m->dest);
		break;
	case C_TASK_STOP:
		sim_party_task_finish(m->job, m->task, m->attempt, m->dest, m->st);
		break;
	case C_REPORT:
		ok = sim_task_report(m->job, m->task, m->attempt, m->party, m->st, m->node_lost,
				     m->no_retry);
		break;
	}
	return ok ? A_OK : A_REFUSED;
}

/* Nearly always soon; sometimes after the sender has stopped waiting. */
static int64_t flight_ms(void)
{
	return sim_chance(5) ? between(1, FLIGHT_MS) : between(1, sim->delay);
}

/* The two sites of a message. */
static void ends(const struct sim_msg *m, int *from, int *to)
{
	*from = m->site;
	*to = m->dest == SCHEDULER ? SITE_SCHED : sim->site_of[m->dest];
}

static bool down(const struct sim_msg *m)
{
	int from, to;

	ends(m, &from, &to);
	return sim->link[from] == LINK_DOWN || sim->link[to] == LINK_DOWN;
}

static bool deaf(const struct sim_msg *m)
{
	int from, to;

	ends(m, &from, &to);
	return sim->link[from] != LINK_UP || sim->link[to] != LINK_UP;
}

/* A site is cut off for a while, or only its answers are lost. */
static void on_link(const struct event *e)
{
	sim->link[e->a] = LINK_UP;
	if (!sim->calm && sim_rand(3) == 0) {
		sim->link[e->a] = sim_rand(2) == 0 ? LINK_DOWN : LINK_DEAF;
		sim_say("site %d is cut off", e->a);
	}
	at(between(200, sim_rand(4) == 0 ? 12000 : 3000), *e);
}

static void send(struct sim_msg *m)
{
	struct event req = {.kind = E_REQUEST, .msg = *m, .flag = true};

	m->waiting = true;
	at(TIMEOUT_MS, (struct event){.kind = E_TIMEOUT, .no = m->no, .a = m->tries});
	if (down(m))
		return;
	if (!sim_chance(sim->loss))
		at(flight_ms(), req);
	if (sim_chance(5)) {
		sim->n_dup++;
		at(flight_ms(), req);
	}
}

static bool first_of_its_kind(const struct sim_msg *m)
{
	for (int i = 0; i < MAX_MESSAGES; i++) {
		const struct sim_msg *x = &sim->msg[i];
		if (x->exists && x->site == m->site && x->job == m->job && x->dest == m->dest &&
		    x->no < m->no)
			return false;
	}
	return true;
}

static void on_outbox(const struct event *e)
{
	for (int i = 0; i < MAX_MESSAGES; i++) {
		struct sim_msg *m = &sim->msg[i];
		if (!m->exists || m->site != e->a || m->due > sim->now || !first_of_its_kind(m))
			continue;
		m->tries++;
		m->due = sim->now + TIMEOUT_MS + 500;
		if (m->give_up != NEVER && m->give_up <= sim->now)
			answered(m, A_REFUSED);
		else
			send(m);
	}
	at(between(20, 50), *e);
}

static void on_request(const struct event *e)
{
	struct event reply = {.kind = E_REPLY, .no = e->msg.no, .a = e->msg.tries};

	reply.b = (int)execute(&e->msg);
	if (!deaf(&e->msg) && !sim_chance(sim->loss))
		at(flight_ms(), reply);
}

static struct sim_msg *message(int64_t no)
{
	for (int i = 0; i < MAX_MESSAGES; i++) {
		if (sim->msg[i].exists && sim->msg[i].no == no)
			return &sim->msg[i];
	}
	return NULL;
}

static void on_reply(const struct event *e)
{
	struct sim_msg *m = message(e->no);

	if (m != NULL && m->waiting && m->tries == e->a)
		answered(m, (enum sim_answer)e->b);
}

static void on_timeout(const struct event *e)
{
	struct sim_msg *m = message(e->no);

	if (m == NULL || !m->waiting || m->tries != e->a)
		return;
	m->waiting = false;
	m->due = sim->now + between(50, 400);
}

/* ---- one run ---- */

static void on_event(const struct event *e)
{
	switch (e->kind) {
	case E_SUBMIT:
		sim_submit(e->a);
		sim->dirty = true;
		break;
	case E_SCHED:
		on_sched(e);
		break;
	case E_NODE:
		on_node(e);
		break;
	case E_JANITOR:
		on_janitor(e);
		break;
	case E_LINK:
		on_link(e);
		break;
	case E_OUTBOX:
		on_outbox(e);
		break;
	case E_REQUEST:
		on_request(e);
		break;
	case E_REPLY:
		on_reply(e);
		break;
	case E_TIMEOUT:
		on_timeout(e);
		break;
	case E_PROCESS_ENDS:
		on_process_ends(e);
		break;
	case E_STOP:
		if (sim->job[e->a].work.exists)
			sim_stop(e->a, e->st);
		sim->dirty = true;
		break;
	case E_CALM:
		sim->calm = true;
		for (int s = 0; s < sim->n_sites; s++)
			sim->link[s] = LINK_UP;
		sim_say("no more faults");
		break;
	}
}

static void begin(void)
{
	n_events = 0;
	for (int j = 0; j < sim->n_jobs; j++) {
		at(between(0, 2000), (struct event){.kind = E_SUBMIT, .a = j});
		if (sim_rand(100) < 25)
			at(between(2001, 15000),
			   (struct event){.kind = E_STOP,
					  .a = j,
					  .st = sim_rand(2) == 0 ? ST_CANCELED : ST_FAILED});
	}
	for (int s = 0; s < sim->n_scheds; s++)
		at(between(0, 50), (struct event){.kind = E_SCHED, .a = s});
	for (int s = 0; s < sim->n_sites; s++) {
		if (sim->cuts)
			at(between(0, 5000), (struct event){.kind = E_LINK, .a = s});
		at(between(0, 500), (struct event){.kind = E_JANITOR, .a = s});
		at(between(0, 50), (struct event){.kind = E_OUTBOX, .a = s});
		for (int i = 0; i < sim->n_nodes; i++) {
			reborn(&sim->node[s][i]);
			at(between(0, 100), (struct event){.kind = E_NODE, .a = s, .b = i});
		}
	}
	at(between(8000, 20000), (struct event){.kind = E_CALM});
}

void sim_world(void)
{
	int64_t calm_at = 0;

	begin();
	while (!(sim->calm && sim_all_over())) {
		struct event e = next();
		sim->now = e.at;
		on_event(&e);
		sim->n_steps++;
		if (sim->dirty)
			sim_check_step();
		sim->dirty = false;
		if (sim->calm && calm_at == 0)
			calm_at = sim->now;
		if (calm_at > 0 && sim->now - calm_at > 600000)
			sim_fail("not over ten minutes after the last fault");
	}
	sim_check_end();
}
