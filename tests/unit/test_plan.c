/* The planner: each state of a job, and each effect. */
#include "plan_fixture.h"

#include <stdlib.h>
#include <string.h>

#define POLICY (&plan_policy_default)

/* ---- ready: being created ---- */

START_TEST(ready_waits_for_every_answer)
{
	struct fx *f = fx_new(ST_READY, 3, 4);

	fx_task(f, 3, 1, 0);
	f->job.parties[2].create = CREATE_ASKED;
	fx_plan(f, 0);
	ck_assert_int_eq(f->res.n_effects, 0);
	ck_assert_int_eq(f->job.status, ST_READY);
	ck_assert_int_eq(f->res.due_ms, 0);
	f->job.parties[2].create = CREATE_OK;
	fx_plan(f, 10);
	ck_assert_int_eq(f->job.status, ST_WAITING);
	ck_assert_int_eq(fx_effect(f, PLAN_JOB_STATUS, -1)->reason, WHY_CREATED);
	ck_assert_int_eq(f->res.due_ms, FX_NOW + 10); /* goes on at once */
}
END_TEST

START_TEST(a_refused_creation_ends_the_job_at_once)
{
	struct fx *f = fx_new(ST_READY, 3, 4);
	const struct plan_effect *e;

	fx_task(f, 3, 1, 0);
	f->job.parties[0].create = CREATE_ASKED;
	f->job.parties[1].create = CREATE_REFUSED;
	fx_plan(f, 0);
	e = fx_effect(f, PLAN_JOB_STATUS, -1);
	ck_assert_int_eq(e->status, ST_FAILED);
	ck_assert_int_eq(e->reason, WHY_PARTY_REFUSED);
	ck_assert_int_eq(e->party, 1);
	ck_assert_int_eq(f->res.n_effects, 1);
	ck_assert_int_eq(f->res.progress, 0);
}
END_TEST

/* ---- waiting: reservations ---- */

START_TEST(waiting_asks_for_resources)
{
	struct fx *f = fx_new(ST_WAITING, 2, 4);

	fx_task(f, 2, 1, 0);
	fx_plan(f, 0);
	ck_assert_int_eq(f->res.n_effects, 1);
	ck_assert_int_eq(fx_effect(f, PLAN_RESERVE, -1)->party, -1);
	ck_assert_int_eq(f->job.reserve_tries, 1);
	ck_assert(f->res.blocked);
	ck_assert_int_eq(f->job.status, ST_WAITING);
}
END_TEST

/* After a refusal, so that two jobs cannot each hold what the other needs. */
START_TEST(parties_are_asked_one_by_one_the_second_time)
{
	static const int order[] = {2, 0, 1};
	static const int asked[] = {1, 2, 0};
	struct fx *f = fx_new(ST_WAITING, 3, 4);

	fx_task(f, 3, 1, 0);
	for (int i = 0; i < 3; i++)
		f->job.parties[i].order = order[i];
	f->job.reserve_tries = 1;
	for (int i = 0; i < 3; i++) {
		fx_plan(f, 0);
		ck_assert_int_eq(f->res.n_effects, 1);
		ck_assert_int_eq(fx_effect(f, PLAN_RESERVE, -1)->party, asked[i]);
		ck_assert_int_eq(f->job.reserve_tries, 2); /* it is one round */
		f->job.parties[asked[i]].reserve = RESERVE_ASKED;
		fx_plan(f, 0);
		ck_assert_int_eq(f->res.n_effects, 0);
		f->job.parties[asked[i]].reserve = RESERVE_GRANTED;
	}
	fx_plan(f, 0);
	ck_assert_int_eq(f->job.status, ST_RUNNING);
}
END_TEST

START_TEST(parties_of_one_site_are_always_asked_at_once)
{
	struct fx *f = fx_new(ST_WAITING, 2, 4);

	fx_task(f, 2, 1, 0);
	f->job.parties[0].local = f->job.parties[1].local = true;
	f->job.reserve_tries = 5;
	fx_plan(f, 0);
	ck_assert_int_eq(fx_effect(f, PLAN_RESERVE, -1)->party, -1);
}
END_TEST

