/* Races, each forced: two or more sessions, one held where the other must come past. */
#include "fn.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct fn_job small = {.id = "j", .cores = 1};
static const struct fn_job two_sites = {
    .id = "j", .n_tasks = 2, .n_parties = 2, .n_remote = 1, .cores = 1};

static const char *job_state(int64_t no)
{
	return fn_text(
	    A,
	    "SELECT concat_ws(' ', j.status, j.version, COALESCE(w.lease_until > now(), false), "
	    "w.due_at <= now()) FROM norn.job j LEFT JOIN norn.job_work w USING (job_no) "
	    "WHERE job_no = %lld",
	    (long long)no);
}

static void submit_many(int n)
{
	for (int i = 0; i < n; i++) {
		char id[16];
		snprintf(id, sizeof(id), "j%d", i);
		fn_submit(A, &(struct fn_job){.id = id, .cores = 1});
	}
}

/* ---- claims ---- */

START_TEST(two_claims_at_once_are_disjoint)
{
	struct fn_cycle a[3], b[5], rest[1];

	submit_many(5);
	fn_do(A, "BEGIN");
	fn_do(B, "BEGIN");
	ck_assert_int_eq(fn_claim(A, 3, 5000, a), 3);
	ck_assert_int_eq(fn_claim(B, 5, 5000, b), 2);
	for (int i = 0; i < 3; i++) {
		for (int k = 0; k < 2; k++) {
			ck_assert_int_ne(a[i].job_no, b[k].job_no);
			ck_assert_int_ne(a[i].lease_no, b[k].lease_no);
		}
	}
	fn_do(A, "COMMIT");
	fn_do(B, "COMMIT");
	ck_assert_int_eq(fn_claim(C, 1, 5000, rest), 0);
}
END_TEST

START_TEST(claims_take_the_first_of_the_queue)
{
	struct fn_cycle c[2];
	int64_t old, young;

	young = fn_submit(A, &(struct fn_job){.id = "young", .cores = 1});
	old = fn_submit(A, &(struct fn_job){.id = "old", .cores = 1, .age_ms = 900000});
	fn_do(A, "SELECT norn.jobs_poke(ARRAY[%lld, %lld]::bigint[])", (long long)old,
	      (long long)young);
	ck_assert_int_eq(fn_claim(A, 1, 5000, c), 1);
	ck_assert_int_eq(c[0].job_no, old);
	ck_assert_int_eq(fn_claim(A, 2, 5000, c), 1);
	ck_assert_int_eq(c[0].job_no, young);
}
END_TEST

