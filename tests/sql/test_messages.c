/* Messages between sites and claims of runs whose answers get lost, doubled or late. */
#include "fn.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct fn_job small = {.id = "j", .cores = 1};

/* ---- at the party ---- */

static const char create[] =
    "SELECT norn.party_job_create('{\"job_id\":\"r\",\"role\":\"host\",\"party_id\":\"9998\","
    "\"dag\":{},\"initiator_party_id\":\"1\",\"scheduler_party_id\":\"1\",\"model_id\":\"m\","
    "\"model_version\":\"0\",\"cores\":2,\"memory_mb\":0,\"tasks\":[]}')";
static const char finish[] =
    "SELECT norn.party_job_finish('r', 'host', '9998', 'failed', 0, NULL, NULL, NULL)";
static const char rerun[] =
    "SELECT norn.party_job_rerun('{\"job_id\":\"r\",\"role\":\"host\",\"party_id\":\"9998\","
    "\"attempt\":1}')";

static const char *status(void)
{
	return fn_text(A, "SELECT concat_ws(' ', status, attempt) FROM norn.party_job");
}

/* As a node does: the number and the command in one transaction. */
static void message(int no, const char *command)
{
	fn_do(A, "BEGIN");
	fn_do(A, "SELECT norn.party_message('r', 'host', '9998', %d)", no);
	fn_do(A, "%s", command);
	fn_do(A, "COMMIT");
}

START_TEST(an_end_that_comes_late_does_not_end_the_rerun)
{
	fn_do(A, "%s", create);
	message(5, finish);
	ck_assert_str_eq(status(), "failed 0");
	message(7, rerun);
	ck_assert_str_eq(status(), "waiting 1");
	fn_refused(A, "NR001", "SELECT norn.party_message('r', 'host', '9998', 5)");
	ck_assert_str_eq(status(), "waiting 1");
	message(9, finish);
	ck_assert_str_eq(status(), "failed 1");
}
END_TEST

START_TEST(a_release_that_comes_late_does_not_free_what_was_granted_since)
{
	static const char reserve[] =
	    "SELECT result FROM norn.party_reserve('r', 'host', '9998', 60000)";
	static const char release[] = "SELECT norn.party_release('r', 'host', '9998', false)";

	fn_do(A, "%s", create);
	message(1, reserve);
	message(2, release);
	message(3, reserve);
	fn_refused(A, "NR001", "SELECT norn.party_message('r', 'host', '9998', 2)");
	ck_assert_int_eq(fn_int(A, "SELECT sum(cores) FROM norn.reservation"), 2);
}
END_TEST

START_TEST(a_message_may_come_twice_and_without_a_number)
{
	fn_do(A, "%s", create);
	message(5, finish);
	message(5, finish);
	fn_do(A, "SELECT norn.party_message('r', 'host', '9998', NULL)");
	ck_assert_str_eq(status(), "failed 0");
	ck_assert_int_eq(fn_int(A, "SELECT message_no FROM norn.party_job"), 5);
}
END_TEST

START_TEST(two_messages_at_once_are_taken_in_the_order_of_their_numbers)
{
	fn_do(A, "%s", create);
	fn_do(A, "BEGIN");
	fn_do(A, "SELECT norn.party_message('r', 'host', '9998', 8)");
	fn_send(B, "SELECT norn.party_message('r', 'host', '9998', 7)");
	fn_waits(B);
	fn_do(A, "COMMIT");
	ck_assert_str_eq(fn_done(B, NULL), "NR001");
}
END_TEST

/* ---- at the sender ---- */

/* jobs and destinations, lease ms, messages of one, bytes, commands that may go together */
static const char *const one_by_one[] = {"8", "60000", "1", "1000", "{}"};