START_TEST(all_grants_start_the_job_and_its_first_tasks)
{
	struct fx *f = fx_new(ST_WAITING, 2, 4);
	int a = fx_task(f, 2, 1, 0), b = fx_task(f, 1, 1, 0), c = fx_task(f, 2, 1, 0);

	fx_edge(f, a, c);
	f->job.parties[0].reserve = f->job.parties[1].reserve = RESERVE_GRANTED;
	fx_plan(f, 0);
	ck_assert_int_eq(f->job.status, ST_RUNNING);
	ck_assert_int_eq(fx_effect(f, PLAN_JOB_STATUS, -1)->reason, WHY_RESOURCES_GRANTED);
	ck_assert(fx_started(f, a) && fx_started(f, b) && !fx_started(f, c));
	ck_assert(!f->res.blocked);
	/* the job's step stands before the tasks' */
	ck_assert_int_eq(f->res.effects[0].kind, PLAN_JOB_STATUS);
}
END_TEST

START_TEST(a_round_of_reservations_is_complete_before_it_is_given_back)
{
	struct fx *f = fx_new(ST_WAITING, 3, 4);

	fx_task(f, 3, 1, 0);
	f->job.parties[0].reserve = RESERVE_REFUSED;
	f->job.parties[1].reserve = RESERVE_ASKED;
	f->job.parties[2].reserve = RESERVE_GRANTED;
	fx_plan(f, 0);
	ck_assert_int_eq(f->res.n_effects, 0);
	ck_assert_int_eq(f->res.due_ms, FX_NOW + POLICY->reserve_ttl_ms);
	f->job.parties[1].reserve = RESERVE_GRANTED;
	fx_plan(f, 0);
	ck_assert_int_eq(f->res.n_effects, 1);
	ck_assert_int_eq(fx_effect(f, PLAN_RELEASE, -1)->reason, WHY_RESOURCES_REFUSED);
	ck_assert_int_eq(fx_effect(f, PLAN_RELEASE, -1)->party, 0);
	ck_assert(f->res.blocked);
	ck_assert_int_eq(f->job.status, ST_WAITING);
}
END_TEST

START_TEST(pauses_between_rounds_grow_to_a_limit)
{
	int64_t last = 0;

	for (int tries = 0; tries < 40; tries++) {
		struct fx *f = fx_new(ST_WAITING, 1, 4);
		fx_task(f, 1, 1, 0);
		f->job.parties[0].reserve = RESERVE_REFUSED;
		f->job.reserve_tries = tries;
		fx_plan(f, 0);
		int64_t wait = f->res.due_ms - FX_NOW;
		if (tries == 0)
			ck_assert_int_ge(wait, POLICY->reserve_retry_ms);
		ck_assert_int_ge(wait, last / 2);
		ck_assert_int_le(wait,
				 POLICY->reserve_retry_max_ms + POLICY->reserve_retry_max_ms / 4);
		last = wait;
	}
	ck_assert_int_ge(last, POLICY->reserve_retry_max_ms);
}
END_TEST

START_TEST(a_job_of_one_site_waits_to_be_woken)
{
	struct fx *f = fx_new(ST_WAITING, 2, 4);

	fx_task(f, 1, 1, 0);
	f->job.parties[0].reserve = f->job.parties[1].reserve = RESERVE_REFUSED;
	f->job.parties[0].local = f->job.parties[1].local = true;
	fx_plan(f, 0);
	fx_effect(f, PLAN_RELEASE, -1);
	ck_assert_int_eq(f->res.due_ms, FX_NOW + POLICY->reserve_retry_local_ms);
	ck_assert(f->res.blocked);
}
END_TEST

START_TEST(two_jobs_do_not_try_again_at_the_same_times)
{
	int same = 0;

	for (int tries = 0; tries < 20; tries++) {
		int64_t due[2];
		for (unsigned i = 0; i < 2; i++) {
			struct fx *f = fx_new(ST_WAITING, 2, 4);
			fx_task(f, 1, 1, 0);
			f->job.parties[0].reserve = RESERVE_GRANTED;
			f->job.parties[1].reserve = RESERVE_REFUSED;
			f->job.reserve_tries = tries;
			f->job.salt = 1000 + i;
			fx_plan(f, 0);
			due[i] = f->res.due_ms;
		}
		same += due[0] == due[1];
	}
	ck_assert_int_le(same, 2);
}
END_TEST