START_TEST(what_a_stale_lease_writes_changes_nothing)
{
	struct fn_cycle stale, fresh;
	int64_t no = fn_running_job(
	    A, &(struct fn_job){.id = "j", .n_tasks = 2, .edges = "0>1", .cores = 1}, 0);
	char before[512];
	static const char *const all = "SELECT concat_ws('/', (SELECT string_agg(status || attempt "
				       "|| deps_left, ',' ORDER BY task_no) FROM "
				       "norn.task), (SELECT count(*) FROM norn.task_party), "
				       "(SELECT count(*) FROM norn.run_work), (SELECT "
				       "count(*) FROM norn.event), (SELECT status || version FROM "
				       "norn.job), (SELECT string_agg(status || "
				       "party_status, ',' ORDER BY run_no) FROM norn.party_task), "
				       "(SELECT count(*) FROM norn.task_work), (SELECT "
				       "lease_no || ' ' || poke FROM norn.job_work), (SELECT "
				       "count(*) FROM norn.outbox), (SELECT string_agg("
				       "reserve_state, ',') FROM norn.job_party))";

	fn_do(A, "SELECT norn.job_poke(%lld)", (long long)no);
	ck_assert_int_eq(fn_claim(A, 1, 1, &stale), 1);
	fn_load(A, &stale);
	fn_do(A, "SELECT pg_sleep(0.02)");
	ck_assert_int_eq(fn_claim(B, 1, 5000, &fresh), 1);
	fn_load(B, &fresh);
	ck_assert_int_eq(fresh.version, stale.version);
	snprintf(before, sizeof(before), "%s", fn_text(A, "%s", all));

	fn_do(A, "BEGIN");
	ck_assert(!fn_guard(A, &stale, "failed"));
	fn_do(A, "SELECT norn.sched_release(ARRAY[%lld]::bigint[])", (long long)no);
	fn_do(A, "SELECT norn.sched_reserve(ARRAY[%lld]::bigint[], NULL, 60000)", (long long)no);
	fn_do(A, "SELECT norn.sched_start_jobs(ARRAY[%lld]::bigint[])", (long long)no);
	fn_do(A,
	      "SELECT norn.sched_end_tasks(ARRAY[%lld]::bigint[], '{0}', '{0}', '{success}', "
	      "'{x}', '{NULL}', '{50}', "
	      "'{NULL}', '{0}', '{0}', ARRAY[%lld]::bigint[], '{1}', '{1}')",
	      (long long)no, (long long)no);
	fn_do(A, "SELECT norn.sched_start_tasks(ARRAY[%lld]::bigint[], '{0}', '{0}', '{x}')",
	      (long long)no);
	fn_do(A, "SELECT norn.sched_end_jobs(ARRAY[%lld]::bigint[])", (long long)no);
	ck_assert(!fn_leave(A, &stale, -1, false));
	fn_do(A, "COMMIT");
	ck_assert_str_eq(fn_text(A, "%s", all), before);

	/* and the one who has the lease now can write */
	fn_do(B, "BEGIN");
	ck_assert(fn_guard(B, &fresh, NULL));
	fn_do(B, "SELECT norn.sched_start_tasks(ARRAY[%lld]::bigint[], '{0}', '{0}', '{x}')",
	      (long long)no);
	fn_leave(B, &fresh, -1, false);
	fn_do(B, "COMMIT");
	ck_assert_str_eq(fn_text(A, "SELECT status FROM norn.task WHERE task_no = 0"), "running");
}
END_TEST

START_TEST(two_writers_of_one_version)
{
	struct fn_cycle a, b;
	int64_t mine = -1, no = fn_submit(A, &small);

	/* the first is in the middle of its write when the lease ends and another claims and writes
	 * too */
	ck_assert_int_eq(fn_claim(A, 1, 1, &a), 1);
	fn_load(A, &a);
	fn_do(A, "BEGIN");
	ck_assert(fn_guard(A, &a, NULL));
	fn_do(B, "SELECT pg_sleep(0.02)");
	ck_assert_int_eq(fn_claim(B, 1, 5000, &b), 1);
	fn_load(B, &b);
	ck_assert_int_eq(a.version, b.version);
	fn_send(B,
		"UPDATE norn.job SET version = version + 1 WHERE job_no = %lld AND version = %lld "
		"RETURNING 1",
		(long long)no, (long long)b.version);
	fn_waits(B);
	fn_do(A, "COMMIT");
	ck_assert_str_eq(fn_done(B, &mine), "");
	ck_assert_int_eq(mine, -1);
}
END_TEST

/* ---- stop against finish ---- */

START_TEST(a_stop_before_the_finish_is_written_wins)
{
	struct fn_cycle c;
	int64_t no = fn_running_job(A, &small, 0);

	fn_do(A, "SELECT norn.job_poke(%lld)", (long long)no);
	ck_assert_int_eq(fn_claim(A, 1, 5000, &c), 1);
	fn_load(A, &c);
	ck_assert_str_eq(
	    fn_text(B, "SELECT o_status FROM norn.job_stop('j', 'canceled', 'me', NULL)"),
	    "running");
	fn_do(A, "BEGIN");
	ck_assert(!fn_guard(A, &c, "success"));
	fn_do(A, "SELECT norn.sched_end_jobs(ARRAY[%lld]::bigint[])", (long long)no);
	ck_assert(fn_leave(A, &c, -1, false)); /* due at once, for the stop */
	fn_do(A, "COMMIT");
	ck_assert_str_eq(fn_text(A, "SELECT status || ' ' || stop_status FROM norn.job"),
			 "running canceled");
}
END_TEST