static int64_t claim_message(int64_t *lease_no)
{
	PGresult *res;
	int64_t no;

	fn_do(A, "UPDATE norn.outbox SET due_at = now() WHERE outbox_no = "
		 "(SELECT min(outbox_no) FROM norn.outbox)");
	res = fn_stmt(A, Q_OUTBOX_CLAIM, 5, one_by_one);
	ck_assert_int_eq(PQntuples(res), 1);
	no = strtoll(PQgetvalue(res, 0, PQfnumber(res, "outbox_no")), NULL, 10);
	*lease_no = strtoll(PQgetvalue(res, 0, PQfnumber(res, "lease_no")), NULL, 10);
	PQclear(res);
	return no;
}

static const char *done_sql(int64_t no, int64_t lease_no)
{
	static char text[96];

	snprintf(text, sizeof(text), "SELECT norn.outbox_done('{%lld}', %lld)", (long long)no,
		 (long long)lease_no);
	return text;
}

START_TEST(an_answer_under_a_lost_lease_writes_nothing)
{
	int64_t slow, quick, no;

	for (int i = 0; i < 2; i++)
		fn_do(
		    A,
		    "INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, command, body, "
		    "due_at) VALUES ('1', '2', 'r', 'job_release', '{}', now() + interval '1 "
		    "hour')");
	no = claim_message(&slow);
	ck_assert_int_eq(claim_message(&quick), no);
	fn_refused(B, "NR001", "%s", done_sql(no, slow));
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.outbox"), 2);
	fn_do(A, "%s", done_sql(no, quick));
	fn_refused(A, "NR001", "%s", done_sql(no, quick));
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.outbox WHERE due_at <= now()"), 1);
}
END_TEST

static void message_of_r(PGconn *pg)
{
	fn_do(pg, "INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, command, body) "
		  "VALUES ('1', '2', 'r', 'task_report', '{}')");
}

/* The messages that a claim brings, as text: "1 2 | 5", groups in the order of their leases; with
 * "..." behind them when there may be more at once. */
static const char *claimed_by(PGconn *pg, const char *const *params)
{
	static char text[256];
	PGresult *res = fn_stmt(pg, Q_OUTBOX_CLAIM, 5, params);
	const char *lease = NULL;

	text[0] = '\0';
	for (int i = 0; i < PQntuples(res); i++) {
		size_t len = strlen(text);
		const char *no = PQgetvalue(res, i, PQfnumber(res, "outbox_no"));
		const char *of = PQgetvalue(res, i, PQfnumber(res, "lease_no"));
		snprintf(text + len, sizeof(text) - len, "%s%s%s", len > 0 ? " " : "",
			 lease != NULL && *no != '\0' && strcmp(lease, of) != 0 ? "| " : "",
			 *no == '\0' ? "..." : no);
		lease = of;
	}
	PQclear(res);
	return text;
}

static int claimed(PGconn *pg)
{
	const char *text = claimed_by(pg, one_by_one);
	int n = 0;

	for (const char *p = text; *p != '\0'; p++)
		n += (p == text || p[-1] == ' ') && *p >= '0' && *p <= '9';
	return n;
}

static int64_t due_now(void)
{
	return fn_int(D, "SELECT count(*) FROM norn.outbox WHERE due_at <= now()");
}

START_TEST(a_message_that_comes_while_the_one_before_is_answered_is_not_put_off)
{
	int64_t lease, no;

	message_of_r(A);
	no = claim_message(&lease);
	fn_do(A, "BEGIN");
	fn_do(A, "%s", done_sql(no, lease));
	message_of_r(B);
	/* the answer is not committed: it must neither overtake nor be put off, since nobody would
	 * bring it back */
	ck_assert_int_eq(claimed(C), 0);
	ck_assert_int_eq(due_now(), 1);
	fn_do(A, "COMMIT");
	ck_assert_int_eq(claimed(C), 1);
}
END_TEST