START_TEST(what_can_never_fit_ends_the_job)
{
	struct fx *f = fx_new(ST_WAITING, 3, 4);
	const struct plan_effect *e;

	fx_task(f, 3, 1, 0);
	f->job.parties[0].reserve = RESERVE_ASKED;
	f->job.parties[1].reserve = RESERVE_GRANTED;
	f->job.parties[2].reserve = RESERVE_NEVER;
	fx_plan(f, 0);
	e = fx_effect(f, PLAN_JOB_STATUS, -1);
	ck_assert_int_eq(e->status, ST_FAILED);
	ck_assert_int_eq(e->reason, WHY_RESOURCES_NEVER);
	ck_assert_int_eq(e->party, 2);
}
END_TEST

/* ---- running ---- */

START_TEST(nothing_to_do_has_no_effects)
{
	struct fx *f = fx_new(ST_RUNNING, 2, 4);
	int a = fx_task(f, 2, 1, 0);

	fx_running(f, a);
	fx_plan(f, 0);
	ck_assert_int_eq(f->res.n_effects, 0);
	ck_assert_int_eq(f->res.due_ms, 0);
	/* one party alone does not end it */
	fx_report(f, a, 0, ST_SUCCESS);
	fx_plan(f, 0);
	ck_assert_int_eq(f->res.n_effects, 0);
}
END_TEST

START_TEST(a_parent_starts_its_child_in_the_same_plan)
{
	struct fx *f = fx_new(ST_RUNNING, 2, 1);
	int a = fx_task(f, 2, 1, 0), b = fx_task(f, 2, 1, 0);

	fx_edge(f, a, b);
	fx_running(f, a);
	fx_report_all(f, a, ST_SUCCESS);
	fx_plan(f, 0);
	/* on the core that its parent has left */
	ck_assert_int_eq(fx_effect(f, PLAN_TASK_END, a)->status, ST_SUCCESS);
	ck_assert_int_eq(fx_effect(f, PLAN_TASK_END, a)->reason, WHY_ALL_PARTIES_DONE);
	ck_assert(fx_started(f, b));
	ck_assert_int_eq(fx_effect(f, PLAN_TASK_START, b)->reason, WHY_DEPENDENCIES_DONE);
	ck_assert_int_eq(f->res.progress, 50);
	ck_assert_int_eq(f->job.status, ST_RUNNING);
}
END_TEST

START_TEST(a_diamond_joins_when_both_sides_are_done)
{
	struct fx *f = fx_new(ST_RUNNING, 1, 8);
	int top = fx_task(f, 1, 1, 0), left = fx_task(f, 1, 1, 0), right = fx_task(f, 1, 1, 0),
	    end = fx_task(f, 1, 1, 0);

	fx_edge(f, top, left);
	fx_edge(f, top, right);
	fx_edge(f, left, end);
	fx_edge(f, right, end);
	fx_running(f, top);
	fx_report_all(f, top, ST_SUCCESS);
	fx_plan(f, 0);
	ck_assert(fx_started(f, left) && fx_started(f, right) && !fx_started(f, end));
	fx_report_all(f, left, ST_SUCCESS);
	fx_plan(f, 1);
	ck_assert(!fx_started(f, end));
	ck_assert_int_eq(f->job.tasks[end].deps_left, 1);
	fx_report_all(f, right, ST_PASS);
	fx_plan(f, 2);
	ck_assert(fx_started(f, end));
	fx_report_all(f, end, ST_SUCCESS);
	fx_plan(f, 3);
	ck_assert_int_eq(f->job.status, ST_SUCCESS);
	ck_assert_int_eq(fx_effect(f, PLAN_JOB_STATUS, -1)->reason, WHY_TASKS_DONE);
	ck_assert_int_eq(f->res.progress, 100);
	ck_assert_int_eq(f->res.due_ms, 0);
}
END_TEST

START_TEST(both_sides_of_a_diamond_may_end_in_one_plan)
{
	struct fx *f = fx_new(ST_RUNNING, 1, 8);
	int left = fx_task(f, 1, 1, 0), right = fx_task(f, 1, 1, 0), end = fx_task(f, 1, 1, 0);

	fx_edge(f, left, end);
	fx_edge(f, right, end);
	fx_running(f, left);
	fx_running(f, right);
	fx_report_all(f, left, ST_SUCCESS);
	fx_report_all(f, right, ST_SUCCESS);
	fx_plan(f, 0);
	ck_assert_int_eq(fx_count(f, PLAN_TASK_END), 2);
	ck_assert(fx_started(f, end));
}
END_TEST

