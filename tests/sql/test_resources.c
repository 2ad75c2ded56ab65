/* Reservations: never more than there is, none lost, nobody woken in vain, nobody forgotten. */
#include "fn.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t job(const char *id, int cores, int64_t age_ms)
{
	return fn_submit(A, &(struct fn_job){.id = id, .cores = cores, .age_ms = age_ms});
}

static const char *state(int64_t no)
{
	return fn_text(A,
		       "SELECT string_agg(reserve_state, ',' ORDER BY party_no) FROM "
		       "norn.job_party WHERE job_no = %lld",
		       (long long)no);
}

static int64_t wake(PGconn *pg)
{
	return fn_int(pg, "SELECT norn.resource_wake()");
}

/* Those that are due, in the order in which they would be claimed. */
static const char *due(void)
{
	return fn_text(
	    A, "SELECT string_agg(j.job_id, ',' ORDER BY w.due_at, w.prio) FROM norn.job_work w "
	       "JOIN norn.job j USING (job_no) WHERE w.due_at <= now()");
}

static void check_sums(void)
{
	ck_assert_int_eq(
	    fn_int(A,
		   "SELECT bool_and(cores_used <= cores AND cores_used + cores_free = cores "
		   "AND cores_used = (SELECT COALESCE(sum(cores), 0) FROM norn.reservation))::int "
		   "FROM norn.resource_view"),
	    1);
}

/* ---- capacity ---- */

START_TEST(eight_reservers_at_once_never_take_more_than_there_is)
{
	enum { JOBS = 64 };
	int64_t granted;

	for (int i = 0; i < JOBS; i++) {
		char id[16];
		snprintf(id, sizeof(id), "j%d", i);
		job(id, 1 + i % 3, 0);
	}
	for (int round = 0; round < 5; round++) {
		for (int s = 0; s < N_SESSIONS; s++)
			fn_send(fn_session[s],
				"SELECT count(*) FILTER (WHERE r.result = 'granted') FROM "
				"(SELECT job_id FROM norn.party_job WHERE party_job_no %% %d = %d "
				"ORDER BY random()) p, "
				"LATERAL norn.party_reserve(p.job_id, 'guest', '9999', 60000) r",
				N_SESSIONS, s);
		for (int s = 0; s < N_SESSIONS; s++)
			ck_assert_str_eq(fn_done(fn_session[s], NULL), "");
		granted = fn_int(A, "SELECT sum(cores) FROM norn.reservation");
		ck_assert_int_le(granted, 8);
		ck_assert_int_ge(granted, 6); /* what is left fits no job of 3 at most */
		check_sums();
		/* some end, some only give back, at the same time as others ask */
		fn_do(A, "SELECT norn.party_release(p.job_id, 'guest', '9999', random() < 0.5) "
			 "FROM norn.reservation JOIN norn.party_job p USING (party_job_no) WHERE "
			 "random() < 0.6");
		check_sums();
	}
}
END_TEST

START_TEST(more_than_there_is_is_never_granted)
{
	int64_t one = job("big", 9, 0);
	int64_t two = fn_submit(A, &(struct fn_job){.id = "two", .n_parties = 2, .cores = 5});
	int64_t remote =
	    fn_submit(A, &(struct fn_job){.id = "far", .n_parties = 2, .n_remote = 1, .cores = 5});

	fn_reserve(A, one);
	ck_assert_str_eq(state(one), "never");
	/* both parties are at this site: together they never fit */
	fn_reserve(A, two);
	ck_assert_str_eq(state(two), "never,never");
	fn_do(A, "UPDATE norn.job SET status = 'waiting' WHERE job_no = %lld", (long long)remote);
	fn_reserve(A, remote);
	ck_assert_str_eq(state(remote), "granted,asked");
	check_sums();
}
END_TEST

START_TEST(all_parties_of_a_site_or_none)
{
	int64_t first = job("first", 5, 0);
	int64_t pair = fn_submit(A, &(struct fn_job){.id = "pair", .n_parties = 2, .cores = 2});

	fn_reserve(A, first);
	fn_reserve(A, pair);
	/* one of them would fit beside the first */
	ck_assert_str_eq(state(pair), "none,none");
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.reservation"), 1);
	fn_do(A, "SELECT norn.party_release('first', 'guest', '9999', true)");
	fn_reserve(A, pair);
	ck_assert_str_eq(state(pair), "granted,granted");
	check_sums();
}
END_TEST