START_TEST(an_answer_brings_back_what_is_just_being_put_off)
{
	int64_t lease, no;

	message_of_r(A);
	no = claim_message(&lease);
	message_of_r(B);
	fn_do(C, "BEGIN");
	ck_assert_int_eq(claimed(C), 0);
	fn_send(A, "%s", done_sql(no, lease));
	fn_waits(A);
	ck_assert_int_eq(due_now(), 1); /* as others still see it */
	fn_do(C, "COMMIT");
	ck_assert_str_eq(fn_done(A, NULL), "");
	ck_assert_int_eq(due_now(), 1);
	ck_assert_int_eq(claimed(B), 1);
}
END_TEST

START_TEST(a_message_behind_one_that_is_not_answered_is_put_off)
{
	message_of_r(A);
	message_of_r(A);
	message_of_r(A);
	ck_assert_int_eq(claimed(A), 1);
	ck_assert_int_eq(due_now(), 0);
	ck_assert_int_eq(fn_int(A, "SELECT sum(tries) FROM norn.outbox"), 1);
}
END_TEST

/* ---- several at once ---- */

static const char *const together[] = {"8", "60000", "4", "1000", "{task_report,task_start}"};

static void number_from_one(void)
{
	fn_do(A, "ALTER TABLE norn.outbox ALTER COLUMN outbox_no RESTART");
}

static void put(PGconn *pg, const char *dest, const char *command)
{
	fn_do(pg,
	      "INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, command, body) "
	      "VALUES ('%s', '2', 'r', '%s', '{}')",
	      dest, command);
}

START_TEST(what_waits_for_one_party_goes_together_and_in_order)
{
	number_from_one();
	put(A, "1", "task_start");
	put(A, "1", "task_report");
	put(A, "7", "task_report");
	for (int i = 0; i < 4; i++)
		put(A, "1", "task_start");
	ck_assert_str_eq(claimed_by(A, together), "1 2 4 5 | 3");
	ck_assert_int_eq(due_now(), 0);
	/* the answers of all, or of none */
	fn_refused(A, "NR001",
		   "SELECT norn.outbox_done('{1,2,3}', (SELECT lease_no FROM norn.outbox WHERE "
		   "outbox_no = 1))");
	fn_do(A, "SELECT norn.outbox_done('{1,2,4,5}', (SELECT lease_no FROM norn.outbox WHERE "
		 "outbox_no = 1))");
	ck_assert_str_eq(claimed_by(A, together), "6 7");
}
END_TEST

START_TEST(what_is_in_no_hurry_goes_with_what_is)
{
	number_from_one();
	put(A, "1", "task_report");
	fn_do(A, "UPDATE norn.outbox SET due_at = now() + interval '1 minute'");
	ck_assert_str_eq(claimed_by(A, together), "");
	put(A, "1", "task_report");
	ck_assert_str_eq(claimed_by(A, together), "1 2");
}
END_TEST

START_TEST(a_command_that_goes_alone_ends_a_group)
{
	number_from_one();
	put(A, "1", "task_start");
	put(A, "1", "task_start");
	put(A, "1", "job_release");
	put(A, "1", "task_start");
	ck_assert_str_eq(claimed_by(A, together), "1 2");
	fn_do(A, "SELECT norn.outbox_done('{1,2}', max(lease_no)) FROM norn.outbox");
	ck_assert_str_eq(claimed_by(A, together), "3");
	fn_do(A, "SELECT norn.outbox_done('{3}', max(lease_no)) FROM norn.outbox");
	ck_assert_str_eq(claimed_by(A, together), "4");
}
END_TEST

START_TEST(a_group_has_no_more_bytes_than_may_be_sent)
{
	static const char *const few[] = {"8", "60000", "4", "5", "{task_report}"};

	number_from_one();
	for (int i = 0; i < 4; i++)
		put(A, "1", "task_report");
	ck_assert_str_eq(claimed_by(A, few), "1 2");
	fn_do(A, "SELECT norn.outbox_done('{1,2}', max(lease_no)) FROM norn.outbox");
	/* one that is too large by itself goes alone */
	fn_do(A, "UPDATE norn.outbox SET body = '{\"a\": 123456}' WHERE outbox_no = 3");
	ck_assert_str_eq(claimed_by(A, few), "3");
}
END_TEST