START_TEST(cores_of_each_party_are_a_limit)
{
	struct fx *f = fx_new(ST_RUNNING, 2, 4);
	int a = fx_task(f, 1, 3, 0), b = fx_task(f, 2, 2, 0), c = fx_task(f, 1, 1, 0),
	    d = fx_task(f, 2, 0, 0);

	fx_plan(f, 0);
	/* a and c fill the first party; b would fit the second, but not the first; d needs nothing
	 */
	ck_assert(fx_started(f, a) && !fx_started(f, b) && fx_started(f, c) && fx_started(f, d));
	ck_assert_int_eq(f->job.parties[0].cores_used, 4);
	ck_assert_int_eq(f->job.parties[1].cores_used, 0);
	fx_report_all(f, a, ST_SUCCESS);
	fx_report_all(f, c, ST_RUNNING);
	fx_plan(f, 1);
	ck_assert(fx_started(f, b));
}
END_TEST

START_TEST(cores_used_by_tasks_that_are_not_loaded_count)
{
	struct fx *f = fx_new(ST_RUNNING, 1, 4);
	int a = fx_task(f, 1, 2, 0);

	f->job.counts.running = 1; /* somewhere else in the job, with 3 cores */
	f->job.parties[0].cores_used = 3;
	plan_result_free(&f->res);
	plan_job(&f->job, POLICY, FX_NOW, &f->res);
	ck_assert_int_eq(f->res.n_effects, 0);
	ck_assert_int_eq(f->job.tasks[a].status, ST_WAITING);
	f->job.parties[0].cores_used = 2;
	plan_result_free(&f->res);
	plan_job(&f->job, POLICY, FX_NOW, &f->res);
	ck_assert(fx_started(f, a));
}
END_TEST

START_TEST(a_job_of_no_tasks_is_done)
{
	struct fx *f = fx_new(ST_RUNNING, 1, 4);

	fx_plan(f, 0);
	ck_assert_int_eq(f->job.status, ST_SUCCESS);
	ck_assert_int_eq(f->res.progress, 100);
}
END_TEST

/* ---- failure ---- */

START_TEST(after_a_failure_nothing_starts_and_what_runs_goes_on)
{
	struct fx *f = fx_new(ST_RUNNING, 2, 8);
	int a = fx_task(f, 2, 1, 0), b = fx_task(f, 2, 1, 0), c = fx_task(f, 2, 1, 0);
	const struct plan_effect *e;

	fx_edge(f, b, c);
	fx_running(f, a);
	fx_running(f, b);
	fx_report(f, a, 1, ST_FAILED);
	fx_plan(f, 0);
	e = fx_effect(f, PLAN_TASK_END, a);
	ck_assert_int_eq(e->status, ST_FAILED);
	ck_assert_int_eq(e->reason, WHY_PARTY_ENDED);
	ck_assert_int_eq(e->party, 1);
	ck_assert_int_eq(f->job.status, ST_RUNNING);
	fx_report_all(f, b, ST_SUCCESS);
	fx_plan(f, 1);
	ck_assert_int_eq(fx_effect(f, PLAN_TASK_END, b)->status, ST_SUCCESS);
	ck_assert(!fx_started(f, c));
	ck_assert_int_eq(f->job.tasks[c].status, ST_WAITING);
	ck_assert_int_eq(f->job.status, ST_FAILED);
	ck_assert_int_eq(fx_effect(f, PLAN_JOB_STATUS, -1)->reason, WHY_TASK_FAILED);
	ck_assert_int_eq(f->res.progress, 66);
}
END_TEST

START_TEST(an_end_that_was_not_asked_for_is_failed_canceled_or_timeout)
{
	static const enum status parts[] = {ST_FAILED, ST_TIMEOUT, ST_CANCELED};
	static const enum status jobs[] = {ST_FAILED, ST_FAILED, ST_CANCELED};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		struct fx *f = fx_new(ST_RUNNING, 1, 8);
		int a = fx_task(f, 1, 1, 0);
		fx_running(f, a);
		fx_report(f, a, 0, parts[i]);
		fx_plan(f, 0);
		ck_assert_int_eq(fx_effect(f, PLAN_TASK_END, a)->status, parts[i]);
		/* clients know no timeout of a job */
		ck_assert_int_eq(f->job.status, jobs[i]);
	}
}
END_TEST