START_TEST(a_stop_that_waits_for_the_finish_comes_too_late)
{
	struct fn_cycle c;
	int64_t no = fn_running_job(A, &small, 0);

	fn_do(A, "SELECT norn.job_poke(%lld)", (long long)no);
	ck_assert_int_eq(fn_claim(A, 1, 5000, &c), 1);
	fn_load(A, &c);
	fn_do(A, "BEGIN");
	ck_assert(fn_guard(A, &c, "success"));
	fn_do(A, "SELECT norn.sched_end_jobs(ARRAY[%lld]::bigint[])", (long long)no);
	fn_send(B, "SELECT o_status = 'success' FROM norn.job_stop('j', 'canceled', 'me', NULL)");
	fn_waits(B);
	fn_leave(A, &c, -1, false);
	fn_do(A, "COMMIT");
	int64_t said_success = 0;
	ck_assert_str_eq(fn_done(B, &said_success), "");
	ck_assert_int_eq(said_success, 1);
	ck_assert_str_eq(fn_text(A, "SELECT concat(status, stop_status) FROM norn.job"), "success");
	ck_assert_int_eq(
	    fn_int(A, "SELECT count(*) FROM norn.event WHERE reason = 'stop_requested'"), 0);
}
END_TEST

START_TEST(only_the_first_stop_counts)
{
	fn_running_job(A, &small, 0);
	fn_do(A, "BEGIN");
	fn_do(A, "SELECT norn.job_stop('j', 'canceled', 'first', NULL)");
	fn_send(B, "SELECT norn.job_stop('j', 'failed', 'second', NULL)");
	fn_waits(B);
	fn_do(A, "COMMIT");
	ck_assert_str_eq(fn_done(B, NULL), "");
	ck_assert_str_eq(fn_text(A, "SELECT stop_status || stop_actor FROM norn.job"),
			 "canceledfirst");
}
END_TEST

/* ---- reports against the lease ---- */

static void report_sql(char *out, size_t size, int64_t no, int task, int party, const char *status)
{
	snprintf(out, size,
		 "SELECT norn.sched_remote_report(j.job_id, 't%d', 0, p.role, p.party_id, '%s', 0, "
		 "NULL, '', '', false) FROM norn.job j JOIN norn.job_party p USING (job_no) "
		 "WHERE job_no = %lld AND party_no = %d",
		 task, status, (long long)no, party);
}

START_TEST(a_report_while_the_lease_is_held_is_not_lost)
{
	struct fn_cycle c;
	char sql[512];
	int64_t no = fn_running_job(A, &two_sites, 2);

	fn_do(A, "SELECT norn.job_poke(%lld)", (long long)no);
	ck_assert_int_eq(fn_claim(A, 1, 60000, &c), 1);
	report_sql(sql, sizeof(sql), no, 0, 1, "success");
	ck_assert_int_eq(fn_int(B, "%s", sql), 1);
	/* nobody else takes it meanwhile */
	ck_assert_int_eq(fn_claim(B, 1, 60000, &(struct fn_cycle){0}), 0);
	ck_assert(fn_leave(A, &c, -1, false));
	ck_assert_int_eq(fn_claim(B, 1, 60000, &c), 1);
	ck_assert(!fn_leave(B, &c, -1, false));
	ck_assert_int_eq(fn_claim(B, 1, 60000, &c), 0);
}
END_TEST

START_TEST(a_report_that_commits_behind_the_leave_is_not_lost)
{
	struct fn_cycle c;
	char sql[512];
	int64_t no = fn_running_job(A, &two_sites, 2);

	fn_do(A, "SELECT norn.job_poke(%lld)", (long long)no);
	ck_assert_int_eq(fn_claim(A, 1, 60000, &c), 1);
	report_sql(sql, sizeof(sql), no, 0, 1, "success");
	fn_do(A, "BEGIN");
	ck_assert(!fn_leave(A, &c, -1, false));
	fn_send(B, "%s", sql);
	fn_waits(B);
	fn_do(A, "COMMIT");
	ck_assert_str_eq(fn_done(B, NULL), "");
	ck_assert_int_eq(fn_claim(A, 1, 60000, &c), 1);
}
END_TEST