START_TEST(a_group_ends_before_what_somebody_else_has_locked)
{
	number_from_one();
	for (int i = 0; i < 3; i++)
		put(A, "1", "task_report");
	fn_do(B, "BEGIN");
	fn_do(B, "SELECT 1 FROM norn.outbox WHERE outbox_no = 2 FOR UPDATE");
	ck_assert_str_eq(claimed_by(A, together), "1");
	fn_do(B, "COMMIT");
}
END_TEST

START_TEST(a_site_that_takes_no_groups_gets_single_messages)
{
	number_from_one();
	for (int i = 0; i < 3; i++)
		put(A, "1", "task_report");
	fn_do(A,
	      "INSERT INTO norn.site_route (party_id, url, single_until) VALUES ('1', 'u', now() "
	      "+ interval '1 minute')");
	ck_assert_str_eq(claimed_by(A, together), "1");
	fn_do(A, "SELECT norn.outbox_done('{1}', max(lease_no)) FROM norn.outbox");
	fn_do(A, "UPDATE norn.site_route SET single_until = now()");
	ck_assert_str_eq(claimed_by(A, together), "2 3");
}
END_TEST

static const char *tries(void)
{
	return fn_text(A,
		       "SELECT string_agg(tries::text, ' ' ORDER BY outbox_no) FROM norn.outbox");
}

START_TEST(what_was_sent_with_a_message_that_did_not_arrive_waits_for_it)
{
	number_from_one();
	for (int i = 0; i < 3; i++)
		put(A, "1", "task_report");
	ck_assert_str_eq(claimed_by(A, together), "1 2 3");
	fn_do(A, "SELECT norn.outbox_done('{1}', max(lease_no)) FROM norn.outbox");
	PQclear(
	    fn_stmt(A, Q_OUTBOX_FAILED, 4,
		    (const char *const[]){"2", fn_text(A, "SELECT max(lease_no) FROM norn.outbox"),
					  "why", "50000"}));
	ck_assert_str_eq(claimed_by(A, together), "");
	ck_assert_str_eq(tries(), "1 0");
	fn_do(A, "UPDATE norn.outbox SET due_at = now() WHERE outbox_no = 2");
	ck_assert_str_eq(claimed_by(A, together), "2 3");
	ck_assert_str_eq(tries(), "2 1");
}
END_TEST

START_TEST(what_was_claimed_and_not_sent_may_be_claimed_at_once)
{
	number_from_one();
	for (int i = 0; i < 3; i++)
		put(A, "1", "task_report");
	ck_assert_str_eq(claimed_by(A, together), "1 2 3");
	PQclear(fn_stmt(A, Q_OUTBOX_UNSENT, 2, (const char *const[]){"{1,2,3}", "0"}));
	ck_assert_int_eq(due_now(), 0); /* somebody else's lease */
	PQclear(fn_stmt(
	    A, Q_OUTBOX_UNSENT, 2,
	    (const char *const[]){"{1,2,3}", fn_text(A, "SELECT max(lease_no) FROM norn.outbox")}));
	ck_assert_str_eq(tries(), "0 0 0");
	ck_assert_str_eq(claimed_by(B, together), "1 2 3");
}
END_TEST

/* Otherwise one that takes the site longer than a call may last would never be answered. */
START_TEST(a_group_that_was_tried_often_gets_smaller)
{
	static const char *const eight[] = {"8", "60000", "8", "1000", "{task_report}"};
	static const char *const expected[] = {
	    "1 2 3 4 5 6 7 8", "1 2 3 4 5 6 7 8", "1 2 3 4 5 6 7 8", "1 2", "1", "1"};

	number_from_one();
	for (int i = 0; i < 8; i++)
		put(A, "1", "task_report");
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		ck_assert_str_eq(claimed_by(A, eight), expected[i]);
		PQclear(fn_stmt(
		    A, Q_OUTBOX_FAILED, 4,
		    (const char *const[]){"1", fn_text(A, "SELECT max(lease_no) FROM norn.outbox"),
					  "no answer", "0"}));
	}
	ck_assert_str_eq(tries(), "6 0 0 0 0 0 0 0");
	ck_assert_str_eq(claimed_by(A, eight), "1");
	fn_do(A, "SELECT norn.outbox_done('{1}', max(lease_no)) FROM norn.outbox");
	ck_assert_str_eq(claimed_by(A, eight), "2 3 4 5 6 7 8");
}
END_TEST

