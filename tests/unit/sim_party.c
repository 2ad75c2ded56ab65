/* A party's database: jobs, reservations and runs. */
#include "sim.h"

#include <stdlib.h>

static void step(enum status *st, enum status to, const char *what, int j, int t, int attempt,
		 int p)
{
	if (!status_task_step_ok(*st, to))
		sim_fail("%s %d.%d/%d at party %d goes from %s to %s", what, j, t, attempt, p,
			 status_name(*st), status_name(to));
	*st = to;
}

static void step_job(struct sim_pjob *pj, enum status to, int j, int p)
{
	if (!status_job_step_ok(pj->st, to))
		sim_fail("job %d at party %d goes from %s to %s", j, p, status_name(pj->st),
			 status_name(to));
	sim_say("job %d at party %d: %s -> %s", j, p, status_name(pj->st), status_name(to));
	pj->st = to;
}

void sim_post(const struct sim_msg *m)
{
	for (int i = 0; i < MAX_MESSAGES; i++) {
		struct sim_msg *x = &sim->msg[i];
		if (x->exists)
			continue;
		*x = *m;
		x->exists = true;
		x->no = ++sim->msg_seq;
		if (x->due == 0)
			x->due = sim->now;
		return;
	}
	sim_fail("the outbox grows without bound");
}

void sim_party_create(int j, int p)
{
	struct sim_pjob *pj = &sim->pj[j][p];

	if (pj->exists)
		return;
	pj->exists = true;
	pj->st = ST_WAITING;
	for (int t = 0; t < sim->job[j].n_tasks; t++)
		pj->run[t][0] = (struct sim_run){
		    .exists = true, .node = -1, .stop = ST_COUNT, .st = ST_WAITING};
	sim_say("job %d is created at party %d", j, p);
}

static bool live(const struct sim_pjob *pj)
{
	return pj->reserved && (pj->expires == 0 || pj->expires > sim->now);
}

enum sim_answer sim_party_reserve(int j, int p)
{
	struct sim_pjob *pj = &sim->pj[j][p];
	int site = sim->site_of[p], used = 0, together = 0, need = 0;

	if (!pj->exists || status_is_end(pj->st))
		return A_REFUSED;
	if (sim->job[j].cores[p] == 0)
		return A_OK;
	if (live(pj)) {
		if (pj->expires != 0)
			pj->expires = sim->now + 2 * sim_policy.reserve_ttl_ms;
		return A_OK;
	}
	for (int q = 0; q < sim->n_parties; q++) {
		if (sim->site_of[q] != site || !sim->pj[j][q].exists)
			continue;
		together += sim->job[j].cores[q];
		need += live(&sim->pj[j][q]) ? 0 : sim->job[j].cores[q];
	}
	if (together > sim->capacity[site])
		return A_NEVER;
	for (int k = 0; k < sim->n_jobs; k++) {
		for (int q = 0; q < sim->n_parties; q++) {
			if (sim->site_of[q] == site && live(&sim->pj[k][q]))
				used += sim->job[k].cores[q];
		}
	}
	/* all parties of the job here, or none */
	if (used + need > sim->capacity[site])
		return A_REFUSED;
	pj->reserved = true;
	pj->expires = sim->now + 2 * sim_policy.reserve_ttl_ms;
	sim_say("job %d reserves %d cores at party %d", j, sim->job[j].cores[p], p);
	return A_OK;
}

void sim_party_release(int j, int p, bool wake)
{
	if (!sim->pj[j][p].reserved)
		return;
	sim->pj[j][p].reserved = false;
	sim_say("job %d releases at party %d", j, p);
	if (sim->site_of[p] == SITE_SCHED)
		sim_wake_blocked(!wake);
}