START_TEST(other_sites_are_asked_only_when_this_one_has_granted)
{
	int64_t first = job("first", 8, 0);
	int64_t far =
	    fn_submit(A, &(struct fn_job){.id = "far", .n_parties = 2, .n_remote = 1, .cores = 2});

	fn_do(A, "UPDATE norn.job SET status = 'waiting' WHERE job_no = %lld", (long long)far);
	fn_do(A, "DELETE FROM norn.outbox");
	fn_reserve(A, first);
	fn_reserve(A, far);
	ck_assert_str_eq(state(far), "none,none");
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.outbox"), 0);
	fn_do(A, "SELECT norn.party_release('first', 'guest', '9999', true)");
	fn_reserve(A, far);
	ck_assert_str_eq(state(far), "granted,asked");
	ck_assert_str_eq(fn_text(A, "SELECT command FROM norn.outbox"), "job_reserve");
	/* the grant here outlives the question there */
	ck_assert_int_eq(fn_int(A, "SELECT (r.expires_at > o.give_up_at + interval '30 s')::int "
				   "FROM norn.reservation r, norn.outbox o"),
			 1);
}
END_TEST

START_TEST(a_job_without_needs_takes_nothing)
{
	int64_t no = job("none", 0, 0);

	fn_reserve(A, job("all", 8, 0));
	fn_reserve(A, no);
	ck_assert_str_eq(state(no), "granted");
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.reservation"), 1);
	fn_start_job(A, no);
}
END_TEST

/* ---- waking ---- */

START_TEST(a_release_wakes_what_fits_in_the_order_of_the_queue)
{
	static const struct {
		const char *id;
		int cores;
	} waiting[] = {{"a6", 6}, {"b2", 2}, {"c4", 4}, {"d1", 1}, {"e1", 1}, {"f1", 1}};

	fn_reserve(A, job("all", 4, 0));
	fn_reserve(A, job("rest", 4, 0));
	for (int i = 0; i < (int)ARRAY_LEN(waiting); i++)
		fn_reserve(A, job(waiting[i].id, waiting[i].cores, 60000 - i * 1000));
	fn_do(A, "UPDATE norn.job_work SET due_at = now() + interval '1 hour'");
	ck_assert_int_eq(wake(A), 0);
	fn_do(A, "SELECT norn.party_release('all', 'guest', '9999', true)");
	/* of 4 cores: not 6, then 2, not 4 any more, then twice 1 */
	ck_assert_int_eq(wake(A), 3);
	ck_assert_str_eq(due(), "b2,d1,e1");
	ck_assert_int_eq(wake(A), 0);
}
END_TEST

START_TEST(a_large_job_is_not_overtaken_for_ever)
{
	int64_t large, young;

	fn_reserve(A, job("run1", 4, 0));
	fn_reserve(A, job("run2", 4, 0));
	large = job("large", 8, 11 * 60000);
	fn_reserve(A, large);
	fn_do(A, "SELECT norn.party_release('run1', 'guest', '9999', true)");
	/* there is room for it, but the large one has waited ten minutes longer */
	young = job("young", 1, 0);
	fn_reserve(A, young);
	ck_assert_str_eq(state(young), "none");
	ck_assert_int_eq(
	    fn_int(A,
		   "SELECT strpos(detail, 'large has waited longer') > 0 FROM norn.job_party "
		   "WHERE job_no = %lld",
		   (long long)young),
	    1);
	fn_do(A, "UPDATE norn.job_work SET due_at = now() + interval '1 hour'");
	ck_assert_int_eq(wake(A), 0);
	/* one that is nearly as old goes ahead */
	fn_reserve(A, job("old", 1, 5 * 60000));
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.reservation"), 2);
	fn_do(A, "UPDATE norn.job_work SET due_at = now() + interval '1 hour'");
	fn_do(A, "SELECT norn.party_release('old', 'guest', '9999', true)");
	fn_do(A, "SELECT norn.party_release('run2', 'guest', '9999', true)");
	ck_assert_int_eq(wake(A), 1);
	ck_assert_str_eq(due(), "large");
	fn_reserve(A, large);
	ck_assert_str_eq(state(large), "granted");
}
END_TEST