START_TEST(a_leave_behind_an_open_report_sees_it)
{
	struct fn_cycle c;
	char sql[512];
	int64_t no = fn_running_job(A, &two_sites, 2);
	int64_t due = -1;

	fn_do(A, "SELECT norn.job_poke(%lld)", (long long)no);
	ck_assert_int_eq(fn_claim(A, 1, 60000, &c), 1);
	report_sql(sql, sizeof(sql), no, 0, 1, "success");
	fn_do(B, "BEGIN");
	ck_assert_int_eq(fn_int(B, "%s", sql), 1);
	fn_send(A,
		"SELECT norn.sched_leave(ARRAY[%lld]::bigint[], ARRAY[%lld]::bigint[], "
		"ARRAY[%lld]::bigint[], "
		"'{NULL}', '{f}')",
		(long long)no, (long long)c.lease_no, (long long)c.poke);
	fn_waits(A);
	fn_do(B, "COMMIT");
	ck_assert_str_eq(fn_done(A, &due), "");
	ck_assert_int_eq(due, no);
}
END_TEST

START_TEST(a_mark_that_was_renewed_is_not_taken_away)
{
	struct fn_cycle c;
	char sql[512], no_text[32], mark[32];
	const char *params[] = {no_text, "{0}", mark, "{t}"};
	int64_t no = fn_running_job(
	    A, &(struct fn_job){.id = "j", .n_parties = 3, .n_remote = 2, .cores = 1}, 1);

	report_sql(sql, sizeof(sql), no, 0, 1, "success");
	ck_assert_int_eq(fn_int(A, "%s", sql), 1);
	ck_assert_int_eq(fn_claim(A, 1, 60000, &c), 1);
	fn_load(A, &c);
	snprintf(no_text, sizeof(no_text), "{%lld}", (long long)no);
	snprintf(mark, sizeof(mark), "{%lld}",
		 (long long)fn_int(A, "SELECT mark FROM norn.task_work"));
	/* the other party ends between the load and the write */
	report_sql(sql, sizeof(sql), no, 0, 2, "success");
	ck_assert_int_eq(fn_int(B, "%s", sql), 1);
	fn_do(A, "BEGIN");
	ck_assert(fn_guard(A, &c, NULL));
	PQclear(fn_stmt(A, Q_SCHED_DONE_MARKS, 4, params));
	ck_assert(fn_leave(A, &c, -1, false));
	fn_do(A, "COMMIT");
	ck_assert_str_eq(fn_text(A, "SELECT stage FROM norn.task_work"), "reported");
	/* and one that was not, is */
	snprintf(mark, sizeof(mark), "{%lld}",
		 (long long)fn_int(A, "SELECT mark FROM norn.task_work"));
	ck_assert_int_eq(fn_claim(A, 1, 60000, &c), 1);
	fn_load(A, &c);
	fn_do(A, "BEGIN");
	ck_assert(fn_guard(A, &c, NULL));
	PQclear(fn_stmt(A, Q_SCHED_DONE_MARKS, 4, params));
	fn_do(A, "COMMIT");
	ck_assert_str_eq(fn_text(A, "SELECT stage FROM norn.task_work"), "running");
}
END_TEST