bool sim_party_job_start(int j, int p)
{
	struct sim_pjob *pj = &sim->pj[j][p];

	if (!pj->exists)
		return false;
	if (pj->st != ST_WAITING)
		return pj->st == ST_RUNNING;
	if (sim_party_reserve(j, p) != A_OK)
		return false;
	pj->expires = 0;
	step_job(pj, ST_RUNNING, j, p);
	return true;
}

bool sim_party_task_start(int j, int t, int attempt, int p)
{
	struct sim_pjob *pj = &sim->pj[j][p];
	struct sim_run *r = &pj->run[t][attempt];

	if (!pj->exists)
		return false;
	if (!r->exists)
		*r = (struct sim_run){
		    .exists = true, .node = -1, .stop = ST_COUNT, .st = ST_WAITING};
	if (r->st == ST_WAITING && r->party_st == ST_WAITING && pj->st == ST_RUNNING) {
		step(&r->st, ST_RUNNING, "task", j, t, attempt, p);
		r->queued = true;
		r->node = -1;
	}
	return r->st == ST_RUNNING;
}

void sim_party_task_finish(int j, int t, int attempt, int p, enum status st)
{
	struct sim_run *r = &sim->pj[j][p].run[t][attempt];

	if (!sim->pj[j][p].exists || !r->exists)
		return;
	if (r->st == ST_RUNNING)
		step(&r->st, st, "task", j, t, attempt, p);
	if (st == ST_SUCCESS || st == ST_PASS || !r->queued)
		return;
	if (r->node >= 0) {
		if (r->stop == ST_COUNT)
			r->stop = st;
		return;
	}
	r->queued = false;
	if (r->party_st == ST_WAITING)
		step(&r->party_st, st, "run", j, t, attempt, p);
}

void sim_party_job_finish(int j, int p, enum status st)
{
	struct sim_pjob *pj = &sim->pj[j][p];

	if (!pj->exists)
		return;
	for (int t = 0; t < sim->job[j].n_tasks && st != ST_SUCCESS; t++) {
		for (int a = 0; a < MAX_ATTEMPTS; a++) {
			if (pj->run[t][a].exists && pj->run[t][a].st == ST_RUNNING)
				sim_party_task_finish(j, t, a, p, st);
		}
	}
	sim_party_release(j, p, true);
	if (!status_is_end(pj->st))
		step_job(pj, st, j, p);
}

static void report(int j, int t, int attempt, int p, enum status st, bool node_lost, bool no_retry)
{
	if (sim->site_of[p] == SITE_SCHED)
		sim_task_report(j, t, attempt, p, st, node_lost, no_retry);
	else
		sim_post(&(struct sim_msg){.site = sim->site_of[p],
					   .job = j,
					   .dest = SCHEDULER,
					   .command = C_REPORT,
					   .task = t,
					   .attempt = attempt,
					   .party = p,
					   .st = st,
					   .node_lost = node_lost,
					   .no_retry = no_retry});
}

bool sim_run_claim(int j, int t, int attempt, int p, int node)
{
	struct sim_run *r = &sim->pj[j][p].run[t][attempt];

	if (!r->queued || r->node >= 0)
		return false;
	r->node = node;
	r->lease = ++sim->lease_seq;
	step(&r->party_st, ST_RUNNING, "run", j, t, attempt, p);
	report(j, t, attempt, p, ST_RUNNING, false, false);
	return true;
}

bool sim_run_finish(int j, int t, int attempt, int p, int64_t lease, enum status st, bool node_lost,
		    bool no_retry)
{
	struct sim_run *r = &sim->pj[j][p].run[t][attempt];

	if (!r->queued || r->lease != lease) {
		sim->n_refused++;
		return false;
	}
	r->queued = false;
	step(&r->party_st, st, "run", j, t, attempt, p);
	sim_say("run %d.%d/%d at party %d ends: %s%s", j, t, attempt, p, status_name(st),
		node_lost ? ", node lost" : "");
	report(j, t, attempt, p, st, node_lost, no_retry);
	return true;
}