START_TEST(retries_wait_longer_each_time_and_then_end)
{
	struct fx *f = fx_new(ST_RUNNING, 2, 4);
	int a = fx_task(f, 2, 1, 0);
	int64_t at = 0, wait = POLICY->retry_delay_ms;

	f->job.tasks[a].retries_left = 3;
	fx_running(f, a);
	for (int attempt = 0; attempt < 3; attempt++) {
		fx_report(f, a, 1, attempt == 1 ? ST_TIMEOUT : ST_FAILED);
		fx_plan(f, at);
		const struct plan_effect *e = fx_effect(f, PLAN_TASK_RETRY, a);
		ck_assert_int_eq(e->reason, WHY_RETRY);
		ck_assert_int_eq(e->status, attempt == 1 ? ST_TIMEOUT : ST_FAILED);
		ck_assert_int_eq(e->at_ms, FX_NOW + at + wait);
		ck_assert_int_eq(f->res.due_ms, e->at_ms);
		ck_assert(!fx_started(f, a));
		ck_assert_int_eq(f->job.tasks[a].attempt, attempt + 1);
		ck_assert_int_eq(f->job.tasks[a].retries_left, 2 - attempt);
		ck_assert_int_eq(f->job.status, ST_RUNNING);
		fx_plan(f, at + wait - 1);
		ck_assert_int_eq(f->res.n_effects, 0);
		at += wait;
		fx_plan(f, at);
		ck_assert(fx_started(f, a));
		ck_assert_int_eq(fx_effect(f, PLAN_TASK_START, a)->reason, WHY_RETRY);
		wait *= 2;
	}
	fx_report(f, a, 0, ST_FAILED);
	fx_plan(f, at);
	ck_assert_int_eq(fx_count(f, PLAN_TASK_RETRY), 0);
	ck_assert_int_eq(fx_effect(f, PLAN_TASK_END, a)->status, ST_FAILED);
	ck_assert_int_eq(f->job.status, ST_FAILED);
}
END_TEST

START_TEST(the_pause_before_a_retry_has_a_limit)
{
	struct fx *f = fx_new(ST_RUNNING, 1, 4);
	int a = fx_task(f, 1, 1, 0);

	f->job.tasks[a].retries_left = 1;
	f->job.tasks[a].attempt = 1000000;
	fx_running(f, a);
	fx_report(f, a, 0, ST_FAILED);
	fx_plan(f, 0);
	ck_assert_int_eq(fx_effect(f, PLAN_TASK_RETRY, a)->at_ms,
			 FX_NOW + POLICY->retry_delay_max_ms);
}
END_TEST

START_TEST(some_ends_are_never_tried_again)
{
	struct fx *f = fx_new(ST_RUNNING, 2, 4);
	int a = fx_task(f, 2, 1, 0);

	f->job.tasks[a].retries_left = 5;
	fx_running(f, a);
	fx_report(f, a, 0, ST_FAILED);
	f->job.tasks[a].parties[0].no_retry = true;
	fx_plan(f, 0);
	ck_assert_int_eq(fx_count(f, PLAN_TASK_RETRY), 0);
	ck_assert_int_eq(f->job.status, ST_FAILED);

	f = fx_new(ST_RUNNING, 1, 4);
	a = fx_task(f, 1, 1, 0);
	f->job.tasks[a].retries_left = 5;
	fx_running(f, a);
	fx_report(f, a, 0, ST_CANCELED);
	fx_plan(f, 0);
	ck_assert_int_eq(fx_count(f, PLAN_TASK_RETRY), 0);
	ck_assert_int_eq(f->job.status, ST_CANCELED);
}
END_TEST

START_TEST(no_retry_once_another_task_has_failed_for_good)
{
	struct fx *f = fx_new(ST_RUNNING, 1, 4);
	int a = fx_task(f, 1, 1, 0), b = fx_task(f, 1, 1, 0);

	f->job.tasks[b].retries_left = 1;
	fx_running(f, a);
	fx_running(f, b);
	fx_report(f, a, 0, ST_FAILED);
	fx_plan(f, 0);
	ck_assert_int_eq(f->job.status, ST_RUNNING);
	fx_report(f, b, 0, ST_FAILED);
	fx_plan(f, 1);
	ck_assert(!fx_started(f, b));
	ck_assert_int_eq(f->job.status, ST_FAILED);
}
END_TEST

