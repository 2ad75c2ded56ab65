/* The rules of the state as the database keeps them, and the commands and reports, each once and
 * twice. */
#include "fn.h"

#include "plan/status.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- states ---- */

START_TEST(the_database_and_the_program_have_one_table_of_steps)
{
	for (int from = 0; from < ST_COUNT; from++) {
		for (int to = 0; to < ST_COUNT; to++) {
			const char *f = status_name((enum status)from),
				   *t = status_name((enum status)to);
			ck_assert_msg(fn_int(A, "SELECT norn.job_step_ok('%s', '%s')", f, t) ==
					  status_job_step_ok((enum status)from, (enum status)to),
				      "job %s > %s", f, t);
			ck_assert_msg(fn_int(A, "SELECT norn.task_step_ok('%s', '%s')", f, t) ==
					  status_task_step_ok((enum status)from, (enum status)to),
				      "task %s > %s", f, t);
		}
		ck_assert_int_eq(
		    fn_int(A, "SELECT norn.is_end('%s')", status_name((enum status)from)),
		    status_is_end((enum status)from));
	}
}
END_TEST

struct guarded {
	const char *table, *column, *more; /* what must change with the status */
	bool job;
};

static const struct guarded guarded[] = {
    {"job", "status", ", end_at = CASE WHEN norn.is_end('%s') THEN now() END", true},
    {"party_job", "status", ", end_at = CASE WHEN norn.is_end('%s') THEN now() END", true},
    {"task", "status", "", false},
    {"task_party", "status", "", false},
    {"party_task", "status", "", false},
    {"party_task", "party_status", "", false},
};

static bool has_state(const struct guarded *g, int s)
{
	return g->job ? s != ST_PASS : s != ST_READY;
}

static void set_state(const struct guarded *g, const char *to, const char *more)
{
	char extra[256];

	snprintf(extra, sizeof(extra), "%s", g->more);
	if (strchr(extra, '%') != NULL)
		snprintf(extra, sizeof(extra),
			 ", end_at = CASE WHEN norn.is_end('%s') THEN now() END", to);
	fn_do(A, "UPDATE norn.%s SET %s = '%s'%s%s", g->table, g->column, to, extra, more);
}

/* Whoever writes, and with whatever statement. */
START_TEST(triggers_refuse_every_illegal_step)
{
	const struct guarded *g = &guarded[_i];

	fn_running_job(A, &(struct fn_job){.id = "j", .n_parties = 2, .n_remote = 1, .cores = 1},
		       1);
	for (int from = 0; from < ST_COUNT; from++) {
		for (int to = 0; to < ST_COUNT; to++) {
			const char *f = status_name((enum status)from),
				   *t = status_name((enum status)to);
			if (!has_state(g, from) || !has_state(g, to))
				continue;
			bool ok =
			    from == to ||
			    (g->job ? status_job_step_ok((enum status)from, (enum status)to)
				    : status_task_step_ok((enum status)from, (enum status)to));
			fn_do(A, "BEGIN");
			fn_do(A, "SET LOCAL session_replication_role = replica");
			set_state(g, f, "");
			fn_do(A, "SET LOCAL session_replication_role = origin");
			if (ok)
				set_state(g, t, "");
			else
				fn_refused(A, "NR001", "UPDATE norn.%s SET %s = '%s'", g->table,
					   g->column, t);
			fn_do(A, "ROLLBACK");
		}
	}
}
END_TEST

START_TEST(a_new_attempt_is_the_only_way_back)
{
	static const char *const tables[] = {"job", "party_job", "task"};

	fn_running_job(A, &(struct fn_job){.id = "j", .cores = 1}, 1);
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		const char *end = i < 2 ? ", end_at = NULL" : "";
		fn_do(A, "UPDATE norn.%s SET status = 'failed'%s", tables[i],
		      i < 2 ? ", end_at = now()" : "");
		fn_refused(A, "NR001", "UPDATE norn.%s SET status = 'waiting'%s", tables[i], end);
		fn_refused(A, "NR001",
			   "UPDATE norn.%s SET status = 'waiting', attempt = attempt - 1%s",
			   tables[i], end);
		fn_refused(A, "NR001",
			   "UPDATE norn.%s SET status = 'running', attempt = attempt + 1%s",
			   tables[i], end);
		fn_do(A, "UPDATE norn.%s SET status = 'waiting', attempt = attempt + 1%s",
		      tables[i], end);
	}
}
END_TEST