START_TEST(who_was_held_back_is_woken_when_the_large_one_starts_or_goes)
{
	int64_t large;

	fn_reserve(A, job("run1", 4, 0));
	large = job("large", 6, 11 * 60000);
	fn_reserve(A, large);
	fn_reserve(A, job("young", 1, 0));
	fn_do(A, "SELECT norn.party_release('run1', 'guest', '9999', true)");
	fn_do(A, "DELETE FROM norn.resource_freed");
	fn_do(A, "UPDATE norn.job_work SET due_at = now() + interval '1 hour'");
	fn_reserve(A, large);
	ck_assert_str_eq(state(large), "granted");
	fn_start_job(A, large);
	ck_assert_int_eq(wake(A), 1);
	ck_assert_str_eq(due(), "young");

	fn_close();
	fn_open();
	large = job("large", 8, 11 * 60000);
	fn_reserve(A, job("run1", 1, 11 * 60000));
	fn_reserve(A, large);
	fn_reserve(A, job("young", 1, 0));
	fn_do(A, "UPDATE norn.job_work SET due_at = now() + interval '1 hour'");
	ck_assert_int_eq(wake(A), 0);
	fn_end_job(A, large, "canceled");
	ck_assert_int_eq(wake(A), 1);
	ck_assert_str_eq(due(), "young");
}
END_TEST

START_TEST(who_was_held_back_is_woken_when_the_large_one_is_suspended)
{
	struct fn_cycle c;

	fn_reserve(A, job("run1", 4, 0));
	fn_reserve(A, job("large", 6, 11 * 60000));
	fn_reserve(A, job("young", 1, 0));
	fn_do(A, "DELETE FROM norn.resource_freed");
	fn_do(A, "UPDATE norn.job_work SET due_at = now() + interval '1 hour'");
	fn_do(A, "SELECT norn.job_suspend('large', true, 'me')");
	ck_assert_int_eq(fn_claim(A, 8, 60000, &c), 1);
	fn_load(A, &c);
	fn_do(A, "BEGIN");
	ck_assert(fn_guard(A, &c, NULL));
	ck_assert(!fn_leave(A, &c, -1, false));
	fn_do(A, "COMMIT");
	ck_assert_int_eq(wake(A), 1);
	ck_assert_str_eq(due(), "young");
}
END_TEST

START_TEST(word_of_a_release_elsewhere_counts_while_the_refusal_is_planned)
{
	const char *const who[] = {"far"};
	struct fn_cycle c;
	int64_t no =
	    fn_submit(A, &(struct fn_job){.id = "far", .cores = 1, .n_parties = 2, .n_remote = 1});

	fn_do(A, "UPDATE norn.job SET status = 'waiting'");
	ck_assert_int_eq(fn_claim(A, 1, 60000, &c), 1);
	fn_load(A, &c);
	PQclear(fn_stmt(B, Q_SCHED_WAKE, 1, who));
	fn_do(A, "BEGIN");
	ck_assert(fn_guard(A, &c, NULL));
	ck_assert(fn_leave(A, &c, -1, true));
	fn_do(A, "COMMIT");
	ck_assert_str_eq(due(), "far");
	ck_assert_int_eq(c.job_no, no);
}
END_TEST

/* A release wakes one job, which asks at another site first: the next in the queue is not
 * forgotten. */