START_TEST(lost_nodes_cost_no_retry_up_to_a_limit)
{
	struct fx *f = fx_new(ST_RUNNING, 2, 1);
	int a = fx_task(f, 2, 1, 0);

	fx_running(f, a);
	for (int i = 0; i < POLICY->max_rescues; i++) {
		fx_report(f, a, 1, ST_FAILED);
		f->job.tasks[a].parties[1].node_lost = true;
		fx_plan(f, i);
		const struct plan_effect *e = fx_effect(f, PLAN_TASK_RETRY, a);
		ck_assert_int_eq(e->reason, WHY_NODE_LOST);
		ck_assert_int_eq(e->party, 1);
		/* at once, in the same plan, on the cores of the old attempt */
		ck_assert(fx_started(f, a));
		ck_assert_int_eq(f->job.tasks[a].attempt, i + 1);
		ck_assert_int_eq(f->job.tasks[a].rescues, i + 1);
		f->job.tasks[a].parties[1].node_lost = false;
	}
	fx_report(f, a, 1, ST_FAILED);
	f->job.tasks[a].parties[1].node_lost = true;
	f->job.tasks[a].retries_left = 1;
	fx_plan(f, 100);
	/* then it is a failure like others */
	ck_assert_int_eq(fx_effect(f, PLAN_TASK_RETRY, a)->reason, WHY_RETRY);
	ck_assert_int_eq(f->job.tasks[a].retries_left, 0);
	fx_plan(f, 100 + 10 * POLICY->retry_delay_max_ms);
	fx_report(f, a, 0, ST_FAILED);
	fx_plan(f, 101 + 10 * POLICY->retry_delay_max_ms);
	ck_assert_int_eq(f->job.status, ST_FAILED);
}
END_TEST

START_TEST(a_lost_node_outweighs_a_hopeless_exit_of_the_same_run)
{
	struct fx *f = fx_new(ST_RUNNING, 1, 1);
	int a = fx_task(f, 1, 1, 0);

	fx_running(f, a);
	fx_report(f, a, 0, ST_FAILED);
	f->job.tasks[a].parties[0].node_lost = true;
	f->job.tasks[a].parties[0].no_retry = true;
	fx_plan(f, 0);
	ck_assert_int_eq(fx_effect(f, PLAN_TASK_RETRY, a)->reason, WHY_NODE_LOST);
}
END_TEST

/* ---- stop and deadline ---- */

START_TEST(stop_in_every_state)
{
	static const enum status from[] = {ST_READY, ST_WAITING, ST_RUNNING};
	static const enum status to[] = {ST_CANCELED, ST_FAILED, ST_TIMEOUT};

	for (size_t i = 0; i < ARRAY_LEN(from) * ARRAY_LEN(to); i++) {
		struct fx *f = fx_new(from[i % 3], 2, 4);
		enum status wish = to[i / 3];
		int a = fx_task(f, 2, 1, 0), b = fx_task(f, 2, 1, 0);

		if (f->job.status == ST_RUNNING)
			fx_running(f, a);
		else
			f->job.parties[1].create = CREATE_ASKED;
		fx_edge(f, a, b);
		f->job.stop_status = wish;
		fx_plan(f, 0);
		ck_assert_int_eq(f->job.status, wish == ST_TIMEOUT ? ST_FAILED : wish);
		ck_assert_int_eq(fx_effect(f, PLAN_JOB_STATUS, -1)->reason, WHY_STOP_REQUESTED);
		ck_assert_int_eq(fx_count(f, PLAN_TASK_START), 0);
		ck_assert_int_eq(fx_count(f, PLAN_TASK_END), from[i % 3] == ST_RUNNING);
		if (from[i % 3] == ST_RUNNING)
			ck_assert_int_eq(fx_effect(f, PLAN_TASK_END, a)->status, wish);
		ck_assert_int_eq(f->job.tasks[b].status, ST_WAITING);
		ck_assert_int_eq(f->res.due_ms, 0);
	}
}
END_TEST

START_TEST(stop_outruns_a_finish_that_was_not_planned_yet)
{
	struct fx *f = fx_new(ST_RUNNING, 1, 4);
	int a = fx_task(f, 1, 1, 0), b = fx_task(f, 1, 1, 0);

	fx_edge(f, a, b);
	fx_running(f, a);
	fx_report_all(f, a, ST_SUCCESS);
	f->job.stop_status = ST_CANCELED;
	fx_plan(f, 0);
	ck_assert_int_eq(f->job.status, ST_CANCELED);
	ck_assert(!fx_started(f, b));
}
END_TEST

