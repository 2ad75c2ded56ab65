/* Migrations: order, checksums, failures, and several programs at once. */
#include "dbtest.h"
#include "db/migrate.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST                                                                                      \
	{                                                                                          \
		1, "0001_first.sql", "CREATE TABLE a (id integer); INSERT INTO a VALUES (1);"      \
	}
#define SECOND                                                                                     \
	{                                                                                          \
		2, "0002_second.sql", "ALTER TABLE a ADD COLUMN b text;"                           \
	}
#define THIRD                                                                                      \
	{                                                                                          \
		3, "0003_third.sql",                                                               \
		    "CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS $$ SELECT 3; $$;"         \
	}

static const struct db_migration list[] = {FIRST, SECOND, THIRD};
static struct err e;

static void fresh(void)
{
	test_sql("DROP SCHEMA IF EXISTS norn CASCADE");
	memset(&e, 0, sizeof(e));
}

START_TEST(applies_in_order_once)
{
	int applied = -1;

	ck_assert_msg(db_migrations_run(test_conninfo(), list, 2, true, &applied, &e), "%s", e.msg);
	ck_assert_int_eq(applied, 2);
	ck_assert_msg(db_migrations_run(test_conninfo(), list, 3, true, &applied, &e), "%s", e.msg);
	ck_assert_int_eq(applied, 1);
	ck_assert_msg(db_migrations_run(test_conninfo(), list, 3, true, &applied, &e), "%s", e.msg);
	ck_assert_int_eq(applied, 0);
	ck_assert_int_eq(test_sql_int("SELECT count(*) FROM norn.a WHERE b IS NULL"), 1);
	ck_assert_int_eq(test_sql_int("SELECT norn.f()"), 3);
	ck_assert_int_eq(test_sql_int("SELECT count(*) FROM norn.schema_migration"
				      " WHERE length(checksum) = 64 AND name = '0003_third.sql'"),
			 1);
	/* the digest is that of the text, computed here by the server */
	ck_assert_int_eq(
	    test_sql_int(
		"SELECT count(*) FROM norn.schema_migration WHERE number = 2 AND checksum ="
		" encode(sha256('ALTER TABLE a ADD COLUMN b text;'), 'hex')"),
	    1);
}
END_TEST

START_TEST(changed_file_is_named)
{
	struct db_migration changed[] = {
	    FIRST, {2, "0002_second.sql", "ALTER TABLE a ADD COLUMN c text;"}, THIRD};
	int applied = -1;

	ck_assert(db_migrations_run(test_conninfo(), list, 2, true, NULL, &e));
	ck_assert(!db_migrations_run(test_conninfo(), changed, 3, true, &applied, &e));
	ck_assert_int_eq(e.code, ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(e.msg, "0002_second.sql"));
	ck_assert_int_eq(applied, 0);
	ck_assert(!db_migrations_run(test_conninfo(), changed, 2, false, NULL, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "0002_second.sql"));
	/* nothing of the third was run */
	ck_assert_int_eq(test_sql_int("SELECT count(*) FROM norn.schema_migration"), 2);
}
END_TEST

START_TEST(failing_file_leaves_nothing)
{
	struct db_migration bad[] = {FIRST,
				     {2, "0002_bad.sql",
				      "-- \xc3\xa4\xc3\xb6\xc3\xbc \xe2\x82\xac\nCREATE TABLE b "
				      "(id integer);\nSELECT nothing_here;\n"}};
	int applied = -1;

	ck_assert(!db_migrations_run(test_conninfo(), bad, 2, true, &applied, &e));
	ck_assert_int_eq(e.code, ERR_DB);
	ck_assert_msg(strstr(e.msg, "0002_bad.sql, line 3") && strstr(e.msg, "nothing_here"), "%s",
		      e.msg);
	ck_assert_int_eq(applied, 1);
	ck_assert_int_eq(test_sql_int("SELECT count(*) FROM pg_class WHERE relname = 'b'"), 0);
	/* corrected, it goes on from there */
	ck_assert_msg(db_migrations_run(test_conninfo(), list, 3, true, &applied, &e), "%s", e.msg);
	ck_assert_int_eq(applied, 2);
}
END_TEST

START_TEST(file_must_not_end_its_transaction)
{
	struct db_migration bad[] = {
	    {1, "0001_commits.sql", "CREATE TABLE a (id integer); COMMIT;"}};

	ck_assert(!db_migrations_run(test_conninfo(), bad, 1, true, NULL, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "0001_commits.sql"));
	ck_assert_int_eq(test_sql_int("SELECT count(*) FROM norn.schema_migration"), 0);
}
END_TEST

START_TEST(check_wants_this_version_or_one_newer)
{
	ck_assert(!db_migrations_run(test_conninfo(), list, 3, false, NULL, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "migrate"));
	ck_assert(db_migrations_run(test_conninfo(), list, 2, true, NULL, &e));
	ck_assert(!db_migrations_run(test_conninfo(), list, 3, false, NULL, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "is at migration 2"));
	ck_assert_msg(db_migrations_run(test_conninfo(), list, 2, false, NULL, &e), "%s", e.msg);
	ck_assert_msg(db_migrations_run(test_conninfo(), list, 1, false, NULL, &e), "%s", e.msg);
	ck_assert_msg(db_migrations_run(test_conninfo(), list, 1, true, NULL, &e), "%s", e.msg);
	ck_assert(!db_migrations_run(test_conninfo(), list, 0, false, NULL, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "newer program"));
	ck_assert(!db_migrations_run(test_conninfo(), list, 0, true, NULL, &e));
}
END_TEST

START_TEST(hole_is_an_error)
{
	ck_assert(db_migrations_run(test_conninfo(), list, 3, true, NULL, &e));
	test_sql("DELETE FROM norn.schema_migration WHERE number = 2");
	ck_assert(!db_migrations_run(test_conninfo(), list, 3, true, NULL, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "migration 2 was never applied"));
}
END_TEST

START_TEST(several_at_once)
{
	int total = 0;
	pid_t pids[6];

	for (int i = 0; i < 6; i++) {
		pids[i] = fork();
		ck_assert_int_ge(pids[i], 0);
		if (pids[i] == 0) {
			int n = 0;

			_exit(db_migrations_run(test_conninfo(), list, 3, true, &n, &e) ? n : 100);
		}
	}
	for (int i = 0; i < 6; i++) {
		int status;

		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert(WIFEXITED(status));
		ck_assert_int_lt(WEXITSTATUS(status), 100);
		total += WEXITSTATUS(status);
	}
	ck_assert_int_eq(total, 3);
}
END_TEST

START_TEST(unreachable_server)
{
	ck_assert(
	    !db_migrations_run("host=/nonexistent-socket-dir dbname=x", list, 3, true, NULL, &e));
	ck_assert_int_eq(e.code, ERR_DB_UNAVAILABLE);
	ck_assert(
	    !db_migrations_run("host=localhost password=geheim oops", list, 3, true, NULL, &e));
	ck_assert_int_eq(e.code, ERR_CONFIG);
	ck_assert_ptr_null(strstr(e.msg, "geheim"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("migrate");
	TCase *tc = tcase_create("migrate");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(tc, fresh, NULL);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, applies_in_order_once);
	tcase_add_test(tc, changed_file_is_named);
	tcase_add_test(tc, failing_file_leaves_nothing);
	tcase_add_test(tc, file_must_not_end_its_transaction);
	tcase_add_test(tc, check_wants_this_version_or_one_newer);
	tcase_add_test(tc, hole_is_an_error);
	tcase_add_test(tc, several_at_once);
	tcase_add_test(tc, unreachable_server);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
