/* What must hold after every step, and at the end. */
#include "sim.h"

#include <string.h>

static int parents_missing(const struct sim_job *x, int t)
{
	int n = 0;

	for (int k = 0; k < x->n_tasks; k++)
		n += x->edge[k][t] && x->task[k].st != ST_SUCCESS;
	return n;
}

static void check_task(int j, int t)
{
	const struct sim_job *x = &sim->job[j];
	const struct sim_task *k = &x->task[t], *b = &sim->before[j].task[t];

	const struct status_counts *c = &sim->before[j].counts;
	if (k->st == ST_RUNNING && (b->st != ST_RUNNING || k->attempt != b->attempt) &&
	    c->canceled + c->timeout + c->failed > 0)
		sim_fail("task %d.%d starts in a job that has failed", j, t);
	if (k->attempt < b->attempt)
		sim_fail("task %d.%d went back to attempt %d", j, t, k->attempt);
	if (status_is_end(b->st) && (k->st != b->st || k->attempt != b->attempt))
		sim_fail("task %d.%d had ended as %s and is %s now", j, t, status_name(b->st),
			 status_name(k->st));
	if (k->deps_left != parents_missing(x, t))
		sim_fail("task %d.%d counts %d parents to come, of %d", j, t, k->deps_left,
			 parents_missing(x, t));
	if ((k->st != ST_WAITING || k->attempt > 0) && k->deps_left > 0)
		sim_fail("task %d.%d started before its parents succeeded", j, t);
	if (k->attempt > sim_policy.max_rescues + 3)
		sim_fail("task %d.%d has had %d attempts", j, t, k->attempt + 1);
	for (int a = 0; a <= b->attempt; a++) {
		for (int p = 0; p < sim->n_parties; p++) {
			const struct sim_tp *was = &sim->before[j].tp[t][a][p];
			if (was->exists && was->final && x->tp[t][a][p].st != was->st)
				sim_fail("the report of party %d on %d.%d/%d changed after its end",
					 p, j, t, a);
		}
	}
}

static void check_cores(int j)
{
	const struct sim_job *x = &sim->job[j];

	for (int p = 0; p < sim->n_parties; p++) {
		int used = 0;
		for (int t = 0; t < x->n_tasks; t++) {
			for (int k = 0; k < x->task[t].n_parties && x->task[t].st == ST_RUNNING;
			     k++) {
				if (x->task[t].party[k] == p)
					used += x->task[t].cores[k];
			}
		}
		if (used > x->cores[p])
			sim_fail("job %d uses %d of %d cores at party %d", j, used, x->cores[p], p);
	}
}

static void check_job(int j)
{
	const struct sim_job *x = &sim->job[j], *b = &sim->before[j];
	struct status_counts c = {0};

	for (int t = 0; t < x->n_tasks; t++) {
		check_task(j, t);
		status_count(&c, x->task[t].st);
	}
	if (memcmp(&c, &x->counts, sizeof(c)) != 0)
		sim_fail("the counts of job %d are not those of its tasks", j);
	if (status_is_end(b->st) && (x->st != b->st || x->version != b->version))
		sim_fail("job %d had ended as %s and was changed", j, status_name(b->st));
	if (x->progress < b->progress)
		sim_fail("the progress of job %d fell from %d to %d", j, b->progress, x->progress);
	if (x->version < b->version)
		sim_fail("the version of job %d fell", j);
	if (x->work.exists == status_is_end(x->st))
		sim_fail("job %d is %s and %s work", j, status_name(x->st),
			 x->work.exists ? "has" : "has no");
	check_cores(j);
}

static void check_site(int site)
{
	int used = 0;

	for (int j = 0; j < sim->n_jobs; j++) {
		for (int p = 0; p < sim->n_parties; p++) {
			const struct sim_pjob *pj = &sim->pj[j][p];
			if (sim->site_of[p] == site && pj->reserved &&
			    (pj->expires == 0 || pj->expires > sim->now))
				used += sim->job[j].cores[p];
		}
	}
	if (used > sim->capacity[site])
		sim_fail("%d of %d cores of site %d are reserved", used, sim->capacity[site], site);
}

void sim_check_step(void)
{
	for (int j = 0; j < sim->n_jobs; j++) {
		if (sim->job[j].stop == ST_WAITING)
			continue; /* not submitted yet */
		check_job(j);
		sim->before[j] = sim->job[j];
	}
	for (int s = 0; s < sim->n_sites; s++)
		check_site(s);
}

static bool party_is_over(int j, int p)
{
	const struct sim_pjob *pj = &sim->pj[j][p];

	if (!pj->exists)
		return true;
	for (int t = 0; t < sim->job[j].n_tasks; t++) {
		for (int a = 0; a < MAX_ATTEMPTS; a++) {
			if (pj->run[t][a].queued)
				return false;
		}
	}
	return status_is_end(pj->st) && !pj->reserved;
}

bool sim_all_over(void)
{
	for (int j = 0; j < sim->n_jobs; j++) {
		if (!status_is_end(sim->job[j].st))
			return false;
	}
	for (int i = 0; i < MAX_MESSAGES; i++) {
		if (sim->msg[i].exists)
			return false;
	}
	for (int j = 0; j < sim->n_jobs; j++) {
		for (int p = 0; p < sim->n_parties; p++) {
			if (!party_is_over(j, p))
				return false;
		}
	}
	return true;
}

static void check_outcome(int j)
{
	const struct sim_job *x = &sim->job[j];
	const struct status_counts *c = &x->counts;

	if ((x->st == ST_SUCCESS) != (c->success == x->n_tasks))
		sim_fail("job %d is %s with %d of %d tasks done", j, status_name(x->st), c->success,
			 x->n_tasks);
	if (c->running > 0)
		sim_fail("job %d has ended with %d tasks running", j, c->running);
	if (x->st == ST_SUCCESS && x->progress != 100)
		sim_fail("job %d is done at %d %%", j, x->progress);
	for (int t = 0; t < x->n_tasks; t++) {
		if (x->task[t].mark != 0)
			sim_fail("task %d.%d of an ended job still asks for attention", j, t);
	}
	for (int p = 0; p < sim->n_parties; p++) {
		if (sim->pj[j][p].exists && sim->pj[j][p].st != x->st)
			sim_fail("job %d is %s, but %s at party %d", j, status_name(x->st),
				 status_name(sim->pj[j][p].st), p);
	}
}

void sim_check_end(void)
{
	sim_check_step();
	for (int j = 0; j < sim->n_jobs; j++)
		check_outcome(j);
}