START_TEST(nothing_happens_to_a_job_that_has_ended)
{
	static const enum status ends[] = {ST_CANCELED, ST_FAILED, ST_SUCCESS, ST_TIMEOUT};

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct fx *f = fx_new(ends[i], 1, 4);
		fx_task(f, 1, 1, 0);
		f->job.stop_status = ST_CANCELED;
		f->job.deadline_ms = 1;
		fx_plan(f, 0);
		ck_assert_int_eq(f->res.n_effects, 0);
		ck_assert_int_eq(f->res.due_ms, 0);
		ck_assert_int_eq(f->job.status, ends[i]);
	}
}
END_TEST

START_TEST(the_deadline_ends_running_tasks_and_the_job)
{
	struct fx *f = fx_new(ST_RUNNING, 1, 4);
	int a = fx_task(f, 1, 1, 0);

	fx_running(f, a);
	f->job.deadline_ms = FX_NOW + 500;
	fx_plan(f, 499);
	ck_assert_int_eq(f->res.n_effects, 0);
	ck_assert_int_eq(f->res.due_ms, FX_NOW + 500);
	fx_plan(f, 500);
	ck_assert_int_eq(fx_effect(f, PLAN_TASK_END, a)->status, ST_TIMEOUT);
	ck_assert_int_eq(fx_effect(f, PLAN_TASK_END, a)->reason, WHY_DEADLINE);
	ck_assert_int_eq(f->job.status, ST_FAILED);
	ck_assert_int_eq(fx_effect(f, PLAN_JOB_STATUS, -1)->reason, WHY_DEADLINE);
}
END_TEST

START_TEST(the_deadline_counts_while_the_job_waits)
{
	struct fx *f = fx_new(ST_WAITING, 1, 4);

	fx_task(f, 1, 1, 0);
	f->job.parties[0].reserve = RESERVE_REFUSED;
	f->job.deadline_ms = FX_NOW + 20;
	fx_plan(f, 0);
	/* earlier than the next try for resources */
	ck_assert_int_eq(f->res.due_ms, FX_NOW + 20);
	fx_plan(f, 20);
	ck_assert_int_eq(f->job.status, ST_FAILED);
	ck_assert_int_eq(fx_effect(f, PLAN_JOB_STATUS, -1)->reason, WHY_DEADLINE);
}
END_TEST

/* ---- suspension ---- */

START_TEST(a_suspended_job_starts_nothing_and_can_be_stopped)
{
	struct fx *f = fx_new(ST_WAITING, 2, 4);

	fx_task(f, 1, 1, 0);
	f->job.suspended = true;
	fx_plan(f, 0);
	ck_assert_int_eq(f->res.n_effects, 0);
	f->job.parties[0].reserve = f->job.parties[1].reserve = RESERVE_GRANTED;
	fx_plan(f, 0);
	ck_assert_int_eq(fx_effect(f, PLAN_RELEASE, -1)->reason, WHY_SUSPENDED);
	ck_assert_int_eq(f->job.status, ST_WAITING);
	f->job.stop_status = ST_CANCELED;
	fx_plan(f, 0);
	ck_assert_int_eq(f->job.status, ST_CANCELED);
}
END_TEST

START_TEST(what_runs_of_a_suspended_job_ends_and_the_rest_waits)
{
	struct fx *f = fx_new(ST_RUNNING, 1, 4);
	int a = fx_task(f, 1, 1, 0), b = fx_task(f, 1, 1, 0);

	fx_edge(f, a, b);
	fx_running(f, a);
	f->job.suspended = true;
	fx_report_all(f, a, ST_SUCCESS);
	fx_plan(f, 0);
	ck_assert_int_eq(fx_effect(f, PLAN_TASK_END, a)->status, ST_SUCCESS);
	ck_assert(!fx_started(f, b));
	ck_assert_int_eq(f->job.status, ST_RUNNING);
	f->job.suspended = false;
	fx_plan(f, 1);
	ck_assert(fx_started(f, b));
}
END_TEST

/* ---- size ---- */

