/* What happens to batches and listeners when connections break, servers restart, or nothing
 * answers. */
#include "dbtable.h"
#include "dbtest.h"
#include "base/clock.h"
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct db *db;
static struct err e;

static void open_db_with(struct db_opts opts)
{
	if (!opts.conninfo)
		opts.conninfo = test_conninfo();
	db = db_open(test_base, &opts, &e);
	ck_assert_msg(db != NULL, "%s", e.msg);
}

static void setup(void)
{
	dbtable_reset();
	test_loop_open();
}

static void teardown(void)
{
	db_close(db);
	db = NULL;
	test_loop_close();
}

static void submit_sleep(double seconds, struct answer *a)
{
	struct db_batch *b = db_batch_new(db);

	add(b, T_SLEEP);
	db_double(b, seconds);
	db_submit(b, take, a);
}

static void submit_plain(int stmt, struct answer *a)
{
	struct db_batch *b = db_batch_new(db);

	add(b, stmt);
	db_submit(b, take_n, a);
}

static int64_t backend_pid(void)
{
	struct answer a = {0};

	submit_plain(T_PID, &a);
	test_until(&a.count, 1);
	ck_assert_msg(a.err.code == ERR_OK, "%s", a.err.msg);
	return a.n;
}

static void terminate(int64_t pid)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%lld)::int", (long long)pid);
	ck_assert_int_eq(test_sql_int(sql), 1);
}

START_TEST(killed_backend_loses_only_what_was_under_way)
{
	struct answer before = {0}, sleeping = {0}, behind = {0}, after = {0};
	int64_t pid;

	open_db_with((struct db_opts){.pool_size = 1});
	pid = backend_pid();
	submit_plain(T_COUNT, &before);
	submit_sleep(20, &sleeping);
	submit_plain(T_COUNT, &behind);
	test_run_for(200);
	terminate(pid);
	test_until(&sleeping.count, 1);
	test_until(&behind.count, 1);
	ck_assert_int_eq(sleeping.err.code, ERR_DB_LOST);
	ck_assert_int_eq(behind.err.code, ERR_DB_LOST);
	submit_plain(T_COUNT, &after);
	test_until(&after.count, 1);
	ck_assert_msg(after.err.code == ERR_OK, "%s", after.err.msg);
	ck_assert_int_ne(backend_pid(), pid);
	/* the server may hold back the answer of `before` until its buffer is flushed, but it is
	 * answered once */
	ck_assert_int_eq(before.count, 1);
	ck_assert_int_eq(sleeping.count, 1);
}
END_TEST

START_TEST(idle_connection_that_broke_harms_nobody)
{
	struct answer a = {0};

	open_db_with((struct db_opts){.pool_size = 1});
	terminate(backend_pid());
	test_run_for(300);
	submit_plain(T_COUNT, &a);
	test_until(&a.count, 1);
	ck_assert_msg(a.err.code == ERR_OK, "%s", a.err.msg);
}
END_TEST

/* Steady traffic: each answer submits the next insert. */
struct traffic {
	int64_t next_id;
	int64_t acknowledged; /* answered without error */
	int64_t lost, unavailable, other;
	int in_flight;
	bool stop;
	char acked[200000];
};

struct request {
	struct traffic *t;
	int64_t id;
};

static void next_insert(struct traffic *t);

static void inserted(struct db_result *r, void *arg)
{
	struct request *q = arg;
	struct traffic *t = q->t;
	const struct err *err = db_error(r);

	t->in_flight--;
	if (!err) {
		ck_assert_int_eq(t->acked[q->id], 0);
		t->acked[q->id] = 1;
		t->acknowledged++;
	} else if (err->code == ERR_DB_LOST) {
		t->lost++;
	} else if (err->code == ERR_DB_UNAVAILABLE) {
		t->unavailable++;
	} else {
		fprintf(stderr, "%s: %s\n", db_sqlstate(r), err->msg);
		t->other++;
	}
	free(q);
	next_insert(t);
}