START_TEST(who_asks_elsewhere_first_leaves_what_was_released_to_the_next)
{
	int64_t far;

	fn_reserve(A, job("all", 8, 0));
	far = fn_submit(
	    A, &(struct fn_job){
		   .id = "far", .cores = 8, .n_parties = 2, .n_remote = 1, .age_ms = 5000});
	fn_do(A, "UPDATE norn.job SET status = 'waiting' WHERE job_no = %lld", (long long)far);
	fn_reserve(A, far);
	fn_reserve(A, job("near", 8, 0));
	fn_do(A, "UPDATE norn.job_work SET due_at = now() + interval '1 hour'");
	fn_do(A, "SELECT norn.party_release('all', 'guest', '9999', true)");
	ck_assert_int_eq(wake(A), 1);
	ck_assert_str_eq(due(), "far");
	fn_ask(A, far, 1);
	ck_assert_int_eq(wake(A), 1);
	ck_assert_str_eq(due(), "near");
	/* and while the question is open, it is passed over */
	ck_assert_int_eq(
	    fn_int(A, "SELECT count(*) FROM norn.job_work WHERE blocked AND job_no = %lld",
		   (long long)far),
	    0);
}
END_TEST

/* Refused, but not committed, while another releases: the wake-up must wait for it. */
START_TEST(a_refusal_under_way_is_woken_too)
{
	int64_t late, woken = -1;

	fn_reserve(A, job("all", 8, 0));
	late = job("late", 2, 0);
	fn_do(A, "UPDATE norn.job_work SET due_at = now() + interval '1 hour'");
	struct fn_cycle c = {.job_no = late};
	c.lease_no =
	    fn_int(A, "SELECT lease_no FROM norn.job_work WHERE job_no = %lld", (long long)late);
	fn_load(A, &c);
	fn_do(A, "BEGIN");
	ck_assert(fn_guard(A, &c, NULL));
	fn_do(A, "SELECT norn.sched_reserve(ARRAY[%lld]::bigint[], NULL, 60000)", (long long)late);
	fn_do(B, "SELECT norn.party_release('all', 'guest', '9999', true)");
	fn_send(C, "SELECT norn.resource_wake()");
	fn_waits(C);
	fn_leave(A, &c, -1, true);
	fn_do(A, "COMMIT");
	ck_assert_str_eq(fn_done(C, &woken), "");
	ck_assert_int_eq(woken, 1);
	ck_assert_str_eq(due(), "late");
}
END_TEST

START_TEST(a_wake_up_while_the_lease_is_held_is_not_lost)
{
	struct fn_cycle c;
	int64_t no;

	fn_reserve(A, job("all", 8, 0));
	no = job("late", 2, 0);
	fn_reserve(A, no);
	fn_do(A, "UPDATE norn.job_work SET due_at = now() + interval '1 hour' WHERE job_no <> %lld",
	      (long long)no);
	fn_do(A, "SELECT norn.job_poke(%lld)", (long long)no);
	ck_assert_int_eq(fn_claim(A, 5, 60000, &c), 1);
	fn_do(B, "SELECT norn.party_release('all', 'guest', '9999', true)");
	ck_assert_int_eq(wake(B), 1);
	ck_assert_int_eq(fn_claim(B, 5, 60000, &(struct fn_cycle){0}), 0);
	ck_assert(fn_leave(A, &c, -1, true));
}
END_TEST

START_TEST(a_release_under_way_is_seen_by_a_later_wake_up)
{
	fn_reserve(A, job("all", 8, 0));
	fn_reserve(A, job("late", 2, 0));
	fn_do(A, "UPDATE norn.job_work SET due_at = now() + interval '1 hour'");
	fn_do(A, "BEGIN");
	fn_do(A, "SELECT norn.party_release('all', 'guest', '9999', true)");
	ck_assert_int_eq(wake(B), 0);
	fn_do(A, "COMMIT");
	ck_assert_int_eq(wake(B), 1);
}
END_TEST

START_TEST(two_wake_ups_at_once)
{
	fn_reserve(A, job("all", 8, 0));
	fn_reserve(A, job("late", 2, 0));
	fn_do(A, "SELECT norn.party_release('all', 'guest', '9999', true)");
	fn_do(A, "BEGIN");
	ck_assert_int_eq(wake(A), 1);
	ck_assert_int_eq(wake(B), 0); /* passes by what the other has in hand */
	fn_do(A, "COMMIT");
}
END_TEST