/* The claim is the last statement of somebody else's transaction, which may have begun long ago. */
START_TEST(a_lease_lasts_from_the_moment_of_the_claim)
{
	number_from_one();
	put(A, "1", "task_report");
	fn_do(A, "BEGIN");
	fn_do(A, "SELECT pg_sleep(0.05)");
	ck_assert_str_eq(claimed_by(A, together), "1");
	/* 60 s, not from the beginning of the transaction */
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.outbox WHERE due_at >= now() + "
				   "interval '60.05 s'"),
			 1);
	fn_do(A, "COMMIT");
}
END_TEST

/* Transactions end in another order than they were given their numbers in. */
START_TEST(a_message_with_a_smaller_number_that_comes_late_is_not_left_behind)
{
	number_from_one();
	put(A, "1", "task_report");
	fn_do(B, "BEGIN");
	put(B, "1", "task_report");
	put(A, "1", "task_report");
	ck_assert_str_eq(claimed_by(A, together), "1 3");
	fn_do(B, "COMMIT");
	ck_assert_str_eq(claimed_by(A, together), "");
	ck_assert_int_eq(due_now(), 0);
	fn_do(A, "SELECT norn.outbox_done('{1,3}', max(lease_no)) FROM norn.outbox");
	ck_assert_str_eq(claimed_by(A, together), "2");
}
END_TEST

START_TEST(what_is_under_way_is_not_sent_with_what_has_come_before_it)
{
	number_from_one();
	fn_do(B, "BEGIN");
	put(B, "1", "task_report");
	put(A, "1", "task_report");
	ck_assert_str_eq(claimed_by(A, together), "2");
	fn_do(B, "COMMIT");
	ck_assert_str_eq(claimed_by(A, together), "1");
	fn_do(A, "UPDATE norn.outbox SET due_at = now() - interval '1 s'");
	ck_assert_str_eq(claimed_by(A, together), "1 2");
}
END_TEST

START_TEST(a_group_may_come_again_or_in_part_until_a_later_message_has_come)
{
	fn_do(A, "%s", create);
	fn_do(A, "SELECT norn.party_message('r', 'host', '9998', 5, 8)");
	fn_do(A, "SELECT norn.party_message('r', 'host', '9998', 5, 8)");
	fn_do(A, "SELECT norn.party_message('r', 'host', '9998', 5)");
	fn_do(A, "SELECT norn.party_message('r', 'host', '9998', 6, 9)");
	fn_refused(A, "NR001", "SELECT norn.party_message('r', 'host', '9998', 5)");
	fn_do(A, "SELECT norn.party_message('r', 'host', '9998', 10)");
	fn_refused(A, "NR001", "SELECT norn.party_message('r', 'host', '9998', 6, 9)");
}
END_TEST

START_TEST(only_its_scheduler_commands_a_job)
{
	fn_do(A, "%s", create);
	fn_refused(A, "NR000",
		   "SELECT norn.party_message('r', 'host', '9998', 5, NULL, '{2,9998}')");
	fn_refused(A, "NR000", "SELECT norn.party_message('r', 'host', '9998', NULL, NULL, '{}')");
	ck_assert_str_eq(
	    fn_text(A, "SELECT norn.party_message('r', 'host', '9998', 5, NULL, '{2,1}')"),
	    "waiting");
	fn_refused(A, "NR000",
		   "SELECT norn.party_message('nobody', 'host', '9998', 5, NULL, '{1}')");
}
END_TEST

