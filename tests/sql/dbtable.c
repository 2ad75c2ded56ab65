/* The statements of test_db and test_faults. */
#include "dbtable.h"
#include "dbtest.h"
#include <check.h>
#include <string.h>

static const struct {
	const char *name, *sql;
} table[] = {
    [T_INSERT] = {"t_insert", "INSERT INTO t (id, v) VALUES ($1, $2)"},
    [T_COUNT] = {"t_count", "SELECT count(*) AS n FROM t"},
    [T_VALUES] = {"t_values", "SELECT $1::text AS t, $2::bigint AS i, $3::double precision AS d,"
			      " $4::boolean AS b, $5::jsonb AS j, $6::bytea AS y"},
    [T_TEXT_ARRAY] = {"t_text_array",
		      "SELECT v, ord FROM unnest($1::text[]) WITH ORDINALITY AS u (v, ord)"
		      " ORDER BY ord"},
    [T_NUMBER_ARRAYS] =
	{"t_number_arrays",
	 "SELECT (SELECT sum(x)::bigint FROM unnest($1::bigint[]) x) AS i,"
	 " (SELECT sum(x) FROM unnest($2::double precision[]) x) AS d, cardinality($1) AS n"},
    [T_JSON_ARRAY] = {"t_json_array",
		      "SELECT v, ord FROM unnest($1::json[]) WITH ORDINALITY AS u (v, ord)"
		      " ORDER BY ord"},
    [T_DIVIDE] = {"t_divide", "SELECT 1 / $1::integer AS n"},
    [T_ORDER_INSERT] = {"t_order_insert", "INSERT INTO child (parent) VALUES ($1)"},
    [T_UNKNOWN_COLUMN] = {"t_unknown_column", "SELECT no_such_column FROM t"},
    [T_LATER_TABLE] = {"t_later_table", "SELECT count(*) AS n FROM later"},
    [T_RAISE] = {"t_raise", "SELECT raise_error($1, $2)"},
    [T_FLAKY] = {"t_flaky", "SELECT flaky($1) AS n"},
    [T_LOCK] = {"t_lock", "UPDATE locks SET n = n + 1 WHERE id = $1 RETURNING pg_sleep($2), n"},
    [T_SLEEP] = {"t_sleep", "SELECT pg_sleep($1)"},
    [T_PID] = {"t_pid", "SELECT pg_backend_pid() AS n"},
    [T_KILL] = {"t_kill", "SELECT pg_terminate_backend($1::integer) AS killed"},
    [T_NOTIFY] = {"t_notify", "SELECT pg_notify($1, $2)"},
    [T_SETTING] = {"t_setting", "SELECT current_setting($1) AS v"},
    [T_BIG] = {"t_big",
	       "SELECT i, repeat('x', $2::integer) AS v FROM generate_series(1, $1::integer) i"},
    [T_ECHO] = {"t_echo", "SELECT $1::text AS v, length($1::text)::bigint AS n"},
    [T_NOTICE] = {"t_notice", "SELECT notice($1)"},
    [T_SHAPE] = {"t_shape", "SELECT * FROM shape"},
    [T_COPY] = {"t_copy", "COPY t TO STDOUT"},
};

const char *db_stmt_name(enum db_stmt s)
{
	return table[s].name;
}

const char *db_stmt_sql(enum db_stmt s)
{
	return table[s].sql;
}

int db_stmt_count(void)
{
	return (int)ARRAY_LEN(table);
}

void dbtable_reset(void)
{
	test_sql(
	    "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
	    "CREATE TABLE t (id bigint PRIMARY KEY, v text);"
	    "CREATE TABLE parent (id bigint PRIMARY KEY);"
	    "CREATE TABLE child (parent bigint REFERENCES parent DEFERRABLE INITIALLY DEFERRED);"
	    "CREATE TABLE locks (id bigint PRIMARY KEY, n bigint NOT NULL DEFAULT 0);"
	    "INSERT INTO locks (id) VALUES (1), (2);"
	    "CREATE TABLE shape (a integer); INSERT INTO shape VALUES (7);"
	    "CREATE SEQUENCE tries;"
	    "CREATE FUNCTION raise_error(state text, message text) RETURNS void LANGUAGE plpgsql "
	    "AS $$"
	    " BEGIN RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message; END $$;"
	    /* a sequence counts on when the transaction is rolled back */
	    "CREATE FUNCTION flaky(n bigint) RETURNS bigint LANGUAGE plpgsql AS $$"
	    " DECLARE i bigint := nextval('tries'); BEGIN IF i <= n THEN"
	    " RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'again'; END IF; RETURN i; END $$;"
	    "CREATE FUNCTION notice(message text) RETURNS void LANGUAGE plpgsql AS $$"
	    " BEGIN RAISE NOTICE '%', message; END $$;");
}

void add(struct db_batch *b, int stmt)
{
	db_add(b, (enum db_stmt)stmt);
}

void take(struct db_result *r, void *arg)
{
	struct answer *a = arg;
	const struct err *e = db_error(r);

	a->count++;
	memset(&a->err, 0, sizeof(a->err));
	if (e)
		a->err = *e;
	ck_assert_uint_lt(strlen(db_sqlstate(r)), sizeof(a->sqlstate));
	strcpy(a->sqlstate, db_sqlstate(r));
	a->rows = db_rows(r, 0);
	a->affected = db_affected(r, 0);
}

void take_n(struct db_result *r, void *arg)
{
	struct answer *a = arg;

	take(r, arg);
	if (a->rows == 1)
		a->n = db_get_int(r, 0, 0, "n");
}