START_TEST(an_end_has_a_time_and_only_an_end)
{
	fn_running_job(A, &(struct fn_job){.id = "j", .cores = 1}, 0);
	fn_refused(A, "23514", "UPDATE norn.job SET status = 'failed'");
	fn_refused(A, "23514", "UPDATE norn.job SET end_at = now()");
	fn_refused(A, "23514", "UPDATE norn.party_job SET status = 'failed'");
	fn_refused(A, "23514", "UPDATE norn.job SET progress = 101");
	fn_refused(A, "23514", "UPDATE norn.task SET deps_left = -1");
}
END_TEST

/* ---- commands to a party: twice is once ---- */

static const char *counts(void)
{
	return fn_text(
	    A, "SELECT concat_ws(' ', (SELECT count(*) FROM norn.party_job), "
	       "(SELECT count(*) FROM norn.party_task), (SELECT count(*) FROM norn.run_work), "
	       "(SELECT count(*) FROM norn.reservation), (SELECT count(*) FROM norn.event), "
	       "(SELECT string_agg(status || version, ',') FROM norn.party_job))");
}

/* Runs a statement twice: the second time nothing changes. */
static void twice(const char *sql, int64_t first, int64_t second)
{
	char before[256];

	ck_assert_int_eq(fn_int(A, "%s", sql), first);
	snprintf(before, sizeof(before), "%s", counts());
	ck_assert_msg(fn_int(A, "%s", sql) == second, "again: %s", sql);
	ck_assert_str_eq(counts(), before);
}

static void remote_job(void)
{
	/* as a party of another site's job */
	fn_do(A, "INSERT INTO norn.job_dag VALUES ('r', '{}')");
	twice("SELECT "
	      "norn.party_job_create('{\"job_id\":\"r\",\"role\":\"host\",\"party_id\":\"9998\","
	      "\"dag\":{},"
	      "\"initiator_party_id\":\"1\",\"scheduler_party_id\":\"1\",\"model_id\":\"m\","
	      "\"model_version\":"
	      "\"0\",\"cores\":2,\"memory_mb\":0,\"tasks\":[{\"task_name\":\"t0\",\"task_no\":0,"
	      "\"party_no\":1,"
	      "\"component\":\"noop\",\"provider\":\"p\",\"config\":{},\"cores\":1,\"memory_mb\":0,"
	      "\"timeout_s\":60}]}')",
	      1, 0);
}

static int64_t reserve_r(int ttl_ms)
{
	return fn_int(
	    A, "SELECT (result = 'granted')::int FROM norn.party_reserve('r', 'host', '9998', %d)",
	    ttl_ms);
}

START_TEST(commands_that_come_twice_count_once)
{
	int64_t lease, run;

	remote_job();
	twice(
	    "SELECT (result = 'granted')::int FROM norn.party_reserve('r', 'host', '9998', 60000)",
	    1, 1);
	twice("SELECT norn.party_job_start('r', 'host', '9998')", 1, 1);
	twice("SELECT norn.party_task_start('{r}', '{t0}', '{0}', '{host}', '{9998}')", 1, 0);
	run = fn_run_claim(A, "n1", &lease);
	ck_assert_int_gt(run, 0);
	/* also when it runs already */
	ck_assert_int_eq(
	    fn_int(A, "SELECT norn.party_task_start('{r}', '{t0}', '{0}', '{host}', '{9998}')"), 0);
	ck_assert_int_eq(fn_run_claim(A, "n2", &lease), -1);
	fn_do(A, "SELECT norn.party_task_finish('{r}', '{t0}', '{0}', '{host}', '{9998}', "
		 "'{failed}', '{0}')");
	fn_do(A, "SELECT norn.party_task_finish('{r}', '{t0}', '{0}', '{host}', '{9998}', "
		 "'{canceled}', '{0}')");
	ck_assert_str_eq(fn_text(A, "SELECT stop_status FROM norn.run_work"), "failed");
	ck_assert_str_eq(fn_text(A, "SELECT status FROM norn.party_task"), "failed");
	twice("SELECT norn.party_job_finish('r', 'host', '9998', 'failed', 10, 'x', 'y', NULL)", 1,
	      1);
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.reservation"), 0);
	/* another end changes nothing */
	fn_do(
	    A,
	    "SELECT norn.party_job_finish('r', 'host', '9998', 'success', 100, NULL, NULL, NULL)");
	ck_assert_str_eq(fn_text(A, "SELECT status || progress FROM norn.party_job"), "failed10");
}
END_TEST

