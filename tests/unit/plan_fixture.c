#include "plan_fixture.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static struct fx fx;

/* Room for one more of n, doubled when a power of two is full. */
static void *room(void *p, int n, size_t size)
{
	if (n > 0 && (n & (n - 1)) != 0)
		return p;
	return mem_resize(p, n == 0 ? 1 : (size_t)n * 2, size);
}

void fx_free(void)
{
	plan_result_free(&fx.res);
	for (int i = 0; i < fx.job.n_tasks; i++)
		free(fx.job.tasks[i].parties);
	free(fx.job.tasks);
	free(fx.job.parties);
	free(fx.job.edges);
	memset(&fx, 0, sizeof(fx));
}

struct fx *fx_new(enum status status, int n_parties, int cores)
{
	fx_free();
	fx.job.status = status;
	fx.job.stop_status = ST_COUNT;
	fx.job.n_parties = n_parties;
	fx.job.parties = mem_array((size_t)n_parties, sizeof(*fx.job.parties));
	for (int i = 0; i < n_parties; i++) {
		struct plan_party *p = &fx.job.parties[i];
		p->create = CREATE_OK;
		p->reserve = status == ST_RUNNING ? RESERVE_GRANTED : RESERVE_NONE;
		p->cores = cores;
	}
	return &fx;
}

int fx_task(struct fx *f, int n_parties, int cores, int deps_left)
{
	int n = f->job.n_tasks++;

	f->job.tasks = room(f->job.tasks, n, sizeof(*f->job.tasks));
	f->job.tasks[n] = (struct plan_task){.task_no = n * 10,
					     .status = ST_WAITING,
					     .deps_left = deps_left,
					     .n_parties = n_parties};
	f->job.tasks[n].parties = mem_array((size_t)n_parties, sizeof(*f->job.tasks[n].parties));
	for (int k = 0; k < n_parties; k++) {
		f->job.tasks[n].parties[k].party = k;
		f->job.tasks[n].parties[k].cores = cores;
	}
	f->job.counts.waiting++;
	return n;
}

void fx_edge(struct fx *f, int parent, int child)
{
	int n = f->job.n_edges++;

	f->job.edges = room(f->job.edges, n, sizeof(*f->job.edges));
	f->job.edges[n] = (struct plan_edge){.parent = parent, .child = child};
	f->job.tasks[child].deps_left++;
}

void fx_running(struct fx *f, int task)
{
	ck_assert_int_eq(f->job.tasks[task].status, ST_WAITING);
	f->job.tasks[task].status = ST_RUNNING;
	f->job.counts.waiting--;
	f->job.counts.running++;
	fx_report_all(f, task, ST_RUNNING);
}

void fx_report(struct fx *f, int task, int party, enum status s)
{
	f->job.tasks[task].parties[party].status = s;
}

void fx_report_all(struct fx *f, int task, enum status s)
{
	for (int k = 0; k < f->job.tasks[task].n_parties; k++)
		fx_report(f, task, k, s);
}

static int total(const struct status_counts *c)
{
	return c->waiting + c->running + c->canceled + c->timeout + c->failed + c->success;
}

/* The counts are those of the statuses that the plan leaves behind, for jobs whose tasks are all
 * loaded. */
static void check_counts(const struct fx *f)
{
	struct status_counts c = {0};

	if (total(&f->job.counts) != f->job.n_tasks)
		return;
	for (int i = 0; i < f->job.n_tasks; i++)
		status_count(&c, f->job.tasks[i].status);
	ck_assert_int_eq(memcmp(&c, &f->res.counts, sizeof(c)), 0);
}

void fx_plan(struct fx *f, int64_t at_ms)
{
	int before = total(&f->job.counts);
	enum status was = f->job.status;

	plan_result_free(&f->res);
	for (int i = 0; i < f->job.n_parties; i++)
		f->job.parties[i].cores_used = 0;
	plan_job(&f->job, &plan_policy_default, FX_NOW + at_ms, &f->res);
	ck_assert_int_eq(total(&f->res.counts), before);
	ck_assert_int_eq(f->res.progress, status_progress(&f->res.counts));
	check_counts(f);
	f->job.counts = f->res.counts;
	for (int i = 0; i < f->res.n_effects; i++) {
		const struct plan_effect *e = &f->res.effects[i];
		if (e->kind != PLAN_JOB_STATUS)
			continue;
		ck_assert_msg(status_job_step_ok(was, e->status), "job went from %s to %s",
			      status_name(was), status_name(e->status));
		was = e->status;
	}
	ck_assert_int_eq(was, f->job.status);
	for (int i = 0; i < f->job.n_parties; i++)
		ck_assert_int_le(f->job.parties[i].cores_used, f->job.parties[i].cores);
}

int fx_count(const struct fx *f, enum plan_kind kind)
{
	int n = 0;

	for (int i = 0; i < f->res.n_effects; i++)
		n += f->res.effects[i].kind == kind;
	return n;
}

static const struct plan_effect *find(const struct fx *f, enum plan_kind kind, int task, int *n)
{
	const struct plan_effect *found = NULL;

	*n = 0;
	for (int i = 0; i < f->res.n_effects; i++) {
		const struct plan_effect *e = &f->res.effects[i];
		if (e->kind != kind || (task >= 0 && e->task != task))
			continue;
		found = e;
		(*n)++;
	}
	return found;
}

const struct plan_effect *fx_effect(const struct fx *f, enum plan_kind kind, int task)
{
	int n;
	const struct plan_effect *e = find(f, kind, task, &n);

	ck_assert_msg(n == 1, "%d effects of kind %d for task %d, not one", n, (int)kind, task);
	return e;
}

bool fx_started(const struct fx *f, int task)
{
	int n;

	find(f, PLAN_TASK_START, task, &n);
	ck_assert_int_le(n, 1);
	return n == 1;
}