START_TEST(a_report_against_the_end_of_its_job_leaves_nothing)
{
	struct fn_cycle c;
	char sql[512];

	for (int report_first = 0; report_first < 2; report_first++) {
		char id[8];
		snprintf(id, sizeof(id), "j%d", report_first);
		int64_t no = fn_running_job(
		    A, &(struct fn_job){.id = id, .n_parties = 2, .n_remote = 1, .cores = 1}, 1);
		report_sql(sql, sizeof(sql), no, 0, 1, "failed");
		fn_do(A, "SELECT norn.job_poke(%lld)", (long long)no);
		ck_assert_int_eq(fn_claim(A, 1, 60000, &c), 1);
		fn_load(A, &c);
		fn_do(A, "BEGIN");
		ck_assert(fn_guard(A, &c, "failed"));
		if (report_first) {
			fn_do(B, "BEGIN");
			ck_assert_int_eq(fn_int(B, "%s", sql), 1);
			fn_send(A, "SELECT norn.sched_end_jobs(ARRAY[%lld]::bigint[])",
				(long long)no);
			fn_waits(A);
			fn_do(B, "COMMIT");
			ck_assert_str_eq(fn_done(A, NULL), "");
		} else {
			fn_do(A, "SELECT norn.sched_end_jobs(ARRAY[%lld]::bigint[])",
			      (long long)no);
			fn_send(B, "%s", sql);
			fn_waits(B);
		}
		fn_leave(A, &c, -1, false);
		fn_do(A, "COMMIT");
		if (!report_first)
			ck_assert_str_eq(fn_done(B, NULL), "");
		ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.task_work"), 0);
		ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.job_work"), 0);
	}
}
END_TEST

/* The end of a run that was stopped comes in a batch that waits for another job, and the job is run
 * again meanwhile: what it begins with must not go with what is over. */
START_TEST(a_late_report_against_a_rerun_while_it_waits)
{
	int64_t k_lease, k_run, j_lease, j_run;
	int64_t k = fn_running_job(A, &(struct fn_job){.id = "k", .cores = 1}, 1);
	int64_t j = fn_running_job(
	    A, &(struct fn_job){.id = "j", .n_tasks = 2, .edges = "1>0", .cores = 1}, 2);

	k_run = fn_run_claim(A, "n1", &k_lease);
	j_run = fn_run_claim(A, "n1", &j_lease);
	ck_assert_int_lt(k_run, j_run);
	fn_end_task(A, j, 0, 0, "canceled", false);
	fn_end_task(A, j, 1, 0, "canceled", false);
	fn_end_job(A, j, "canceled");
	fn_do(D, "BEGIN");
	fn_do(D, "SELECT 1 FROM norn.job_work WHERE job_no = %lld FOR UPDATE", (long long)k);
	fn_send(B,
		"SELECT count(*) FROM norn.runs_finish('{%lld,%lld}', '{%lld,%lld}', "
		"'{failed,canceled}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{x,x}', 'b', "
		"false, false)",
		(long long)k_run, (long long)j_run, (long long)k_lease, (long long)j_lease);
	fn_waits(B);
	ck_assert_int_eq(fn_int(C, "SELECT norn.job_rerun('j', true, NULL, 'me', NULL, NULL)"), 2);
	fn_do(D, "COMMIT");
	ck_assert_str_eq(fn_done(B, NULL), "");
	ck_assert_str_eq(fn_text(A,
				 "SELECT string_agg(task_no || ' ' || stage, ',' ORDER BY task_no) "
				 "FROM norn.task_work WHERE job_no = %lld AND stage = 'ready'",
				 (long long)j),
			 "1 ready");
}
END_TEST

/* ---- nodes that die, or only seem to ---- */

static void silence(const char *node)
{
	fn_do(A, "UPDATE norn.node SET seen_at = now() - interval '1 hour' WHERE node_id = '%s'",
	      node);
}

START_TEST(a_node_that_was_given_up_cannot_finish_its_run)
{
	int64_t lease, other_lease, run, no = fn_running_job(A, &small, 1);

	run = fn_run_claim(A, "n1", &lease);
	fn_refused(A, "NR001", "%s", fn_finish_sql(run, lease + 1, "success"));
	silence("n1");
	ck_assert_int_eq(fn_int(B, "SELECT norn.runs_of_dead_nodes('x')"), 1);
	ck_assert_int_eq(fn_int(B, "SELECT norn.runs_of_dead_nodes('x')"), 0);
	fn_refused(A, "NR001", "%s", fn_finish_sql(run, lease, "success"));
	ck_assert_str_eq(
	    fn_text(A, "SELECT concat_ws(' ', status, node_lost) FROM norn.task_party_view"),
	    "failed t");
	fn_end_task(A, no, 0, 0, "failed", true);
	fn_start_task(A, no, 0, 1);
	ck_assert_int_ne(fn_run_claim(A, "n2", &other_lease), run);
	fn_refused(A, "NR001", "%s", fn_finish_sql(run, lease, "success"));
	ck_assert_str_eq(fn_text(A, "SELECT string_agg(concat_ws(' ', attempt, status), ', ' ORDER "
				    "BY attempt) FROM norn.task_party_view"),
			 "0 failed, 1 running");
}
END_TEST

