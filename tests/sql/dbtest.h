/* What the database tests share: a loop, a connection string, waiting, and statements of their own.
 */
#ifndef NORN_TESTS_SQL_DBTEST_H
#define NORN_TESTS_SQL_DBTEST_H

#include "db/db.h"
#include <libpq-fe.h>

/* From NORN_TEST_CONNINFO; the program ends when it is not set (run it through tests/sql/run.sh).
 */
const char *test_conninfo(void);
/* "pgcluster.sh COMMAND DIR" in the background when wait is false; fails the test when it fails. */
void test_cluster(const char *command, bool wait);
/* Several statements on a connection of their own, blocking; fails the test on error. */
void test_sql(const char *sql);
/* The first column of the first row, as an integer. */
int64_t test_sql_int(const char *sql);

extern struct event_base *test_base;
void test_loop_open(void);
void test_loop_close(void);
#define TEST_PATIENCE_MS                                                                           \
	50000 /* for anything that is expected to happen: on a busy machine late is not wrong */
/* Runs the loop until *counter reaches n; fails the test after that time. */
void test_until(const int *counter, int n);
/* Runs the loop for a while. */
void test_run_for(int ms);

#endif