START_TEST(the_end_may_come_before_the_start)
{
	int64_t lease;

	ck_assert_int_eq(fn_int(A, "SELECT norn.party_job_finish('r', 'host', '9998', 'canceled', "
				   "0, NULL, NULL, NULL)"),
			 0);
	remote_job();
	ck_assert_int_eq(reserve_r(60000), 1);
	ck_assert_int_eq(fn_int(A, "SELECT norn.party_job_finish('r', 'host', '9998', 'canceled', "
				   "0, NULL, NULL, NULL)"),
			 1);
	/* then the late commands: none revives it */
	ck_assert_int_eq(reserve_r(60000), 0);
	ck_assert_int_eq(fn_int(A, "SELECT norn.party_job_start('r', 'host', '9998')"), 0);
	ck_assert_int_eq(
	    fn_int(A, "SELECT norn.party_task_start('{r}', '{t0}', '{0}', '{host}', '{9998}')"), 0);
	ck_assert_int_eq(fn_run_claim(A, "n1", &lease), -1);
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.reservation"), 0);
	ck_assert_str_eq(fn_text(A, "SELECT status FROM norn.party_job"), "canceled");
}
END_TEST

START_TEST(a_stop_takes_away_what_no_executor_has_yet)
{
	remote_job();
	ck_assert_int_eq(reserve_r(60000), 1);
	fn_do(A, "SELECT norn.party_job_start('r', 'host', '9998')");
	fn_do(A, "SELECT norn.party_task_start('{r}', '{t0}', '{0}', '{host}', '{9998}')");
	fn_do(A, "SELECT norn.party_task_finish('{r}', '{t0}', '{0}', '{host}', '{9998}', "
		 "'{canceled}', '{0}')");
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.run_work"), 0);
	ck_assert_str_eq(fn_text(A, "SELECT status || ' ' || party_status FROM norn.party_task"),
			 "canceled canceled");
	/* a start that was overtaken */
	ck_assert_int_eq(
	    fn_int(A, "SELECT norn.party_task_start('{r}', '{t0}', '{0}', '{host}', '{9998}')"), 0);
}
END_TEST

START_TEST(a_grant_that_expired_is_renewed_or_refused)
{
	remote_job();
	ck_assert_int_eq(reserve_r(1), 1);
	fn_do(A, "SELECT pg_sleep(0.02)");
	ck_assert_int_eq(fn_int(A, "SELECT norn.party_job_start('r', 'host', '9998')"), 1);
	ck_assert_int_eq(
	    fn_int(A, "SELECT count(*) FROM norn.reservation WHERE expires_at IS NULL"), 1);
}
END_TEST

START_TEST(an_expired_grant_does_not_count_and_may_be_gone)
{
	int64_t other;

	remote_job();
	ck_assert_int_eq(reserve_r(1), 1);
	fn_do(A, "SELECT pg_sleep(0.02)");
	other = fn_submit(A, &(struct fn_job){.id = "j", .cores = 7});
	fn_reserve(A, other);
	ck_assert_str_eq(fn_text(A, "SELECT reserve_state FROM norn.job_party"), "granted");
	fn_refused(A, "NR000", "SELECT norn.party_job_start('r', 'host', '9998')");
	ck_assert_str_eq(fn_text(A, "SELECT status FROM norn.party_job WHERE job_id = 'r'"),
			 "waiting");
}
END_TEST

START_TEST(expired_grants_are_swept_and_wake_others)
{
	remote_job();
	ck_assert_int_eq(reserve_r(1), 1);
	fn_do(A, "SELECT pg_sleep(0.02)");
	PQclear(fn_stmt(A, Q_SCHED_EXPIRE, 0, NULL));
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.reservation"), 0);
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.resource_freed"), 1);
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.event WHERE reason = 'expired'"), 1);
}
END_TEST