START_TEST(a_finish_under_way_and_the_sweep)
{
	int64_t lease, run, n = -1;

	fn_running_job(A, &small, 1);
	run = fn_run_claim(A, "n1", &lease);
	silence("n1");
	/* the finish is first, and not committed: the sweep passes by */
	fn_do(A, "BEGIN");
	ck_assert_int_eq(fn_int(A, "%s", fn_finish_sql(run, lease, "success")), 1);
	ck_assert_int_eq(fn_int(B, "SELECT norn.runs_of_dead_nodes('x')"), 0);
	fn_do(A, "COMMIT");
	ck_assert_int_eq(fn_int(B, "SELECT norn.runs_of_dead_nodes('x')"), 0);
	ck_assert_str_eq(fn_text(A, "SELECT status FROM norn.task_party_view"), "success");

	/* the sweep is first: the finish waits, and is refused */
	fn_do(A, "UPDATE norn.node SET seen_at = now()");
	fn_running_job(A, &(struct fn_job){.id = "k", .cores = 1}, 1);
	run = fn_run_claim(A, "n1", &lease);
	silence("n1");
	fn_do(B, "BEGIN");
	ck_assert_int_eq(fn_int(B, "SELECT norn.runs_of_dead_nodes('x')"), 1);
	fn_send(A, "%s", fn_finish_sql(run, lease, "success"));
	fn_waits(A);
	fn_do(B, "COMMIT");
	ck_assert_str_eq(fn_done(A, &n), "NR001");
	ck_assert_int_eq(
	    fn_int(A,
		   "SELECT count(*) FROM norn.event WHERE object = 'run' AND to_status = 'failed'"),
	    1);
}
END_TEST

START_TEST(two_executors_claim_different_runs)
{
	int64_t a, b, none, lease;

	fn_running_job(A, &(struct fn_job){.id = "j", .n_tasks = 2, .cores = 2}, 2);
	fn_do(A, "BEGIN");
	a = fn_run_claim(A, "n1", &lease);
	b = fn_run_claim(B, "n2", &lease);
	fn_do(A, "COMMIT");
	none = fn_run_claim(A, "n1", &lease);
	ck_assert_int_gt(a, 0);
	ck_assert_int_gt(b, 0);
	ck_assert_int_ne(a, b);
	ck_assert_int_eq(none, -1);
}
END_TEST

START_TEST(a_dead_or_unknown_node_claims_nothing)
{
	int64_t lease;

	fn_running_job(A, &small, 1);
	silence("n1");
	ck_assert_int_eq(fn_run_claim(A, "n1", &lease), -1);
	ck_assert_int_eq(fn_run_claim(A, "nobody", &lease), -1);
	fn_do(A, "UPDATE norn.node SET stopped_at = now() WHERE node_id = 'n2'");
	ck_assert_int_eq(fn_run_claim(A, "n2", &lease), -1);
	fn_do(A, "UPDATE norn.node SET stopped_at = NULL WHERE node_id = 'n2'");
	ck_assert_int_gt(fn_run_claim(A, "n2", &lease), 0);
}
END_TEST

START_TEST(a_lease_that_has_ended_cannot_be_renewed)
{
	const char *params[] = {"n1"};
	PGresult *res = fn_stmt(A, Q_NODE_BEAT, 1, params);

	ck_assert_int_eq(PQntuples(res), 1);
	PQclear(res);
	silence("n1");
	res = fn_stmt(A, Q_NODE_BEAT, 1, params);
	ck_assert_int_eq(PQntuples(res), 0);
	PQclear(res);
	ck_assert_int_eq(
	    fn_int(
		A,
		"SELECT seen_at < now() - interval '50 min' FROM norn.node WHERE node_id = 'n1'"),
	    1);
}
END_TEST