static void next_insert(struct traffic *t)
{
	struct request *q;
	struct db_batch *b;

	if (t->stop || t->next_id >= (int64_t)sizeof(t->acked))
		return;
	q = malloc(sizeof(*q));
	*q = (struct request){.t = t, .id = t->next_id++};
	b = db_batch_new(db);
	add(b, T_INSERT);
	db_int(b, q->id);
	db_text(b, "traffic");
	t->in_flight++;
	db_submit(b, inserted, q);
}

static void traffic_through(const char *command)
{
	static struct traffic t;
	int64_t mark;

	open_db_with((struct db_opts){.pool_size = 3, .queue_timeout_ms = 20000});
	memset(&t, 0, sizeof(t));
	for (int i = 0; i < 40; i++)
		next_insert(&t);
	test_run_for(300);
	ck_assert_int_gt(t.acknowledged, 0);
	test_cluster(command, false);
	test_run_for(400);
	mark = t.acknowledged;
	for (int64_t end = clock_mono_ms() + TEST_PATIENCE_MS;
	     t.acknowledged < mark + 100 || t.lost == 0;) {
		ck_assert_msg(clock_mono_ms() < end, "no traffic after the restart, or no restart");
		test_run_for(20);
	}
	t.stop = true;
	for (int64_t end = clock_mono_ms() + TEST_PATIENCE_MS; t.in_flight > 0;) {
		ck_assert_int_lt(clock_mono_ms(), end);
		test_run_for(20);
	}
	/* nothing waited longer than the queue allows, and nothing failed for another reason */
	ck_assert_int_eq(t.unavailable, 0);
	ck_assert_int_eq(t.other, 0);
	ck_assert_int_eq(t.acknowledged + t.lost, t.next_id);
	/* what was acknowledged is there; what was lost may be there or not, but not twice */
	int64_t rows = test_sql_int("SELECT count(*) FROM t");

	ck_assert_int_ge(rows, t.acknowledged);
	ck_assert_int_le(rows, t.acknowledged + t.lost);
	for (int64_t id = 0; id < t.next_id; id += t.next_id / 50 + 1) {
		char sql[80];

		if (!t.acked[id])
			continue;
		snprintf(sql, sizeof(sql), "SELECT count(*) FROM t WHERE id = %lld", (long long)id);
		ck_assert_int_eq(test_sql_int(sql), 1);
	}
}

START_TEST(server_restarts_under_traffic)
{
	traffic_through("restart");
}
END_TEST

START_TEST(nobody_there)
{
	struct answer a = {0};
	int64_t start = clock_mono_ms();

	open_db_with((struct db_opts){.conninfo = "host=/nonexistent-socket-dir dbname=x",
				      .pool_size = 2,
				      .queue_timeout_ms = 400,
				      .max_queued = 3});
	for (int i = 0; i < 3; i++)
		submit_plain(T_COUNT, &a);
	test_until(&a.count, 1);
	ck_assert_int_ge(clock_mono_ms() - start, 400);
	test_until(&a.count, 3);
	ck_assert_int_eq(a.err.code, ERR_DB_UNAVAILABLE);
	ck_assert_msg(strstr(a.err.msg, "nonexistent-socket-dir"), "%s", a.err.msg);
	ck_assert(!db_is_up(db));
	ck_assert_ptr_nonnull(strstr(db_last_error(db), "nonexistent-socket-dir"));
}
END_TEST

START_TEST(full_queue_refuses_at_once)
{
	struct answer a[5] = {0};

	open_db_with((struct db_opts){.conninfo = "host=/nonexistent-socket-dir dbname=x",
				      .queue_timeout_ms = 5000,
				      .max_queued = 3});
	for (int i = 0; i < 5; i++)
		submit_plain(T_COUNT, &a[i]);
	ck_assert_int_eq(a[4].count, 0);
	test_until(&a[3].count, 1);
	test_until(&a[4].count, 1);
	ck_assert_int_eq(a[4].err.code, ERR_DB_UNAVAILABLE);
	ck_assert_int_eq(a[0].count, 0);
	for (int i = 0; i < 3; i++)
		test_until(&a[i].count, 1);
}
END_TEST