START_TEST(expired_grants_make_room_and_wake_others)
{
	int64_t other;

	remote_job();
	ck_assert_int_eq(reserve_r(1), 1);
	fn_do(A, "SELECT pg_sleep(0.02)");
	other = fn_submit(A, &(struct fn_job){.id = "j", .cores = 1});
	fn_reserve(A, other);
	ck_assert_str_eq(fn_text(A, "SELECT string_agg(job_id, ',') FROM norn.reservation JOIN "
				    "norn.party_job USING (party_job_no)"),
			 "j");
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.resource_freed WHERE NOT brief"), 1);
	ck_assert_str_eq(fn_text(A, "SELECT string_agg(job_id || ' ' || reason, ',' ORDER BY "
				    "event_no) FROM norn.event WHERE object = 'reservation'"),
			 "r granted,r expired,j granted");
}
END_TEST

START_TEST(unknown_jobs_are_errors_or_nothing)
{
	fn_refused(A, "NR000", "SELECT norn.party_reserve('x', 'host', '1', 1)");
	fn_refused(A, "NR000", "SELECT norn.party_job_start('x', 'host', '1')");
	ck_assert_int_eq(fn_int(A, "SELECT norn.party_release('x', 'host', '1', true)"), 0);
	ck_assert_int_eq(
	    fn_int(A, "SELECT norn.party_task_start('{x}', '{t}', '{0}', '{host}', '{1}')"), 0);
	ck_assert_int_eq(fn_int(A, "SELECT o_found FROM norn.job_stop('x', 'canceled', 'a', NULL)"),
			 0);
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.event"), 0);
}
END_TEST

/* ---- reports of other sites ---- */

static int64_t remote_report(const char *task, int attempt, const char *status)
{
	return fn_int(
	    A,
	    "SELECT norn.sched_remote_report('j', '%s', %d, 'host', '9998', '%s', 1, NULL, 'why', "
	    "'tail', false)",
	    task, attempt, status);
}

static const char *report_state(void)
{
	return fn_text(A,
		       "SELECT concat_ws(' ', status, final, (SELECT count(*) FROM norn.task_work "
		       "WHERE stage <> 'running')) "
		       "FROM norn.task_party WHERE party_no = 1 ORDER BY attempt DESC LIMIT 1");
}

START_TEST(reports_in_any_order_and_number)
{
	fn_running_job(A, &(struct fn_job){.id = "j", .n_parties = 2, .n_remote = 1, .cores = 1},
		       1);
	ck_assert_str_eq(report_state(), "waiting f 0");
	ck_assert_int_eq(remote_report("t0", 1, "success"), 0); /* of an attempt to come */
	ck_assert_int_eq(remote_report("t0", 0, "ready"), 0);
	ck_assert_int_eq(remote_report("t0", 0, "nonsense"), 0);
	ck_assert_str_eq(report_state(), "waiting f 0");
	/* the end overtakes the beginning */
	ck_assert_int_eq(remote_report("t0", 0, "success"), 1);
	ck_assert_str_eq(report_state(), "success t 1");
	ck_assert_int_eq(remote_report("t0", 0, "running"), 0);
	ck_assert_int_eq(remote_report("t0", 0, "success"), 0);
	ck_assert_int_eq(remote_report("t0", 0, "failed"), 0);
	ck_assert_str_eq(report_state(), "success t 1");
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.event WHERE reason = 'stale_report'"),
			 6);
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.event WHERE reason = 'reported'"), 1);
	fn_refused(A, "NR000",
		   "SELECT norn.sched_remote_report('j', 'tx', 0, 'host', '9998', 'failed', 1, "
		   "NULL, '', '', false)");
	fn_refused(A, "NR000",
		   "SELECT norn.sched_remote_report('j', 't0', 0, 'host', '7', 'failed', 1, NULL, "
		   "'', '', false)");
}
END_TEST

