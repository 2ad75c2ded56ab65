#include "sched/cycle.h"

#include <string.h>

/* The arrays of one statement, filled over all jobs of the batch. */
struct jobs_arrays {
	struct db_array no, version, lease, to, started, running, success, interrupted, progress,
	    tries, reason;
};

struct steps_arrays {
	struct db_array no, from, to, reason, party;
};

struct starts_arrays {
	int n;
	struct db_array no, task, attempt, reason;
};

struct ends_arrays {
	int n;
	struct db_array no, task, attempt, status, reason, party, progress, retry_at, retries,
	    rescues;
	struct db_array child_no, child, child_parents; /* waiting tasks with fewer to wait for */
};

struct tell_arrays {
	int n;
	struct db_array no, task, attempt, status, progress;
};

struct leave_arrays {
	struct db_array no, lease, poke, due, blocked;
};

struct nos {
	int n;
	struct db_array no;
};

struct applying {
	struct jobs_arrays jobs;
	struct steps_arrays steps;
	int n_steps;
	struct starts_arrays starts;
	struct ends_arrays ends;
	struct tell_arrays
	    tell_stops;               /* of what may still run there: it gives way to what starts */
	struct tell_arrays tell_ends; /* of what has ended everywhere: nobody waits for it */
	struct {
		int n;
		struct db_array no, party;
	} reserve;
	struct nos release, start_jobs, end_jobs;
	struct {
		int n;
		struct db_array no, task, mark, running;
	} marks;
	struct leave_arrays leave;
	struct {
		struct db_array no, task;
	} locks;    /* tasks that end and those of marks */
	bool tells; /* parties at other sites */
};

static void add_no(struct nos *n, int64_t job_no)
{
	n->n++;
	db_array_int(&n->no, job_no);
}

static void array_status(struct db_array *a, enum status s)
{
	db_array_text(a, status_name(s));
}

static void array_party(struct db_array *a, int party)
{
	if (party < 0)
		db_array_text(a, NULL);
	else
		db_array_int(a, party);
}

static void add_step(struct applying *a, const struct cycle_job *j, enum status from,
		     const struct plan_effect *f)
{
	a->n_steps++;
	db_array_int(&a->steps.no, j->job_no);
	array_status(&a->steps.from, from);
	array_status(&a->steps.to, f->status);
	db_array_text(&a->steps.reason, plan_reason_name(f->reason));
	array_party(&a->steps.party, f->party);
}

static bool all_local(const struct cycle_job *j, const struct plan_task *t)
{
	for (int k = 0; k < t->n_parties; k++) {
		if (!j->plan.parties[t->parties[k].party].local)
			return false;
	}
	return true;
}

static void add_end(struct applying *a, const struct cycle_job *j, const struct plan_effect *f)
{
	const struct plan_task *t = &j->plan.tasks[f->task];
	struct ends_arrays *x = &a->ends;

	x->n++;
	db_array_int(&a->locks.no, j->job_no);
	db_array_int(&a->locks.task, t->task_no);
	db_array_int(&x->no, j->job_no);
	db_array_int(&x->task, t->task_no);
	db_array_int(&x->attempt, j->tasks[f->task].attempt_was);
	array_status(&x->status, f->status);
	db_array_text(&x->reason, plan_reason_name(f->reason));
	array_party(&x->party, f->party);
	db_array_int(&x->progress, j->result.progress);
	if (f->kind == PLAN_TASK_RETRY)
		db_array_int(&x->retry_at, f->at_ms);
	else
		db_array_text(&x->retry_at, NULL);
	db_array_int(&x->retries, t->retries_left);
	db_array_int(&x->rescues, t->rescues);
	if (all_local(j, t))
		return;
	struct tell_arrays *tell = status_is_interrupt(f->status) ? &a->tell_stops : &a->tell_ends;
	tell->n++;
	db_array_int(&tell->no, j->job_no);
	db_array_int(&tell->task, t->task_no);
	db_array_int(&tell->attempt, j->tasks[f->task].attempt_was);
	array_status(&tell->status, f->status);
	db_array_int(&tell->progress, j->result.progress);
}

static void add_start(struct applying *a, const struct cycle_job *j, const struct plan_effect *f)
{
	const struct plan_task *t = &j->plan.tasks[f->task];

	a->starts.n++;
	db_array_int(&a->starts.no, j->job_no);
	db_array_int(&a->starts.task, t->task_no);
	db_array_int(&a->starts.attempt, t->attempt);
	db_array_text(&a->starts.reason, plan_reason_name(f->reason));
}

