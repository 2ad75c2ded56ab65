/*
 * The statements of test_db and test_faults. They define db_stmt_name, db_stmt_sql and
 * db_stmt_count themselves, so the linker takes these in place of the generated ones in the
 * library.
 */
#ifndef NORN_TESTS_SQL_DBTABLE_H
#define NORN_TESTS_SQL_DBTABLE_H

#include "db/db.h"

enum {
	T_INSERT,     /* $1 id, $2 text: id unique */
	T_COUNT,      /* n */
	T_VALUES,     /* t text, i bigint, d double, b boolean, j jsonb, y bytea */
	T_TEXT_ARRAY, /* $1 text[]: rows (v, ord) */
	T_NUMBER_ARRAYS,
	T_JSON_ARRAY,   /* $1 bigint[], $2 double precision[]: sums and counts */
	T_DIVIDE,       /* 1 / $1 */
	T_ORDER_INSERT, /* $1 child of a parent that is checked at commit */
	T_UNKNOWN_COLUMN,
	T_LATER_TABLE, /* a table that tests create later */
	T_RAISE,       /* $1 SQLSTATE, $2 message */
	T_FLAKY,       /* $1: how often 40001 is raised first */
	T_LOCK,        /* $1 row: takes it and sleeps $2 seconds */
	T_SLEEP,       /* $1 seconds */
	T_PID,
	T_KILL, /* $1 backend */
	T_NOTIFY,
	T_SETTING, /* $1 name */
	T_BIG,     /* $1 rows, $2 bytes each */
	T_ECHO,    /* $1 text */
	T_NOTICE,
	T_SHAPE, /* select * of a table that tests alter */
	T_COPY,
};

/* Creates what they need in the test's database, empty. */
void dbtable_reset(void);
/* db_add of one of them */
void add(struct db_batch *b, int stmt);

/* What the last callback saw of the error and of statement 0. */
struct answer {
	int count; /* of callbacks */
	struct err err;
	char sqlstate[6];
	int rows;
	int64_t affected;
	int64_t n; /* take_n: column n of the only row */
};
void take(struct db_result *r, void *arg); /* arg: struct answer */
void take_n(struct db_result *r, void *arg);

#endif