static const char *reports(const char *const *tasks, const char *statuses, int n)
{
	char names[64] = "", same[5][64] = {"", "", "", "", ""};
	static const char *const values[] = {"j", "0", "host", "9998", "7"};

	for (int i = 0; i < n; i++) {
		strcat(names, i > 0 ? "," : "");
		strcat(names, tasks[i]);
		for (size_t k = 0; k < 5; k++) {
			strcat(same[k], i > 0 ? "," : "");
			strcat(same[k], values[k]);
		}
	}
	return fn_text(
	    A,
	    "SELECT string_agg(place || CASE WHEN taken THEN 't' ELSE 'f' END, ' ' ORDER "
	    "BY place) FROM norn.sched_remote_reports('{%s}', '{%s}', '{%s}', '{%s}', "
	    "'{%s}', '{%s}', '{%s}', NULL, NULL, NULL, NULL, NULL)",
	    same[0], names, same[1], same[2], same[3], statuses, same[4]);
}

START_TEST(of_several_reports_on_one_run_the_end_counts)
{
	static const char *const t0_twice[] = {"t0", "t0"};
	static const char *const mixed[] = {"t0", "tx", "t0", "t0"};

	fn_running_job(A, &(struct fn_job){.id = "j", .n_parties = 2, .n_remote = 1, .cores = 1},
		       1);
	ck_assert_str_eq(reports(t0_twice, "{running,running}", 2), "1t 2f");
	ck_assert_str_eq(report_state(), "running f 0");
	/* the first end; what comes behind it is stale, a task that is not known has no answer */
	ck_assert_str_eq(reports(mixed, "{running,success,failed,success}", 4), "1f 3t 4f");
	ck_assert_str_eq(report_state(), "failed t 1");
	ck_assert_str_eq(
	    fn_text(A, "SELECT string_agg(from_status || '>' || to_status || ' ' || reason, ', ' "
		       "ORDER BY event_no) FROM norn.event WHERE object = 'run'"),
	    "waiting>running reported, running>running stale_report, running>running "
	    "stale_report, running>failed reported, failed>success stale_report");
}
END_TEST

START_TEST(how_long_a_run_took_is_what_its_party_says)
{
	static const char sql[] =
	    "SELECT norn.sched_remote_report('j', 't0', 0, 'host', '9998', 'success', 0, NULL, "
	    "NULL, NULL, false, %s)";

	fn_running_job(A, &(struct fn_job){.id = "j", .n_parties = 2, .n_remote = 1, .cores = 1},
		       1);
	ck_assert_int_eq(fn_int(A, sql, "1500"), 1);
	ck_assert_int_eq(
	    fn_int(A, "SELECT norn.ms(end_at) - norn.ms(start_at) FROM norn.task_party WHERE "
		      "party_no = 1"),
	    1500);
}
END_TEST

START_TEST(a_report_on_an_old_attempt_does_not_touch_the_new_one)
{
	int64_t no = fn_running_job(
	    A, &(struct fn_job){.id = "j", .n_parties = 2, .n_remote = 1, .cores = 1}, 1);

	fn_end_task(A, no, 0, 0, "failed", true);
	fn_start_task(A, no, 0, 1);
	ck_assert_str_eq(report_state(), "waiting f 0");
	/* it is noted where it belongs */
	ck_assert_int_eq(remote_report("t0", 0, "failed"), 1);
	ck_assert_str_eq(report_state(), "waiting f 1");
	ck_assert_int_eq(fn_int(A, "SELECT attempt FROM norn.task"), 1);
	ck_assert_str_eq(fn_text(A, "SELECT status FROM norn.task"), "running");
	ck_assert_int_eq(remote_report("t0", 1, "success"), 1);
	ck_assert_str_eq(report_state(), "success t 1");
}
END_TEST

START_TEST(reports_behind_the_end_of_a_job_leave_nothing)
{
	int64_t no = fn_running_job(
	    A, &(struct fn_job){.id = "j", .n_parties = 2, .n_remote = 1, .cores = 1}, 1);
	int64_t lease, run = fn_run_claim(A, "n1", &lease);

	fn_end_task(A, no, 0, 0, "canceled", false);
	fn_end_job(A, no, "canceled");
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.job_work"), 0);
	ck_assert_int_eq(remote_report("t0", 0, "canceled"), 1);
	ck_assert_int_eq(fn_int(A, "%s", fn_finish_sql(run, lease, "canceled")), 1);
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.task_work"), 0);
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.run_work"), 0);
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.reservation"), 0);
	ck_assert_str_eq(fn_text(A, "SELECT status FROM norn.job"), "canceled");
}
END_TEST