START_TEST(what_is_given_back_unused_wakes_only_jobs_of_this_site)
{
	int64_t far = fn_submit(
	    A, &(struct fn_job){
		   .id = "far", .n_parties = 2, .n_remote = 1, .cores = 2, .age_ms = 1000});

	fn_do(A, "UPDATE norn.job SET status = 'waiting' WHERE job_no = %lld", (long long)far);
	fn_reserve(A, job("all", 8, 0));
	fn_reserve(A, far);
	fn_reserve(A, job("near", 2, 0));
	fn_do(A, "UPDATE norn.job_work SET due_at = now() + interval '1 hour'");
	fn_do(A, "SELECT norn.party_release('all', 'guest', '9999', false)");
	ck_assert_int_eq(wake(A), 1);
	ck_assert_str_eq(due(), "near");
	fn_do(A, "INSERT INTO norn.resource_freed (party_id, brief) VALUES ('9999', false)");
	ck_assert_int_eq(wake(A), 2);
	ck_assert_str_eq(due(), "far,near");
}
END_TEST

START_TEST(other_sites_are_told_of_a_release)
{
	fn_reserve(A, job("all", 8, 0));
	fn_do(A, "INSERT INTO norn.job_dag VALUES ('r', '{}')");
	fn_do(A, "INSERT INTO norn.party_job (job_id, role, party_id, status, initiator_party_id, "
		 "scheduler_party_id, "
		 "model_id, model_version, cores) VALUES ('r', 'host', '9999', 'waiting', '1', "
		 "'1', 'm', '0', 2)");
	ck_assert_str_eq(
	    fn_text(A, "SELECT result FROM norn.party_reserve('r', 'host', '9999', 1000)"),
	    "refused");
	ck_assert_str_eq(
	    fn_text(A, "SELECT result FROM norn.party_reserve('r', 'host', '9999', 1000)"),
	    "refused");
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.resource_waiter"), 1);
	fn_do(A, "SELECT norn.party_release('all', 'guest', '9999', true)");
	wake(A);
	ck_assert_str_eq(
	    fn_text(A, "SELECT command || ' ' || dest_party_id || ' ' || job_id FROM norn.outbox"),
	    "resource_wake 1 r");
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.resource_waiter"), 0);
}
END_TEST

/* A scheduler, as far as this test goes: each cycle claims in one transaction and writes in
 * another. */
static const char scheduler[] =
    "CREATE OR REPLACE PROCEDURE public.schedule(cycles integer) LANGUAGE plpgsql AS $$ "
    "DECLARE n bigint[]; l bigint[]; k bigint[]; s text[]; BEGIN "
    "FOR i IN 1 .. cycles LOOP "
    " PERFORM norn.resource_wake(); "
    " WITH c AS (SELECT job_no FROM norn.job_work WHERE due_at <= now() ORDER BY due_at LIMIT 4 "
    "  FOR UPDATE SKIP LOCKED), "
    " u AS (UPDATE norn.job_work w SET lease_no = nextval('norn.lease_seq'), "
    "  lease_until = now() + interval '1 minute', due_at = now() + interval '1 minute' "
    "  FROM c WHERE w.job_no = c.job_no RETURNING w.job_no, w.lease_no, w.poke) "
    " SELECT array_agg(job_no ORDER BY job_no), array_agg(lease_no ORDER BY job_no), "
    "  array_agg(poke ORDER BY job_no) INTO n, l, k FROM u; "
    " COMMIT; "
    " CONTINUE WHEN n IS NULL; "
    " SELECT array_agg(CASE WHEN j.status = 'running' THEN 'end' WHEN p.reserve_state = 'granted' "
    "THEN 'start' "
    "  ELSE 'reserve' END ORDER BY j.job_no) INTO "
    "s "
    "  FROM norn.job j JOIN norn.job_party p USING (job_no) WHERE j.job_no = ANY (n); "
    " UPDATE norn.job j SET version = version + 1, "
    "  status = CASE u.s WHEN 'end' THEN 'success' WHEN 'start' THEN 'running' ELSE j.status END, "
    "  start_at = CASE u.s WHEN 'start' THEN now() ELSE start_at END, "
    "  end_at = CASE u.s WHEN 'end' THEN now() END "
    "  FROM unnest(n, s) AS u(job_no, s) WHERE j.job_no = u.job_no; "
    " PERFORM norn.sched_reserve(array_agg(u.job_no), NULL, 60000) FROM unnest(n, s) AS u(job_no, "
    "s) "
    "  WHERE u.s = 'reserve'; "
    " PERFORM norn.sched_start_jobs(array_agg(u.job_no)) FROM unnest(n, s) AS u(job_no, s) WHERE "
    "u.s = 'start'; "
    " PERFORM norn.sched_end_jobs(array_agg(u.job_no)) FROM unnest(n, s) AS u(job_no, s) WHERE u.s "
    "= 'end'; "
    " PERFORM norn.sched_leave(n, l, k, (SELECT array_agg(CASE WHEN u.s = 'reserve' THEN "
    "  norn.ms(now() + interval '1 hour') ELSE 0 END) FROM unnest(s) AS u(s)), "
    "  (SELECT array_agg(u.s = 'reserve') FROM unnest(s) AS u(s))); "
    " COMMIT; "
    "END LOOP; END $$";

