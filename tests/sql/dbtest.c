/* What the database tests share. */
#include "dbtest.h"
#include "base/clock.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct event_base *test_base;

const char *test_conninfo(void)
{
	const char *s = getenv("NORN_TEST_CONNINFO");

	if (!s) {
		fprintf(stderr,
			"NORN_TEST_CONNINFO is not set: start this through tests/sql/run.sh\n");
		exit(99);
	}
	return s;
}

void test_cluster(const char *command, bool wait)
{
	char line[1024];
	const char *script = getenv("NORN_TEST_PGCLUSTER"), *dir = getenv("NORN_TEST_CLUSTER");

	ck_assert_ptr_nonnull(script);
	ck_assert_ptr_nonnull(dir);
	snprintf(line, sizeof(line), "'%s' %s '%s'%s", script, command, dir, wait ? "" : " &");
	ck_assert_int_eq(system(line), 0);
}

static PGresult *execute(const char *sql)
{
	PGconn *pg = PQconnectdb(test_conninfo());

	ck_assert_msg(PQstatus(pg) == CONNECTION_OK, "%s", PQerrorMessage(pg));
	PQclear(PQexec(pg, "SET client_min_messages = error"));
	PGresult *res = PQexec(pg, sql);

	ck_assert_msg(PQresultStatus(res) == PGRES_COMMAND_OK ||
			  PQresultStatus(res) == PGRES_TUPLES_OK,
		      "%s: %s", sql, PQresultErrorMessage(res));
	PQfinish(pg);
	return res;
}

void test_sql(const char *sql)
{
	PQclear(execute(sql));
}

int64_t test_sql_int(const char *sql)
{
	PGresult *res = execute(sql);
	int64_t n;

	ck_assert_int_eq(PQntuples(res), 1);
	n = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	PQclear(res);
	return n;
}

void test_loop_open(void)
{
	test_base = event_base_new();
	ck_assert_ptr_nonnull(test_base);
}

void test_loop_close(void)
{
	event_base_free(test_base);
	test_base = NULL;
}

static void run_once(int64_t ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	event_base_loopexit(test_base, &tv);
	event_base_loop(test_base, EVLOOP_ONCE);
}

void test_until(const int *counter, int n)
{
	int64_t end = clock_mono_ms() + TEST_PATIENCE_MS;

	while (*counter < n) {
		int64_t left = end - clock_mono_ms();

		ck_assert_msg(left > 0, "only %d of %d answers in %d ms", *counter, n,
			      TEST_PATIENCE_MS);
		run_once(left < 20 ? left : 20);
	}
}

void test_run_for(int ms)
{
	int64_t end = clock_mono_ms() + ms;

	while (clock_mono_ms() < end)
		run_once(10);
}