/* Each statement of a batch sees what others have committed meanwhile. */
START_TEST(a_job_that_comes_behind_the_look_for_it_is_not_commanded)
{
	fn_do(A, "BEGIN");
	fn_refused(A, "NR000", "SELECT norn.party_message('r', 'host', '9998', 5, NULL, '{7}')");
	fn_do(B, "%s", create);
	fn_refused(A, "25P02", "%s", finish);
	fn_do(A, "ROLLBACK");
	ck_assert_str_eq(status(), "waiting 0");
}
END_TEST

START_TEST(a_stop_for_an_earlier_attempt_does_not_stop_a_rerun)
{
	int64_t no = fn_running_job(A, &small, 1);

	fn_end_task(A, no, 0, 0, "failed", false);
	fn_end_job(A, no, "failed");
	fn_do(A, "SELECT norn.job_rerun('j', true, NULL, 'me', NULL, NULL)");
	fn_do(A, "SELECT norn.job_stop('j', 'canceled', 'party 9', NULL, 0)");
	ck_assert_str_eq(fn_text(A, "SELECT stop_status FROM norn.job"), "");
	fn_do(A, "SELECT norn.job_stop('j', 'canceled', 'party 9', NULL, 1)");
	ck_assert_str_eq(fn_text(A, "SELECT stop_status FROM norn.job"), "canceled");
}
END_TEST

/* ---- claims of runs ---- */

START_TEST(a_claim_that_nobody_heard_of_is_found)
{
	int64_t lease, run, no = fn_running_job(A, &small, 1);

	run = fn_run_claim(A, "n1", &lease);
	ck_assert_int_eq(
	    fn_int(A, "SELECT norn.runs_of_lost_claims('n1', '{%lld}', 'n1')", (long long)run), 0);
	ck_assert_int_eq(fn_int(A, "SELECT norn.runs_of_lost_claims('n2', '{}', 'n2')"), 0);
	ck_assert_int_eq(fn_int(A, "SELECT norn.runs_of_lost_claims('n1', '{}', 'n1')"), 1);
	ck_assert_str_eq(
	    fn_text(A, "SELECT concat_ws(' ', status, node_lost) FROM norn.task_party_view"),
	    "failed t");
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.run_work"), 0);
	fn_refused(A, "NR001", "%s", fn_finish_sql(run, lease, "success"));
	ck_assert_int_eq(
	    fn_int(A,
		   "SELECT count(*) FROM norn.task_work WHERE job_no = %lld AND stage = 'reported'",
		   (long long)no),
	    1);
}
END_TEST

/* The statement has begun, and sees what was there then; the function in it sees what came since.
 */
START_TEST(a_run_that_comes_while_a_claim_begins_is_in_its_answer)
{
	int64_t no = fn_submit(A, &small), run = -1;

	fn_reserve(A, no);
	fn_start_job(A, no);
	fn_do(A, "PREPARE claim AS %s", db_stmt_sql(Q_RUN_CLAIM));
	fn_do(B, "BEGIN");
	fn_do(B, "LOCK TABLE norn.node IN ACCESS EXCLUSIVE MODE");
	fn_send(A, "EXECUTE claim('n1', '{h}')");
	fn_waits(A);
	fn_start_task(C, no, 0, 0);
	fn_do(B, "COMMIT");
	ck_assert_str_eq(fn_done(A, &run), "");
	ck_assert_int_eq(fn_int(B, "SELECT run_no FROM norn.run_work WHERE node_id = 'n1'"), run);
	fn_do(A, "DEALLOCATE claim");
}
END_TEST

/* ---- messages name a task, of which a job may have many ---- */

enum { TASKS = 2000 };

static int64_t rows_read(void)
{
	return fn_int(A, "SELECT sum(seq_tup_read + COALESCE(idx_tup_fetch, 0)) FROM "
			 "pg_stat_xact_user_tables WHERE schemaname = 'norn'");
}