/* ---- the graph ---- */

static const char *stages(void)
{
	return fn_text(A, "SELECT string_agg(task_no || ' ' || stage, ',' ORDER BY task_no) "
			  "FROM norn.task_work");
}

START_TEST(children_count_their_parents_down)
{
	int64_t no = fn_running_job(
	    A, &(struct fn_job){.id = "j", .n_tasks = 4, .edges = "0>1,0>2,1>3,2>3", .cores = 1},
	    1);

	ck_assert_str_eq(
	    fn_text(A, "SELECT string_agg(deps_left::text, ',' ORDER BY task_no) FROM norn.task"),
	    "0,1,1,2");
	ck_assert_str_eq(stages(), "0 running");
	fn_end_task(A, no, 0, 0, "success", false);
	ck_assert_str_eq(stages(), "1 ready,2 ready");
	fn_start_task(A, no, 1, 0);
	fn_start_task(A, no, 2, 0);
	ck_assert_str_eq(stages(), "1 running,2 running");
	fn_end_task(A, no, 1, 0, "failed", true);
	ck_assert_str_eq(stages(), "1 ready,2 running");
	ck_assert_int_eq(fn_int(A, "SELECT deps_left FROM norn.task WHERE task_no = 3"), 2);
	fn_start_task(A, no, 1, 1);
	fn_end_task(A, no, 1, 1, "success", false);
	fn_end_task(A, no, 2, 0, "success", false);
	ck_assert_int_eq(fn_int(A, "SELECT deps_left FROM norn.task WHERE task_no = 3"), 0);
	ck_assert_str_eq(stages(), "3 ready");
}
END_TEST

/* Hundreds of tasks that wait for cores must not hide the one whose end frees them. */
START_TEST(ended_tasks_are_loaded_whatever_else_waits)
{
	const char *params[] = {NULL, "500"};
	char no_text[32];
	int64_t no = fn_running_job(A, &(struct fn_job){.id = "j", .n_tasks = 700, .cores = 1}, 0);
	bool found = false;

	fn_start_task(A, no, 699, 0);
	int64_t lease, run = fn_run_claim(A, "n1", &lease);
	ck_assert_int_eq(fn_int(A, "%s", fn_finish_sql(run, lease, "success")), 1);
	snprintf(no_text, sizeof(no_text), "{%lld}", (long long)no);
	params[0] = no_text;
	PGresult *res = fn_stmt(A, Q_SCHED_LOAD_TASKS, 2, params);
	for (int i = 0; i < PQntuples(res); i++)
		if (strcmp(PQgetvalue(res, i, PQfnumber(res, "task_no")), "699") == 0)
			found = !PQgetisnull(res, i, PQfnumber(res, "reports"));
	ck_assert_int_eq(PQntuples(res), 501);
	ck_assert(found);
	PQclear(res);
}
END_TEST

/* ---- the outbox ---- */

static int claim_messages(int64_t *no, int64_t *lease)
{
	const char *params[] = {"10", "5000", "1", "1000", "{}"};
	PGresult *res = fn_stmt(A, Q_OUTBOX_CLAIM, 5, params);
	int n = PQntuples(res);

	if (n > 0) {
		*no = strtoll(PQgetvalue(res, 0, PQfnumber(res, "outbox_no")), NULL, 10);
		*lease = strtoll(PQgetvalue(res, 0, PQfnumber(res, "lease_no")), NULL, 10);
	}
	PQclear(res);
	return n;
}

static void done_message(int64_t no, int64_t lease)
{
	char a[32], b[32];
	const char *params[] = {a, b};

	snprintf(a, sizeof(a), "{%lld}", (long long)no);
	snprintf(b, sizeof(b), "%lld", (long long)lease);
	PQclear(fn_stmt(A, Q_OUTBOX_DONE, 2, params));
}