START_TEST(a_rerun_against_a_late_report)
{
	int64_t lease, run, new_lease, new_run;
	int64_t no = fn_running_job(A, &small, 1);

	/* the job ends while the run is still being killed, and is run again at once */
	run = fn_run_claim(A, "n1", &lease);
	fn_end_task(A, no, 0, 0, "canceled", false);
	fn_end_job(A, no, "canceled");
	ck_assert_int_eq(fn_int(A, "SELECT norn.job_rerun('j', false, NULL, 'me', NULL, NULL)"), 1);
	ck_assert_int_eq(fn_int(A, "%s", fn_finish_sql(run, lease, "canceled")), 1);
	ck_assert_str_eq(fn_text(A, "SELECT concat_ws(' ', status, attempt) FROM norn.task"),
			 "waiting 1");
	fn_reserve(A, no);
	fn_start_job(A, no);
	fn_start_task(A, no, 0, 1);
	new_run = fn_run_claim(A, "n2", &new_lease);
	ck_assert_int_gt(new_run, run);
	fn_refused(A, "NR001", "%s", fn_finish_sql(run, lease, "success"));
	ck_assert_int_eq(fn_int(A, "%s", fn_finish_sql(new_run, new_lease, "success")), 1);
	ck_assert_str_eq(
	    fn_text(A, "SELECT string_agg(status, ' ' ORDER BY attempt) FROM norn.task_party_view"),
	    "canceled success");
	ck_assert_str_eq(job_state(no),
			 fn_text(A, "SELECT 'running ' || version || ' f t' FROM norn.job"));
}
END_TEST

/* ---- submitting ---- */

START_TEST(one_key_makes_one_job)
{
	int64_t first = -1;
	int refused = 0;

	for (int i = 0; i < N_SESSIONS; i++) {
		char id[16];
		snprintf(id, sizeof(id), "j%d", i);
		char *text = fn_submit_text(&(struct fn_job){.id = id, .cores = 1, .key = "key"});
		fn_send(fn_session[i], "SELECT o_new FROM %s", text);
		free(text);
	}
	int made = 0;
	for (int i = 0; i < N_SESSIONS; i++) {
		int64_t is_new = -1;
		const char *state = fn_done(fn_session[i], &is_new);
		made += is_new == 1;
		/* whoever came at the same moment may be told to ask again */
		ck_assert(strcmp(state, "") == 0 || strcmp(state, "23505") == 0);
		refused += *state != '\0';
	}
	ck_assert_int_eq(made, 1);
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.job"), 1);
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.job_dag"), 1);
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.party_job"), 1);
	first = fn_int(A, "SELECT job_no FROM norn.job");
	/* and then gets the job that is there */
	char *text = fn_submit_text(&(struct fn_job){.id = "again", .cores = 1, .key = "key"});
	ck_assert_str_eq(
	    fn_text(A,
		    "SELECT (o_job_id = (SELECT job_id FROM norn.job)) || ' ' || o_new "
		    "FROM %s",
		    text),
	    "true false");
	free(text);
	ck_assert_int_eq(fn_int(A, "SELECT job_no FROM norn.job"), first);
	ck_assert_int_lt(refused, N_SESSIONS);
}
END_TEST

/* ---- nobody deadlocks ---- */

#define ROUNDS 150