START_TEST(server_comes_back_within_the_queue_timeout)
{
	struct answer a = {0};

	test_cluster("stop", true);
	open_db_with((struct db_opts){.pool_size = 1, .queue_timeout_ms = 15000});
	submit_plain(T_COUNT, &a);
	test_run_for(600);
	ck_assert_int_eq(a.count, 0);
	test_cluster("start --fast", true);
	test_until(&a.count, 1);
	ck_assert_msg(a.err.code == ERR_OK, "%s", a.err.msg);
}
END_TEST

START_TEST(close_answers_everything)
{
	struct answer sent = {0}, waiting = {0};

	open_db_with((struct db_opts){.pool_size = 1});
	backend_pid();
	submit_sleep(20, &sent);
	test_run_for(100);
	for (int i = 0; i < 30; i++)
		submit_plain(T_COUNT, i < 29 ? &sent : &waiting);
	test_run_for(50);
	ck_assert_int_eq(sent.count, 0);
	db_close(db);
	db = NULL;
	ck_assert_int_eq(sent.count, 30);
	ck_assert_int_eq(waiting.count, 1);
	/* the last of 31 stood behind a full pipeline of 16 */
	ck_assert_int_eq(waiting.err.code, ERR_DB_UNAVAILABLE);
}
END_TEST

START_TEST(statement_timeout_of_the_server)
{
	struct answer a = {0};

	open_db_with((struct db_opts){.pool_size = 1, .statement_timeout_ms = 200});
	submit_sleep(10, &a);
	test_until(&a.count, 1);
	ck_assert_int_eq(a.err.code, ERR_DB);
	ck_assert_str_eq(a.sqlstate, "57014");
}
END_TEST

START_TEST(silent_server_is_given_up)
{
	struct answer a = {0};
	int64_t pid;

	open_db_with((struct db_opts){.pool_size = 1, .statement_timeout_ms = 200});
	pid = backend_pid();
	ck_assert_int_eq(kill((pid_t)pid, SIGSTOP), 0);
	submit_plain(T_COUNT, &a);
	test_until(&a.count, 1);
	kill((pid_t)pid, SIGCONT);
	ck_assert_int_eq(a.err.code, ERR_DB_LOST);
	ck_assert_ptr_nonnull(strstr(a.err.msg, "does not answer"));
	ck_assert_int_ne(backend_pid(), pid);
}
END_TEST

START_TEST(second_host_is_taken)
{
	char conninfo[512];
	struct answer a = {0};
	const char *real = strstr(test_conninfo(), "host='");
	int n;

	ck_assert_ptr_nonnull(real);
	n = snprintf(conninfo, sizeof(conninfo), "host='/nonexistent-socket-dir,%s",
		     real + strlen("host='"));
	ck_assert_int_lt(n, (int)sizeof(conninfo));
	open_db_with((struct db_opts){.conninfo = conninfo, .pool_size = 1});
	submit_plain(T_COUNT, &a);
	test_until(&a.count, 1);
	ck_assert_msg(a.err.code == ERR_OK, "%s", a.err.msg);
}
END_TEST

/* A host that accepts and then says nothing: a listening socket nobody serves. */
static int mute_host(char *dir, const char *port)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/.s.PGSQL.%s", dir, port);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	return fd;
}

START_TEST(mute_host_gives_way_to_the_next)
{
	char conninfo[512], path[64], dir[] = "/tmp/norn-mute-XXXXXX";
	struct answer a = {0};
	const char *real = strstr(test_conninfo(), "host='");
	int fd = mute_host(dir, "5432");

	ck_assert_ptr_nonnull(real);
	snprintf(conninfo, sizeof(conninfo), "connect_timeout=1 host='%s,%s", dir,
		 real + strlen("host='"));
	open_db_with((struct db_opts){.conninfo = conninfo, .pool_size = 1});
	submit_plain(T_COUNT, &a);
	test_until(&a.count, 1);
	ck_assert_msg(a.err.code == ERR_OK, "%s", a.err.msg);
	close(fd);
	snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", dir);
	unlink(path);
	rmdir(dir);
}
END_TEST