START_TEST(a_message_about_a_task_does_not_read_the_others)
{
	const struct fn_job large = {.id = "j", .n_tasks = TASKS, .n_parties = 2, .n_remote = 1};
	const char *const state[] = {"j", "t1000", "0", "guest", "9999"};
	const char *const report[] = {"j",  "t1000", "0",  "host", "9998", "running",
				      NULL, NULL,    NULL, NULL,   "f",    NULL};
	int64_t before;
	PGresult *res;

	fn_do(A, "SET enable_seqscan = off");
	fn_submit(A, &large);
	fn_do(A, "INSERT INTO norn.task_party (job_no, task_no, attempt, party_no) "
		 "SELECT job_no, 1000, 0, 1 FROM norn.job");
	fn_do(A, "BEGIN");
	before = rows_read();
	res = fn_stmt(A, Q_PARTY_TASK_STATE, 5, state);
	ck_assert_int_eq(PQntuples(res), 1);
	ck_assert_str_eq(PQgetvalue(res, 0, 0), "waiting");
	PQclear(res);
	res = fn_stmt(A, Q_SCHED_REMOTE_REPORT, 12, report);
	ck_assert_str_eq(PQgetvalue(res, 0, 0), "t");
	PQclear(res);
	ck_assert_int_lt(rows_read() - before, TASKS / 4);
	fn_do(A, "COMMIT");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("messages");
	TCase *tc = tcase_create("messages");

	tcase_add_unchecked_fixture(tc, fn_migrate, NULL);
	tcase_add_checked_fixture(tc, fn_open, fn_close);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, an_end_that_comes_late_does_not_end_the_rerun);
	tcase_add_test(tc, a_release_that_comes_late_does_not_free_what_was_granted_since);
	tcase_add_test(tc, a_message_may_come_twice_and_without_a_number);
	tcase_add_test(tc, two_messages_at_once_are_taken_in_the_order_of_their_numbers);
	tcase_add_test(tc, an_answer_under_a_lost_lease_writes_nothing);
	tcase_add_test(tc, a_message_that_comes_while_the_one_before_is_answered_is_not_put_off);
	tcase_add_test(tc, an_answer_brings_back_what_is_just_being_put_off);
	tcase_add_test(tc, a_message_behind_one_that_is_not_answered_is_put_off);
	tcase_add_test(tc, what_waits_for_one_party_goes_together_and_in_order);
	tcase_add_test(tc, what_is_in_no_hurry_goes_with_what_is);
	tcase_add_test(tc, a_command_that_goes_alone_ends_a_group);
	tcase_add_test(tc, a_group_has_no_more_bytes_than_may_be_sent);
	tcase_add_test(tc, a_group_ends_before_what_somebody_else_has_locked);
	tcase_add_test(tc, a_site_that_takes_no_groups_gets_single_messages);
	tcase_add_test(tc, what_was_sent_with_a_message_that_did_not_arrive_waits_for_it);
	tcase_add_test(tc, what_was_claimed_and_not_sent_may_be_claimed_at_once);
	tcase_add_test(tc, a_group_that_was_tried_often_gets_smaller);
	tcase_add_test(tc, a_lease_lasts_from_the_moment_of_the_claim);
	tcase_add_test(tc, a_message_with_a_smaller_number_that_comes_late_is_not_left_behind);
	tcase_add_test(tc, what_is_under_way_is_not_sent_with_what_has_come_before_it);
	tcase_add_test(tc, a_group_may_come_again_or_in_part_until_a_later_message_has_come);
	tcase_add_test(tc, only_its_scheduler_commands_a_job);
	tcase_add_test(tc, a_job_that_comes_behind_the_look_for_it_is_not_commanded);
	tcase_add_test(tc, a_stop_for_an_earlier_attempt_does_not_stop_a_rerun);
	tcase_add_test(tc, a_claim_that_nobody_heard_of_is_found);
	tcase_add_test(tc, a_run_that_comes_while_a_claim_begins_is_in_its_answer);
	tcase_add_test(tc, a_message_about_a_task_does_not_read_the_others);
	suite_add_tcase(s, tc);
	return fn_run(s);
}