/* Schedulers that end, start and refuse jobs, and wake each other's: no deadlock, and no job
 * forgotten. */
START_TEST(many_schedulers_and_few_cores)
{
	enum { JOBS = 60 };
	int64_t left = JOBS;

	for (int i = 0; i < JOBS; i++) {
		char id[16];
		snprintf(id, sizeof(id), "j%d", i);
		job(id, 1 + i % 8, i * 100);
	}
	fn_do(A, "%s", scheduler);
	for (int s = 0; s < N_SESSIONS; s++)
		fn_do(fn_session[s], "SET deadlock_timeout = '50ms'");
	for (int round = 0; round < 50 && left > 0; round++) {
		for (int s = 0; s < N_SESSIONS; s++)
			fn_send(fn_session[s], "CALL public.schedule(20)");
		for (int s = 0; s < N_SESSIONS; s++)
			ck_assert_str_eq(fn_done(fn_session[s], NULL), "");
		check_sums();
		left = fn_int(A, "SELECT count(*) FROM norn.job WHERE status <> 'success'");
	}
	ck_assert_msg(
	    left == 0, "%lld jobs wait for ever: %s", (long long)left,
	    fn_text(A, "SELECT string_agg(concat_ws(' ', j.job_id, j.status, p.reserve_state, "
		       "w.blocked, w.due_at - now()), '; ') FROM norn.job j "
		       "JOIN norn.job_party p USING (job_no) JOIN norn.job_work w USING (job_no)"));
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.reservation"), 0);
	ck_assert_int_eq(fn_int(A, "SELECT count(*) FROM norn.job_work"), 0);
}
END_TEST

/* ---- what it costs when many wait ---- */

enum { WAITING = 3000 };

/* As the node's sessions are set, and with statistics from when nothing was there. */
static void many_wait(void)
{
	fn_do(A, "ANALYZE norn.job, norn.job_party, norn.job_work");
	fn_do(A, "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;"
		 "SET seq_page_cost = 0.01; SET random_page_cost = 0.01;"
		 "SET plan_cache_mode = force_generic_plan");
	fn_do(A,
	      "INSERT INTO norn.job (job_id, status, initiator_party_id, scheduler_party_id, "
	      "model_id, model_version, n_tasks) SELECT 'w' || i, 'waiting', '9999', '9999', 'm', "
	      "'0', 1 FROM generate_series(1, %d) i",
	      WAITING);
	fn_do(A, "INSERT INTO norn.job_party (job_no, party_no, role, party_id, local, cores, "
		 "create_state) SELECT job_no, 0, 'guest', '9999', true, 2, 'ok' FROM norn.job "
		 "WHERE job_id LIKE 'w%%'");
	fn_do(A, "INSERT INTO norn.job_work (job_no, prio, due_at, blocked, need_cores) SELECT "
		 "job_no, job_no, now() + interval '1 hour', true, 2 FROM norn.job WHERE job_id "
		 "LIKE 'w%%'");
}