/* Ends of runs against stops of the same runs, in opposite orders: 4 sessions, no deadlock. */
START_TEST(ends_and_stops_of_the_same_runs)
{
	int64_t no =
	    fn_running_job(A, &(struct fn_job){.id = "j", .n_tasks = ROUNDS * 4, .cores = 1}, 0);

	fn_do(A, "UPDATE norn.party_task SET status = 'running'");
	fn_do(A, "UPDATE norn.party_task SET party_status = 'running', node_id = 'n1'");
	fn_do(A, "INSERT INTO norn.run_work (run_no, prio, node_id, lease_no) "
		 "SELECT run_no, run_no, 'n1', 1 FROM norn.party_task");
	for (int s = 0; s < 4; s++)
		fn_do(fn_session[s], "SET deadlock_timeout = '50ms'");
	for (int r = 0; r < ROUNDS; r++) {
		/* the same four tasks */
		fn_send(A,
			"SELECT norn.party_task_finish(array_agg(job_id ORDER BY task_no), "
			"array_agg(task_name ORDER BY "
			"task_no), array_agg(attempt), array_agg(role), array_agg(party_id), "
			"array_agg('failed'::text), array_agg(0)) FROM norn.party_task WHERE "
			"task_no / 4 = %d",
			r);
		fn_send(
		    B,
		    "SELECT count(*) FROM norn.runs_finish((SELECT array_agg(run_no ORDER BY "
		    "task_no DESC) FROM "
		    "norn.party_task WHERE task_no / 4 = %d), '{1,1,1,1}', "
		    "'{failed,failed,failed,failed}', NULL, "
		    "NULL, '{a,b,c,d}', NULL, NULL, NULL, NULL, '{x,x,x,x}', 'b', false, false)",
		    r);
		fn_send(C,
			"SELECT norn.run_finish((SELECT run_no FROM norn.party_task WHERE task_no "
			"= %d), 1, 'failed', "
			"1, NULL, '', '', 1, 1, 1, false, 'x', 'c', false)",
			r * 4 + 2);
		fn_send(D, "SELECT norn.job_poke(%lld)", (long long)no);
		ck_assert_str_eq(fn_done(A, NULL), "");
		ck_assert_str_eq(fn_done(B, NULL), "");
		const char *c = fn_done(C, NULL);
		ck_assert_msg(strcmp(c, "") == 0 || strcmp(c, "NR001") == 0, "SQLSTATE %s", c);
		ck_assert_str_eq(fn_done(D, NULL), "");
	}
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.run_work"), 0);
	ck_assert_int_eq(
	    fn_int(A, "SELECT count(*) FROM norn.task_party_view WHERE NOT norn.is_end(status)"),
	    0);
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.task_work WHERE stage = 'reported'"),
			 ROUNDS * 4);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("races");
	TCase *tc = tcase_create("races");

	tcase_add_unchecked_fixture(tc, fn_migrate, NULL);
	tcase_add_checked_fixture(tc, fn_open, fn_close);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, two_claims_at_once_are_disjoint);
	tcase_add_test(tc, claims_take_the_first_of_the_queue);
	tcase_add_test(tc, what_a_stale_lease_writes_changes_nothing);
	tcase_add_test(tc, two_writers_of_one_version);
	tcase_add_test(tc, a_stop_before_the_finish_is_written_wins);
	tcase_add_test(tc, a_stop_that_waits_for_the_finish_comes_too_late);
	tcase_add_test(tc, only_the_first_stop_counts);
	tcase_add_test(tc, a_report_while_the_lease_is_held_is_not_lost);
	tcase_add_test(tc, a_report_that_commits_behind_the_leave_is_not_lost);
	tcase_add_test(tc, a_leave_behind_an_open_report_sees_it);
	tcase_add_test(tc, a_mark_that_was_renewed_is_not_taken_away);
	tcase_add_test(tc, a_report_against_the_end_of_its_job_leaves_nothing);
	tcase_add_test(tc, a_late_report_against_a_rerun_while_it_waits);
	tcase_add_test(tc, a_node_that_was_given_up_cannot_finish_its_run);
	tcase_add_test(tc, a_finish_under_way_and_the_sweep);
	tcase_add_test(tc, two_executors_claim_different_runs);
	tcase_add_test(tc, a_dead_or_unknown_node_claims_nothing);
	tcase_add_test(tc, a_lease_that_has_ended_cannot_be_renewed);
	tcase_add_test(tc, a_rerun_against_a_late_report);
	tcase_add_test(tc, one_key_makes_one_job);
	tcase_add_test(tc, ends_and_stops_of_the_same_runs);
	suite_add_tcase(s, tc);
	return fn_run(s);
}