START_TEST(messages_to_one_party_of_a_job_go_one_by_one)
{
	int64_t no = 0, lease = 0, first;

	fn_do(A, "INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, command, body) "
		 "SELECT '1', '2', 'j', 'task_start', '{}' FROM generate_series(1, 3)");
	ck_assert_int_eq(claim_messages(&no, &lease), 1);
	first = no;
	/* the others are put off, rather than looked at again and again */
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.outbox WHERE due_at <= now()"), 0);
	ck_assert_int_eq(claim_messages(&no, &lease), 0);
	/* an answer under a lease that was lost is not written, nor is what would go with it */
	fn_refused(A, "NR001", "SELECT norn.outbox_done('{%lld}', %lld)", (long long)first,
		   (long long)lease + 1);
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.outbox"), 3);
	ck_assert_int_eq(claim_messages(&no, &lease), 0);
	done_message(first, lease);
	ck_assert_int_eq(claim_messages(&no, &lease), 1);
	ck_assert_int_eq(no, first + 1);
	/* its lease ends: it is claimed again before the third */
	fn_do(A, "UPDATE norn.outbox SET due_at = now() - interval '1 s'");
	ck_assert_int_eq(claim_messages(&no, &lease), 1);
	ck_assert_int_eq(no, first + 1);
	ck_assert_int_eq(
	    fn_int(A, "SELECT tries FROM norn.outbox WHERE outbox_no = %lld", (long long)no), 2);
	done_message(no, lease);
	ck_assert_int_eq(claim_messages(&no, &lease), 1);
	ck_assert_int_eq(no, first + 2);
	done_message(no, lease);
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.outbox"), 0);
}
END_TEST

START_TEST(other_jobs_and_parties_do_not_wait)
{
	int64_t no, lease;

	fn_do(A, "INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, command, body) "
		 "SELECT d, '2', j, 'task_start', '{}' FROM unnest('{1,3}'::text[]) d, "
		 "unnest('{j,k}'::text[]) j, "
		 "generate_series(1, 2)");
	ck_assert_int_eq(claim_messages(&no, &lease), 4);
	ck_assert_int_eq(claim_messages(&no, &lease), 0);
}
END_TEST

START_TEST(a_job_that_ends_tells_every_party_that_may_know_of_it)
{
	int64_t no =
	    fn_submit(A, &(struct fn_job){.id = "j", .n_parties = 4, .n_remote = 3, .cores = 1});
	int64_t msg, lease;

	ck_assert_str_eq(fn_text(A, "SELECT status FROM norn.job"), "ready");
	ck_assert_int_eq(claim_messages(&msg, &lease), 3);
	/* 9998 was asked and is silent, 9997 was given up, 9996 was not asked yet */
	fn_do(A, "DELETE FROM norn.outbox WHERE dest_party_id = '9997'");
	fn_do(A, "SELECT norn.sched_created(%lld, 2::smallint, false, 'no answer')", (long long)no);
	fn_do(A, "UPDATE norn.outbox SET tries = 0 WHERE dest_party_id = '9996'");
	fn_end_job(A, no, "failed");
	ck_assert_str_eq(
	    fn_text(A, "SELECT string_agg(concat_ws(' ', dest_party_id, command, due_at > now() + "
		       "interval '50 s', "
		       "give_up_at IS NOT NULL), ', ' ORDER BY outbox_no) FROM norn.outbox"),
	    "9998 job_create f f, 9998 job_finish f f, 9997 job_finish t t, 9996 job_finish f f");
}
END_TEST

/* A backup reads every table, the default partition of the history too, for as long as it takes. */
START_TEST(a_node_registers_while_a_backup_runs)
{
	static const char ensure[] = "SELECT norn.event_partitions_ensure(20)";

	fn_do(B, "BEGIN");
	fn_do(B, "LOCK TABLE norn.event_default IN ACCESS SHARE MODE");
	fn_do(A, "BEGIN");
	fn_do(A, "INSERT INTO norn.node (node_id, name, duties, version, lease_ms) "
		 "VALUES ('n3', 'three', 'exec', '0', 60000)");
	ck_assert_int_eq(fn_int(A, "%s", ensure), 0);
	fn_do(A, "COMMIT");
	ck_assert_int_eq(fn_int(C, "SELECT count(*) FROM norn.node WHERE node_id = 'n3'"), 1);
	fn_do(B, "COMMIT");
	ck_assert_int_gt(fn_int(A, "%s", ensure), 0);
	ck_assert_int_eq(fn_int(A, "%s", ensure), 0);
}
END_TEST

