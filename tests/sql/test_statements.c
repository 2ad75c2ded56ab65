/* Every statement of sql/queries must be accepted by a database that has all of sql/migrations. */
#include "dbtest.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static PGconn *pg;

static void open_migrated(void)
{
	struct err e;
	int applied;

	ck_assert_msg(db_migrate(test_conninfo(), &applied, &e), "%s", e.msg);
	ck_assert_msg(db_check_schema(test_conninfo(), &e), "%s", e.msg);
	pg = PQconnectdb(test_conninfo());
	ck_assert_int_eq(PQstatus(pg), CONNECTION_OK);
	PQclear(PQexec(pg, "SET search_path = norn, public"));
}

static void close_migrated(void)
{
	PQfinish(pg);
}

START_TEST(statement_prepares)
{
	enum db_stmt s = (enum db_stmt)_i;
	PGresult *res = PQprepare(pg, db_stmt_name(s), db_stmt_sql(s), 0, NULL);

	ck_assert_msg(PQresultStatus(res) == PGRES_COMMAND_OK, "statement %s: %s", db_stmt_name(s),
		      PQresultErrorMessage(res));
	PQclear(res);
}
END_TEST

START_TEST(names_fit_and_differ)
{
	/* an identifier of PostgreSQL has at most 63 bytes; longer names would be cut and might
	 * collide */
	for (int i = 0; i < Q_COUNT; i++) {
		ck_assert_uint_le(strlen(db_stmt_name((enum db_stmt)i)), 63);
		for (int k = 0; k < i; k++)
			ck_assert_str_ne(db_stmt_name((enum db_stmt)i),
					 db_stmt_name((enum db_stmt)k));
	}
	ck_assert_int_eq(db_stmt_count(), Q_COUNT);
	ck_assert_str_eq(db_stmt_name(Q_DB_PING), "db_ping");
}
END_TEST

START_TEST(migrating_twice_does_nothing)
{
	struct err e;
	int applied = -1;

	ck_assert_msg(db_migrate(test_conninfo(), &applied, &e), "%s", e.msg);
	ck_assert_int_eq(applied, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("statements");
	TCase *tc = tcase_create("prepare");
	SRunner *r;
	int failed;

	tcase_add_unchecked_fixture(tc, open_migrated, close_migrated);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, statement_prepares, 0, Q_COUNT);
	tcase_add_test(tc, names_fit_and_differ);
	tcase_add_test(tc, migrating_twice_does_nothing);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	/* one session for all, which forked children must not share */
	srunner_set_fork_status(r, CK_NOFORK);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