START_TEST(password_is_not_repeated)
{
	static const char *const bad[] = {"host=a password=geheim more",
					  "postgresql://u:geheim@h:port/x?y"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct db_opts opts = {.conninfo = bad[i]};

		ck_assert_ptr_null(db_open(test_base, &opts, &e));
		ck_assert_int_eq(e.code, ERR_CONFIG);
		ck_assert_ptr_null(strstr(e.msg, "geheim"));
	}
}
END_TEST

struct heard {
	int nulls, payloads, others;
	char last[64];
};

static void hear(const char *payload, void *arg)
{
	struct heard *h = arg;

	if (!payload) {
		h->nulls++;
		return;
	}
	h->payloads++;
	snprintf(h->last, sizeof(h->last), "%s", payload);
}

static void notify(const char *channel, const char *payload)
{
	struct db_batch *b = db_batch_new(db);

	add(b, T_NOTIFY);
	db_text(b, channel);
	db_text(b, payload);
	db_submit(b, NULL, NULL);
}

START_TEST(listening_goes_on_after_a_break)
{
	struct heard h = {0}, other = {0};
	int nulls;

	open_db_with((struct db_opts){.pool_size = 1});
	db_listen(db, "Some \"channel\"", hear, &h);
	test_until(&h.nulls, 1);
	notify("Some \"channel\"", "one");
	test_until(&h.payloads, 1);
	ck_assert_str_eq(h.last, "one");
	/* a second channel while connected */
	db_listen(db, "other", hear, &other);
	test_until(&other.nulls, 1);
	notify("other", "two");
	test_until(&other.payloads, 1);
	ck_assert_int_eq(h.payloads, 1);
	nulls = h.nulls;
	ck_assert_int_eq(
	    test_sql_int("SELECT pg_terminate_backend(pid)::int FROM pg_stat_activity"
			 " WHERE query LIKE 'LISTEN%' AND datname = current_database()"),
	    1);
	test_until(&h.nulls, nulls + 1);
	notify("Some \"channel\"", "three");
	notify("other", "four");
	test_until(&h.payloads, 2);
	test_until(&other.payloads, 2);
	ck_assert_str_eq(h.last, "three");
	ck_assert_str_eq(other.last, "four");
}
END_TEST

START_TEST(listening_goes_on_after_a_restart)
{
	struct heard h = {0};
	int nulls;

	open_db_with((struct db_opts){.pool_size = 1, .queue_timeout_ms = 15000});
	db_listen(db, "c", hear, &h);
	test_until(&h.nulls, 1);
	nulls = h.nulls;
	test_cluster("restart", true);
	test_until(&h.nulls, nulls + 1);
	notify("c", "x");
	test_until(&h.payloads, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("db faults");
	TCase *tc = tcase_create("faults");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, killed_backend_loses_only_what_was_under_way);
	tcase_add_test(tc, idle_connection_that_broke_harms_nobody);
	tcase_add_test(tc, server_restarts_under_traffic);
	tcase_add_test(tc, nobody_there);
	tcase_add_test(tc, full_queue_refuses_at_once);
	tcase_add_test(tc, server_comes_back_within_the_queue_timeout);
	tcase_add_test(tc, close_answers_everything);
	tcase_add_test(tc, statement_timeout_of_the_server);
	tcase_add_test(tc, silent_server_is_given_up);
	tcase_add_test(tc, second_host_is_taken);
	tcase_add_test(tc, mute_host_gives_way_to_the_next);
	tcase_add_test(tc, password_is_not_repeated);
	tcase_add_test(tc, listening_goes_on_after_a_break);
	tcase_add_test(tc, listening_goes_on_after_a_restart);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