START_TEST(a_big_fan_out_and_its_join)
{
	enum { N = 10000 };
	struct fx *f = fx_new(ST_RUNNING, 2, N);
	int top = fx_task(f, 2, 1, 0), first = top + 1, end;

	for (int i = 0; i < N; i++)
		fx_edge(f, top, fx_task(f, 2, 1, 0));
	end = fx_task(f, 2, 1, 0);
	for (int i = 0; i < N; i++)
		fx_edge(f, first + i, end);
	fx_running(f, top);
	fx_report_all(f, top, ST_SUCCESS);
	/* only the edges of what runs are given to the planner */
	f->job.n_edges = N;
	fx_plan(f, 0);
	ck_assert_int_eq(fx_count(f, PLAN_TASK_START), N);
	ck_assert_int_eq(f->res.counts.running, N);
	ck_assert_int_eq(f->res.progress, 0);
	ck_assert_int_eq(f->job.parties[1].cores_used, N);
}
END_TEST

START_TEST(every_reason_has_a_name_of_its_own)
{
	for (int i = 1; i <= WHY_SUSPENDED; i++) {
		const char *name = plan_reason_name((enum plan_reason)i);
		ck_assert_ptr_nonnull(name);
		ck_assert_uint_gt(strlen(name), 0);
		ck_assert_str_ne(name, "?");
		for (int k = 0; k < i; k++)
			ck_assert_str_ne(name, plan_reason_name((enum plan_reason)k));
	}
	ck_assert_str_eq(plan_reason_name((enum plan_reason)1000), "?");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("plan");
	TCase *tc = tcase_create("planner");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(tc, NULL, fx_free);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, ready_waits_for_every_answer);
	tcase_add_test(tc, a_refused_creation_ends_the_job_at_once);
	tcase_add_test(tc, waiting_asks_for_resources);
	tcase_add_test(tc, parties_are_asked_one_by_one_the_second_time);
	tcase_add_test(tc, parties_of_one_site_are_always_asked_at_once);
	tcase_add_test(tc, all_grants_start_the_job_and_its_first_tasks);
	tcase_add_test(tc, a_round_of_reservations_is_complete_before_it_is_given_back);
	tcase_add_test(tc, pauses_between_rounds_grow_to_a_limit);
	tcase_add_test(tc, a_job_of_one_site_waits_to_be_woken);
	tcase_add_test(tc, two_jobs_do_not_try_again_at_the_same_times);
	tcase_add_test(tc, what_can_never_fit_ends_the_job);
	tcase_add_test(tc, nothing_to_do_has_no_effects);
	tcase_add_test(tc, a_parent_starts_its_child_in_the_same_plan);
	tcase_add_test(tc, a_diamond_joins_when_both_sides_are_done);
	tcase_add_test(tc, both_sides_of_a_diamond_may_end_in_one_plan);
	tcase_add_test(tc, cores_of_each_party_are_a_limit);
	tcase_add_test(tc, cores_used_by_tasks_that_are_not_loaded_count);
	tcase_add_test(tc, a_job_of_no_tasks_is_done);
	tcase_add_test(tc, after_a_failure_nothing_starts_and_what_runs_goes_on);
	tcase_add_test(tc, an_end_that_was_not_asked_for_is_failed_canceled_or_timeout);
	tcase_add_test(tc, retries_wait_longer_each_time_and_then_end);
	tcase_add_test(tc, the_pause_before_a_retry_has_a_limit);
	tcase_add_test(tc, some_ends_are_never_tried_again);
	tcase_add_test(tc, no_retry_once_another_task_has_failed_for_good);
	tcase_add_test(tc, lost_nodes_cost_no_retry_up_to_a_limit);
	tcase_add_test(tc, a_lost_node_outweighs_a_hopeless_exit_of_the_same_run);
	tcase_add_test(tc, stop_in_every_state);
	tcase_add_test(tc, stop_outruns_a_finish_that_was_not_planned_yet);
	tcase_add_test(tc, nothing_happens_to_a_job_that_has_ended);
	tcase_add_test(tc, the_deadline_ends_running_tasks_and_the_job);
	tcase_add_test(tc, the_deadline_counts_while_the_job_waits);
	tcase_add_test(tc, a_suspended_job_starts_nothing_and_can_be_stopped);
	tcase_add_test(tc, what_runs_of_a_suspended_job_ends_and_the_rest_waits);
	tcase_add_test(tc, a_big_fan_out_and_its_join);
	tcase_add_test(tc, every_reason_has_a_name_of_its_own);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