/* Rows that the running transaction of A has read. */
static int64_t rows_read(void)
{
	return fn_int(A, "SELECT sum(seq_tup_read + COALESCE(idx_tup_fetch, 0)) FROM "
			 "pg_stat_xact_user_tables WHERE schemaname = 'norn'");
}

START_TEST(a_job_that_asks_does_not_read_those_that_wait)
{
	struct fn_cycle c;
	int64_t before;

	many_wait();
	job("asks", 1, 0);
	ck_assert_int_eq(fn_claim(B, 1, 60000, &c), 1);
	fn_load(B, &c);
	fn_do(A, "BEGIN");
	ck_assert(fn_guard(A, &c, NULL));
	before = rows_read();
	fn_do(A, "SELECT norn.sched_reserve(ARRAY[%lld], NULL, 60000)", (long long)c.job_no);
	ck_assert_int_lt(rows_read() - before, WAITING / 4);
	fn_do(A, "COMMIT");
	ck_assert_str_eq(state(c.job_no), "granted");
}
END_TEST

START_TEST(a_release_reads_only_whom_it_wakes)
{
	int64_t before;

	many_wait();
	fn_do(A, "BEGIN");
	fn_do(A, "INSERT INTO norn.resource_freed (party_id, brief) VALUES ('9999', false)");
	before = rows_read();
	ck_assert_int_eq(wake(A), 4); /* of 8 cores */
	ck_assert_int_lt(rows_read() - before, WAITING / 4);
	fn_do(A, "COMMIT");
	/* all need more memory than there is */
	fn_do(A, "UPDATE norn.engine SET memory_mb = 1000");
	fn_do(A, "UPDATE norn.job_work SET need_memory_mb = 2000");
	fn_do(A, "BEGIN");
	fn_do(A, "INSERT INTO norn.resource_freed (party_id, brief) VALUES ('9999', false)");
	before = rows_read();
	ck_assert_int_eq(wake(A), 0);
	ck_assert_int_lt(rows_read() - before, WAITING / 4);
	fn_do(A, "COMMIT");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("resources");
	TCase *tc = tcase_create("resources");

	tcase_add_unchecked_fixture(tc, fn_migrate, NULL);
	tcase_add_checked_fixture(tc, fn_open, fn_close);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, eight_reservers_at_once_never_take_more_than_there_is);
	tcase_add_test(tc, more_than_there_is_is_never_granted);
	tcase_add_test(tc, all_parties_of_a_site_or_none);
	tcase_add_test(tc, other_sites_are_asked_only_when_this_one_has_granted);
	tcase_add_test(tc, a_job_without_needs_takes_nothing);
	tcase_add_test(tc, a_release_wakes_what_fits_in_the_order_of_the_queue);
	tcase_add_test(tc, a_large_job_is_not_overtaken_for_ever);
	tcase_add_test(tc, who_was_held_back_is_woken_when_the_large_one_starts_or_goes);
	tcase_add_test(tc, who_was_held_back_is_woken_when_the_large_one_is_suspended);
	tcase_add_test(tc, word_of_a_release_elsewhere_counts_while_the_refusal_is_planned);
	tcase_add_test(tc, who_asks_elsewhere_first_leaves_what_was_released_to_the_next);
	tcase_add_test(tc, a_refusal_under_way_is_woken_too);
	tcase_add_test(tc, a_wake_up_while_the_lease_is_held_is_not_lost);
	tcase_add_test(tc, a_release_under_way_is_seen_by_a_later_wake_up);
	tcase_add_test(tc, two_wake_ups_at_once);
	tcase_add_test(tc, what_is_given_back_unused_wakes_only_jobs_of_this_site);
	tcase_add_test(tc, other_sites_are_told_of_a_release);
	tcase_add_test(tc, a_job_that_asks_does_not_read_those_that_wait);
	tcase_add_test(tc, a_release_reads_only_whom_it_wakes);
	suite_add_tcase(s, tc);
	tc = tcase_create("schedulers");
	tcase_add_unchecked_fixture(tc, fn_migrate, NULL);
	tcase_add_checked_fixture(tc, fn_open, fn_close);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, many_schedulers_and_few_cores);
	suite_add_tcase(s, tc);
	return fn_run(s);
}