/* What was never started failed of nothing: the reason of the job stands elsewhere. */
START_TEST(a_run_that_never_began_is_not_the_first_failure)
{
	int64_t no = fn_running_job(A, &(struct fn_job){.id = "j", .cores = 1}, 1);

	fn_end_task(A, no, 0, 0, "timeout", false);
	ck_assert_str_eq(fn_text(A, "SELECT party_status FROM norn.party_task"), "timeout");
	fn_end_job(A, no, "failed");
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.job WHERE first_failure IS NULL"), 1);
}
END_TEST

/* What is old goes in portions, and nothing else goes. */
START_TEST(old_history_goes_in_portions)
{
	const char *const params[] = {"30", "2"};
	static const char *const more[] = {"t", "t", "f"};

	fn_do(A, "TRUNCATE norn.audit");
	fn_do(A, "INSERT INTO norn.event (at, job_id, object, reason, actor) SELECT now() - "
		 "interval '40 days', 'j', 'job', 'x', 'y' FROM generate_series(1, 3)");
	fn_do(A, "INSERT INTO norn.audit (at, request_id, remote, method, path) SELECT now() - "
		 "interval '40 days', 'r', 'here', 'POST', '/' FROM generate_series(1, 4)");
	fn_do(
	    A,
	    "INSERT INTO norn.event (job_id, object, reason, actor) VALUES ('j', 'job', 'x', 'y')");
	fn_do(A, "INSERT INTO norn.audit (request_id, remote, method, path) "
		 "VALUES ('r', 'here', 'POST', '/')");
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		PGresult *res = fn_stmt(A, Q_GC_HISTORY, ARRAY_LEN(params), params);
		ck_assert_str_eq(PQgetvalue(res, 0, 0), more[i]);
		PQclear(res);
	}
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.event"), 1);
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.audit"), 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("functions");
	TCase *tc = tcase_create("functions");

	tcase_add_unchecked_fixture(tc, fn_migrate, NULL);
	tcase_add_checked_fixture(tc, fn_open, fn_close);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_database_and_the_program_have_one_table_of_steps);
	tcase_add_loop_test(tc, triggers_refuse_every_illegal_step, 0, ARRAY_LEN(guarded));
	tcase_add_test(tc, a_new_attempt_is_the_only_way_back);
	tcase_add_test(tc, an_end_has_a_time_and_only_an_end);
	tcase_add_test(tc, old_history_goes_in_portions);
	tcase_add_test(tc, a_run_that_never_began_is_not_the_first_failure);
	tcase_add_test(tc, commands_that_come_twice_count_once);
	tcase_add_test(tc, the_end_may_come_before_the_start);
	tcase_add_test(tc, a_stop_takes_away_what_no_executor_has_yet);
	tcase_add_test(tc, a_grant_that_expired_is_renewed_or_refused);
	tcase_add_test(tc, an_expired_grant_does_not_count_and_may_be_gone);
	tcase_add_test(tc, expired_grants_are_swept_and_wake_others);
	tcase_add_test(tc, expired_grants_make_room_and_wake_others);
	tcase_add_test(tc, unknown_jobs_are_errors_or_nothing);
	tcase_add_test(tc, reports_in_any_order_and_number);
	tcase_add_test(tc, of_several_reports_on_one_run_the_end_counts);
	tcase_add_test(tc, how_long_a_run_took_is_what_its_party_says);
	tcase_add_test(tc, a_report_on_an_old_attempt_does_not_touch_the_new_one);
	tcase_add_test(tc, reports_behind_the_end_of_a_job_leave_nothing);
	tcase_add_test(tc, children_count_their_parents_down);
	tcase_add_test(tc, ended_tasks_are_loaded_whatever_else_waits);
	tcase_add_test(tc, messages_to_one_party_of_a_job_go_one_by_one);
	tcase_add_test(tc, other_jobs_and_parties_do_not_wait);
	tcase_add_test(tc, a_job_that_ends_tells_every_party_that_may_know_of_it);
	tcase_add_test(tc, a_node_registers_while_a_backup_runs);
	suite_add_tcase(s, tc);
	return fn_run(s);
}