/* Returns the reason of the job's own last step, or NULL. */
static const char *add_effects(struct applying *a, struct cycle_job *j, bool *started)
{
	const char *reason = NULL;
	enum status at = j->was;

	for (int i = 0; i < j->result.n_effects; i++) {
		const struct plan_effect *f = &j->result.effects[i];
		switch (f->kind) {
		case PLAN_JOB_STATUS:
			add_step(a, j, at, f);
			at = f->status;
			reason = plan_reason_name(f->reason);
			if (f->status == ST_RUNNING) {
				*started = true;
				add_no(&a->start_jobs, j->job_no);
			} else if (status_is_end(f->status)) {
				add_no(&a->end_jobs, j->job_no);
			}
			break;
		case PLAN_RESERVE:
			a->reserve.n++;
			db_array_int(&a->reserve.no, j->job_no);
			array_party(&a->reserve.party, f->party);
			break;
		case PLAN_RELEASE:
			add_no(&a->release, j->job_no);
			break;
		case PLAN_TASK_START:
			add_start(a, j, f);
			break;
		case PLAN_TASK_END:
		case PLAN_TASK_RETRY:
			add_end(a, j, f);
			break;
		}
	}
	return reason;
}

/* The tasks that neither start nor end. Those whose report has ended nothing yet leave the ranks of
 * the reported; one that could not be started keeps its row, since it still needs attention.
 * Returns how many need none any more. */
static int add_others(struct applying *a, const struct cycle_job *j)
{
	int n = 0;

	for (int i = 0; i < j->plan.n_tasks; i++) {
		const struct plan_task *t = &j->plan.tasks[i];
		const struct cycle_task *c = &j->tasks[i];
		if (t->status != c->was || t->attempt != c->attempt_was) {
			n += c->mark >= 0;
			continue;
		}
		if (t->deps_left < c->deps_were) {
			db_array_int(&a->ends.child_no, j->job_no);
			db_array_int(&a->ends.child, t->task_no);
			db_array_int(&a->ends.child_parents, c->deps_were - t->deps_left);
		}
		if (c->mark < 0 || (t->status == ST_WAITING && t->deps_left <= 0))
			continue;
		n++;
		a->marks.n++;
		db_array_int(&a->locks.no, j->job_no);
		db_array_int(&a->locks.task, t->task_no);
		db_array_int(&a->marks.no, j->job_no);
		db_array_int(&a->marks.task, t->task_no);
		db_array_int(&a->marks.mark, c->mark);
		db_array_text(&a->marks.running, t->status == ST_RUNNING ? "t" : "f");
	}
	return n;
}

static void add_job(struct applying *a, struct cycle_job *j)
{
	const struct status_counts *c = &j->result.counts;
	bool started = false;
	const char *reason = add_effects(a, j, &started);
	struct jobs_arrays *x = &a->jobs;

	int n_done = add_others(a, j);
	a->tells |= j->result.n_effects > 0 && !plan_all_local(&j->plan);
	db_array_int(&x->no, j->job_no);
	db_array_int(&x->version, j->version);
	db_array_int(&x->lease, j->lease_no);
	db_array_text(&x->to, j->plan.status == j->was ? NULL : status_name(j->plan.status));
	db_array_text(&x->started, started ? "t" : "f");
	db_array_int(&x->running, c->running);
	db_array_int(&x->success, c->success);
	db_array_int(&x->interrupted, c->canceled + c->timeout + c->failed);
	db_array_int(&x->progress, j->result.progress);
	db_array_int(&x->tries, j->plan.reserve_tries);
	db_array_text(&x->reason, reason);
	db_array_int(&a->leave.no, j->job_no);
	db_array_int(&a->leave.lease, j->lease_no);
	db_array_int(&a->leave.poke, j->poke);
	/* The next ones may be seen now. */
	if (j->more_tasks && (j->result.n_effects > 0 || n_done > 0))
		db_array_int(&a->leave.due, j->now_ms);
	else if (j->result.due_ms > 0)
		db_array_int(&a->leave.due, j->result.due_ms);
	else
		db_array_text(&a->leave.due, NULL);
	db_array_text(&a->leave.blocked, j->result.blocked ? "t" : "f");
}

static void bind_nos(struct db_batch *b, enum db_stmt stmt, struct nos *n)
{
	if (n->n == 0)
		return;
	db_add(b, stmt);
	db_array(b, &n->no);
}

static void bind_jobs(struct db_batch *b, struct jobs_arrays *x)
{
	struct db_array *all[] = {&x->no,       &x->version, &x->lease,   &x->to,
				  &x->started,  &x->running, &x->success, &x->interrupted,
				  &x->progress, &x->tries,   &x->reason};

	db_add(b, Q_SCHED_APPLY_JOBS);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		db_array(b, all[i]);
}

static void bind_steps(struct db_batch *b, struct steps_arrays *x)
{
	struct db_array *all[] = {&x->no, &x->from, &x->to, &x->reason, &x->party};

	db_add(b, Q_SCHED_APPLY_JOB_STEPS);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		db_array(b, all[i]);
}

static void bind_ends(struct db_batch *b, struct ends_arrays *x)
{
	struct db_array *all[] = {&x->no,           &x->task,    &x->attempt,  &x->status,
				  &x->reason,       &x->party,   &x->progress, &x->retry_at,
				  &x->retries,      &x->rescues, &x->child_no, &x->child,
				  &x->child_parents};

	if (x->n == 0)
		return;
	db_add(b, Q_SCHED_END_TASKS);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		db_array(b, all[i]);
}

static void bind_tell(struct db_batch *b, struct tell_arrays *x)
{
	struct db_array *all[] = {&x->no, &x->task, &x->attempt, &x->status, &x->progress};

	if (x->n == 0)
		return;
	db_add(b, Q_SCHED_TELL_ENDS);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		db_array(b, all[i]);
}

static void bind_starts(struct db_batch *b, struct starts_arrays *x)
{
	struct db_array *all[] = {&x->no, &x->task, &x->attempt, &x->reason};

	if (x->n == 0)
		return;
	db_add(b, Q_SCHED_START_TASKS);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		db_array(b, all[i]);
}

/* Both what ends and what was only looked at is in task_work: when there are both, the rows are
 * locked before, in the one order that all keep. */
static void bind_locks(struct db_batch *b, struct applying *a)
{
	if (a->ends.n == 0 || a->marks.n == 0) {
		db_array_free(&a->locks.no);
		db_array_free(&a->locks.task);
		return;
	}
	db_add(b, Q_SCHED_LOCK_TASKS);
	db_array(b, &a->locks.no);
	db_array(b, &a->locks.task);
}

int cycle_apply_batch(struct cycle *c, const struct plan_policy *policy, struct db_batch *b,
		      struct cycle_wakes *wakes)
{
	struct applying a = {0};

	/* In the order of the queue: who comes first gets the resources. */
	for (int i = 0; i < c->n_jobs; i++) {
		struct cycle_job *j = &c->jobs[c->order[i]];
		if (!j->loaded)
			continue;
		plan_job(&j->plan, policy, j->now_ms, &j->result);
		add_job(&a, j);
	}
	/* Order matters: the guard first; attempts end before others start, but the other sites
	 * hear of the starts before they hear of a success, which has left nothing running; a job
	 * starts before its tasks. */
	bind_jobs(b, &a.jobs);
	if (a.n_steps > 0)
		bind_steps(b, &a.steps);
	bind_nos(b, Q_SCHED_RELEASE, &a.release);
	if (a.reserve.n > 0) {
		db_add(b, Q_SCHED_RESERVE);
		db_array(b, &a.reserve.no);
		db_array(b, &a.reserve.party);
		db_int(b, policy->reserve_ttl_ms);
	}
	bind_nos(b, Q_SCHED_START_JOBS, &a.start_jobs);
	bind_locks(b, &a);
	bind_ends(b, &a.ends);
	bind_tell(b, &a.tell_stops);
	bind_starts(b, &a.starts);
	bind_tell(b, &a.tell_ends);
	if (a.marks.n > 0) {
		db_add(b, Q_SCHED_DONE_MARKS);
		db_array(b, &a.marks.no);
		db_array(b, &a.marks.task);
		db_array(b, &a.marks.mark);
		db_array(b, &a.marks.running);
	}
	bind_nos(b, Q_SCHED_END_JOBS, &a.end_jobs);
	db_add(b, Q_SCHED_LEAVE);
	db_array(b, &a.leave.no);
	db_array(b, &a.leave.lease);
	db_array(b, &a.leave.poke);
	db_array(b, &a.leave.due);
	db_array(b, &a.leave.blocked);
	wakes->exec = a.starts.n > 0 || a.ends.n > 0 || a.end_jobs.n > 0;
	wakes->sched = a.end_jobs.n > 0 || a.release.n > 0;
	wakes->outbox = a.tells;
	return (int)db_batch_count(b) - 1;
}
