/* Batches against a running server: values, order, atomicity, errors. Faults are in test_faults.c.
 */
#include "dbtable.h"
#include "dbtest.h"
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct db *db;
static struct err e;

static void open_db(int pool_size)
{
	struct db_opts opts = {
	    .conninfo = test_conninfo(), .pool_size = pool_size, .application_name = "norn test"};

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
	test_loop_close();
}

static void submit_one(int stmt, const char *text, struct answer *a)
{
	struct db_batch *b = db_batch_new(db);

	add(b, stmt);
	if (text)
		db_text(b, text);
	db_submit(b, take, a);
}

static const char *const nasty[] = {"",
				    "NULL",
				    "null",
				    "{}",
				    "a,b",
				    "\"",
				    "\\",
				    "\\\"",
				    " x ",
				    "{a\\,",
				    "'; --",
				    "\t\r\n",
				    "\xc3\xa4\xe2\x82\xac",
				    "\xf0\x9f\x90\x98",
				    NULL,
				    "%s%n",
				    "$1",
				    "\\\\x"};

static void check_values(struct db_result *r, void *arg)
{
	int *done = arg;
	size_t len;
	const unsigned char *y;
	json_t *j;

	ck_assert_msg(!db_error(r), "%s", db_error(r) ? db_error(r)->msg : "");
	ck_assert_str_eq(db_sqlstate(r), "");
	ck_assert_int_eq(db_rows(r, 0), 1);
	ck_assert_str_eq(db_get(r, 0, 0, "t"), "a 'b' \\ \xc3\xa4");
	ck_assert(db_get_int(r, 0, 0, "i") == INT64_MIN);
	ck_assert_double_eq(db_get_double(r, 0, 0, "d"), 0.1);
	ck_assert(db_get_bool(r, 0, 0, "b"));
	j = db_get_json(r, 0, 0, "j");
	ck_assert_ptr_nonnull(j);
	ck_assert_str_eq(json_string_value(json_object_get(j, "k\"")), "v\\\n");
	json_decref(j);
	y = db_get_bytes(r, 0, 0, "y", &len);
	ck_assert_uint_eq(len, 256);
	for (size_t i = 0; i < len; i++)
		ck_assert_uint_eq(y[i], i);
	/* the second statement: every value null, the third: the other edge */
	for (const char *p = "tidbjy"; *p; p++) {
		char col[2] = {*p, '\0'};

		ck_assert(db_is_null(r, 1, 0, col));
		ck_assert(!db_is_null(r, 2, 0, col));
		ck_assert_str_eq(db_get(r, 1, 0, col), "");
	}
	ck_assert_ptr_null(db_get_json(r, 1, 0, "j"));
	ck_assert_ptr_null(db_get_bytes(r, 1, 0, "y", &len));
	ck_assert_int_eq(db_get_int(r, 1, 0, "i"), 0);
	ck_assert(!db_get_bool(r, 1, 0, "b"));
	ck_assert_str_eq(db_get(r, 2, 0, "t"), "");
	ck_assert(db_get_int(r, 2, 0, "i") == INT64_MAX);
	ck_assert(isinf(db_get_double(r, 2, 0, "d")) && db_get_double(r, 2, 0, "d") < 0);
	ck_assert_ptr_nonnull(db_get_bytes(r, 2, 0, "y", &len));
	ck_assert_uint_eq(len, 0);
	++*done;
}

START_TEST(values_come_back)
{
	unsigned char all[256];
	json_t *j = json_pack("{s:s}", "k\"", "v\\\n");
	int done = 0;
	struct db_batch *b;

	for (int i = 0; i < 256; i++)
		all[i] = (unsigned char)i;
	open_db(1);
	b = db_batch_new(db);
	add(b, T_VALUES);
	db_textn(b, "a 'b' \\ \xc3\xa4 and more", 10);
	db_int(b, INT64_MIN);
	db_double(b, 0.1);
	db_bool(b, true);
	db_json(b, j);
	db_bytes(b, all, sizeof(all));
	json_decref(j);
	memset(all, 0, sizeof(all)); /* binds copy */
	add(b, T_VALUES);
	db_text(b, NULL);
	db_null(b);
	db_null(b);
	db_null(b);
	db_json(b, NULL);
	db_null(b);
	add(b, T_VALUES);
	db_text(b, "");
	db_int(b, INT64_MAX);
	db_double(b, -(double)INFINITY);
	db_bool(b, false);
	j = json_array();
	db_json(b, j);
	json_decref(j);
	db_bytes(b, "", 0);
	ck_assert_uint_eq(db_batch_count(b), 3);
	db_submit(b, check_values, &done);
	ck_assert_int_eq(done, 0);
	test_until(&done, 1);
}
END_TEST

static void check_arrays(struct db_result *r, void *arg)
{
	int *done = arg;

	ck_assert_msg(!db_error(r), "%s", db_error(r) ? db_error(r)->msg : "");
	ck_assert_int_eq(db_rows(r, 0), (int)ARRAY_LEN(nasty));
	for (int i = 0; i < (int)ARRAY_LEN(nasty); i++) {
		ck_assert_int_eq(db_get_int(r, 0, i, "ord"), i + 1);
		ck_assert_int_eq(db_is_null(r, 0, i, "v"), nasty[i] == NULL);
		ck_assert_str_eq(db_get(r, 0, i, "v"), nasty[i] ? nasty[i] : "");
	}
	ck_assert_int_eq(db_rows(r, 1), 0);
	ck_assert_int_eq(db_get_int(r, 2, 0, "i"), -3);
	ck_assert_int_eq(db_get_int(r, 2, 0, "n"), 2);
	ck_assert_double_eq(db_get_double(r, 2, 0, "d"), 0.75);
	++*done;
}

START_TEST(arrays_of_nasty_strings)
{
	struct db_array a = {0};
	int done = 0;
	struct db_batch *b;

	open_db(1);
	b = db_batch_new(db);
	add(b, T_TEXT_ARRAY);
	for (size_t i = 0; i < ARRAY_LEN(nasty); i++)
		db_array_text(&a, nasty[i]);
	db_array(b, &a);
	add(b, T_TEXT_ARRAY);
	db_array(b, &a); /* emptied by the first use */
	add(b, T_NUMBER_ARRAYS);
	db_array_int(&a, 4);
	db_array_int(&a, -7);
	db_array(b, &a);
	db_array_double(&a, 0.5);
	db_array_double(&a, 0.25);
	db_array(b, &a);
	db_submit(b, check_arrays, &done);
	test_until(&done, 1);
}
END_TEST

#define N_JSON 300

static void check_json_arrays(struct db_result *r, void *arg)
{
	int *done = arg;

	ck_assert_msg(!db_error(r), "%s", db_error(r) ? db_error(r)->msg : "");
	ck_assert_int_eq(db_rows(r, 0), N_JSON);
	for (int i = 0; i < N_JSON; i++) {
		json_t *v = db_get_json(r, 0, i, "v");
		const char *text = nasty[(size_t)i % ARRAY_LEN(nasty)];
		ck_assert_int_eq(db_get_int(r, 0, i, "ord"), i + 1);
		ck_assert_int_eq(json_integer_value(json_array_get(v, 0)), i);
		if (text != NULL)
			ck_assert_str_eq(json_string_value(json_array_get(v, 1)), text);
		else
			ck_assert(json_is_null(json_array_get(v, 1)));
		json_decref(v);
	}
	ck_assert_int_eq(db_rows(r, 1), 0);
	ck_assert_int_eq(db_rows(r, 2), 1);
	ck_assert_str_eq(db_get(r, 2, 0, "v"), "{}");
	++*done;
}

START_TEST(arrays_of_json)
{
	struct db_array a = {0};
	int done = 0;
	struct db_batch *b;
	json_t *v;

	open_db(1);
	b = db_batch_new(db);
	add(b, T_JSON_ARRAY);
	for (int i = 0; i < N_JSON; i++) {
		v = json_pack("[i, s?]", i, nasty[(size_t)i % ARRAY_LEN(nasty)]);
		db_array_json(&a, v);
		json_decref(v);
	}
	db_array(b, &a);
	add(b, T_JSON_ARRAY);
	db_array(b, &a);
	add(b, T_JSON_ARRAY);
	v = json_object();
	db_array_json(&a, v);
	db_array(b, &a);
	db_array_json(&a, v); /* one that is given up */
	db_array_free(&a);
	json_decref(v);
	db_submit(b, check_json_arrays, &done);
	test_until(&done, 1);
}
END_TEST

struct order {
	int *slot;
	int expect;
};

static void check_order(struct db_result *r, void *arg)
{
	struct order *o = arg;

	ck_assert_msg(!db_error(r), "%s", db_error(r) ? db_error(r)->msg : "");
	ck_assert_int_eq(*o->slot, o->expect);
	ck_assert_int_eq(db_affected(r, 0), 1);
	ck_assert_int_eq(db_get_int(r, 1, 0, "n"), o->expect + 1);
	++*o->slot;
}

START_TEST(pipeline_keeps_order)
{
	enum { N = 500 }; /* far more than fit into one pipeline */
	static struct order orders[N];
	int answered = 0;

	open_db(1);
	for (int i = 0; i < N; i++) {
		struct db_batch *b = db_batch_new(db);

		orders[i] = (struct order){.slot = &answered, .expect = i};
		add(b, T_INSERT);
		db_int(b, i);
		db_text(b, "x");
		add(b, T_COUNT);
		db_submit(b, check_order, &orders[i]);
		ck_assert_int_eq(answered, 0);
	}
	test_until(&answered, N);
	ck_assert_int_eq(test_sql_int("SELECT count(*) FROM t"), N);
}
END_TEST

START_TEST(connections_work_side_by_side)
{
	struct answer slow = {0}, quick = {0};
	struct db_batch *b;

	open_db(2);
	/* let both connect first, so that the choice is between an idle and a busy one */
	test_run_for(300);
	b = db_batch_new(db);
	add(b, T_SLEEP);
	db_double(b, 1.5);
	db_submit(b, take, &slow);
	for (int i = 0; i < 5; i++) {
		submit_one(T_COUNT, NULL, &quick);
		test_until(&quick.count, i + 1);
	}
	ck_assert_int_eq(slow.count, 0);
	test_until(&slow.count, 1);
	ck_assert_int_eq(slow.err.code, ERR_OK);
}
END_TEST

static void insert(struct db_batch *b, int id)
{
	add(b, T_INSERT);
	db_int(b, id);
	db_text(b, "v");
}

START_TEST(errors_stay_in_their_batch)
{
	struct answer a[5] = {0};

	open_db(1);
	for (int i = 0; i < 5; i++) {
		struct db_batch *b = db_batch_new(db);

		insert(b, i * 10);
		insert(b, i % 2 ? i * 10 : i * 10 + 1); /* 1 and 3: the same key twice */
		insert(b, i * 10 + 2);
		db_submit(b, take, &a[i]);
	}
	test_until(&a[4].count, 1);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(a[i].count, 1);
		ck_assert_int_eq(a[i].err.code, i % 2 ? ERR_DB : ERR_OK);
		ck_assert_str_eq(a[i].sqlstate, i % 2 ? "23505" : "");
		ck_assert_int_eq(a[i].affected, i % 2 ? 0 : 1);
	}
	ck_assert_msg(strstr(a[1].err.msg, "t_insert") && strstr(a[1].err.msg, "duplicate key"),
		      "%s", a[1].err.msg);
	/* all of a batch or nothing */
	ck_assert_int_eq(test_sql_int("SELECT count(*) FROM t"), 9);
	ck_assert_int_eq(test_sql_int("SELECT count(*) FROM t WHERE id BETWEEN 10 AND 19"), 0);
}
END_TEST

START_TEST(error_in_first_use_does_not_spoil_later_ones)
{
	struct answer a[4] = {0};
	struct db_batch *b;

	open_db(1);
	/* the first batch fails before its later statements run; the next needs just those prepared
	 */
	b = db_batch_new(db);
	add(b, T_DIVIDE);
	db_int(b, 0);
	insert(b, 1);
	add(b, T_COUNT);
	db_submit(b, take, &a[0]);
	b = db_batch_new(db);
	insert(b, 2);
	add(b, T_COUNT);
	db_submit(b, take, &a[1]);
	/* a statement that cannot be prepared, and innocent ones in the same batch and after it */
	b = db_batch_new(db);
	insert(b, 3);
	add(b, T_UNKNOWN_COLUMN);
	add(b, T_ECHO);
	db_text(b, "x");
	db_submit(b, take, &a[2]);
	submit_one(T_ECHO, "y", &a[3]);
	test_until(&a[2].count, 1);
	test_until(&a[3].count, 1);
	ck_assert_str_eq(a[0].sqlstate, "22012");
	ck_assert_int_eq(a[1].err.code, ERR_OK);
	ck_assert_int_eq(a[2].err.code, ERR_DB);
	ck_assert_str_eq(a[2].sqlstate, "42703");
	ck_assert_msg(strstr(a[2].err.msg, "no_such_column"), "%s", a[2].err.msg);
	ck_assert_int_eq(a[3].err.code, ERR_OK);
	ck_assert_int_eq(test_sql_int("SELECT sum(id) FROM t"), 2);
}
END_TEST

START_TEST(statement_becomes_valid)
{
	struct answer a = {0};

	open_db(1);
	submit_one(T_LATER_TABLE, NULL, &a);
	test_until(&a.count, 1);
	ck_assert_str_eq(a.sqlstate, "42P01");
	test_sql("CREATE TABLE later (id integer)");
	submit_one(T_LATER_TABLE, NULL, &a);
	test_until(&a.count, 2);
	ck_assert_msg(a.err.code == ERR_OK, "%s", a.err.msg);
	test_sql("DROP TABLE later");
	submit_one(T_LATER_TABLE, NULL, &a);
	test_until(&a.count, 3);
	ck_assert_str_eq(a.sqlstate, "42P01");
}
END_TEST

START_TEST(error_at_commit)
{
	struct answer a[3] = {0};
	struct db_batch *b;

	open_db(1);
	b = db_batch_new(db);
	insert(b, 1);
	add(b, T_ORDER_INSERT);
	db_int(b, 77);
	db_submit(b, take, &a[0]);
	b = db_batch_new(db);
	insert(b, 2);
	db_submit(b, take, &a[1]);
	submit_one(T_COUNT, NULL, &a[2]);
	test_until(&a[2].count, 1);
	ck_assert_int_eq(a[0].err.code, ERR_DB);
	ck_assert_str_eq(a[0].sqlstate, "23503");
	ck_assert_int_eq(a[1].err.code, ERR_OK);
	ck_assert_int_eq(test_sql_int("SELECT sum(id) FROM t"), 2);
}
END_TEST

START_TEST(own_errors_are_mapped)
{
	static const struct {
		const char *state, *message;
		enum err_code code;
		const char *text;
	} cases[] = {
	    {"NR000", "1001:No found job", ERR_JOB_NOT_FOUND, "No found job"},
	    {"NR000", "5005: permission denied: job/submit", ERR_API_PERMISSION,
	     "permission denied: job/submit"},
	    {"NR001", "version 3 of job 7 is gone", ERR_CONFLICT, "version 3 of job 7 is gone"},
	    {"NR000", "no number here", ERR_DB, "t_raise: no number here"},
	    {"NR000", "-4:negative", ERR_DB, "t_raise: -4:negative"},
	    {"NR000", "99999999999999999999:large", ERR_DB, "t_raise: 99999999999999999999:large"},
	    {"NR000", ":empty", ERR_DB, "t_raise: :empty"},
	    {"P0001", "1001:not ours", ERR_DB, "t_raise: 1001:not ours"},
	    {"P0001", "two\nlines", ERR_DB, "t_raise: two lines"},
	};
	struct answer a[ARRAY_LEN(cases)] = {0};

	open_db(1);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct db_batch *b = db_batch_new(db);

		add(b, T_RAISE);
		db_text(b, cases[i].state);
		db_text(b, cases[i].message);
		db_submit(b, take, &a[i]);
	}
	test_until(&a[ARRAY_LEN(cases) - 1].count, 1);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ck_assert_int_eq(a[i].err.code, cases[i].code);
		ck_assert_str_eq(a[i].err.msg, cases[i].text);
		ck_assert_str_eq(a[i].sqlstate, cases[i].state);
	}
}
END_TEST

START_TEST(serialization_failures_are_retried)
{
	struct answer a = {0};
	struct db_batch *b;

	open_db(1);
	b = db_batch_new(db);
	insert(b, 1);
	add(b, T_FLAKY);
	db_int(b, 2);
	db_submit(b, take, &a);
	test_until(&a.count, 1);
	ck_assert_msg(a.err.code == ERR_OK, "%s", a.err.msg);
	ck_assert_int_eq(a.affected, 1);
	ck_assert_int_eq(test_sql_int("SELECT last_value FROM tries"), 3);
	ck_assert_int_eq(test_sql_int("SELECT count(*) FROM t"), 1);
	/* and given up after three more tries */
	b = db_batch_new(db);
	insert(b, 2);
	add(b, T_FLAKY);
	db_int(b, 1000);
	db_submit(b, take, &a);
	test_until(&a.count, 2);
	ck_assert_int_eq(a.err.code, ERR_DB);
	ck_assert_str_eq(a.sqlstate, "40001");
	ck_assert_int_eq(test_sql_int("SELECT last_value FROM tries"), 7);
	ck_assert_int_eq(test_sql_int("SELECT count(*) FROM t"), 1);
}
END_TEST

static void lock_rows(int first, int second, struct answer *a)
{
	struct db_batch *b = db_batch_new(db);

	add(b, T_LOCK);
	db_int(b, first);
	db_double(b, 0.3);
	add(b, T_LOCK);
	db_int(b, second);
	db_double(b, 0);
	db_submit(b, take, a);
}

START_TEST(deadlock_is_retried)
{
	struct answer a = {0}, b = {0};
	int64_t before = test_sql_int(
	    "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
	int64_t after = before;

	open_db(2);
	test_run_for(300);
	lock_rows(1, 2, &a);
	lock_rows(2, 1, &b);
	test_until(&a.count, 1);
	test_until(&b.count, 1);
	ck_assert_msg(a.err.code == ERR_OK, "%s", a.err.msg);
	ck_assert_msg(b.err.code == ERR_OK, "%s", b.err.msg);
	ck_assert_int_eq(test_sql_int("SELECT sum(n) FROM locks"), 4);
	/* the server's statistics follow within a second or so */
	for (int i = 0; i < 100 && after == before; i++) {
		test_run_for(50);
		after = test_sql_int(
		    "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
	}
	ck_assert_int_gt(after, before);
}
END_TEST

START_TEST(changed_result_type_needs_no_restart)
{
	struct answer a = {0};

	open_db(1);
	submit_one(T_SHAPE, NULL, &a);
	test_until(&a.count, 1);
	ck_assert_int_eq(a.rows, 1);
	test_sql("ALTER TABLE shape ADD COLUMN b text");
	submit_one(T_SHAPE, NULL, &a);
	test_until(&a.count, 2);
	ck_assert_msg(a.err.code == ERR_OK, "%s", a.err.msg);
	ck_assert_int_eq(a.rows, 1);
}
END_TEST

static void check_big(struct db_result *r, void *arg)
{
	int *done = arg;

	ck_assert_msg(!db_error(r), "%s", db_error(r) ? db_error(r)->msg : "");
	if (db_rows(r, 0) == 1) {
		ck_assert_uint_eq(strlen(db_get(r, 0, 0, "v")), 8UL << 20);
	} else {
		ck_assert_int_eq(db_rows(r, 0), 100000);
		ck_assert_int_eq(db_get_int(r, 0, 99999, "i"), 100000);
	}
	++*done;
}

START_TEST(large_values_and_results)
{
	size_t len = 8UL << 20;
	char *big = malloc(len + 1);
	int done = 0;
	struct db_batch *b;

	ck_assert_ptr_nonnull(big);
	memset(big, 'y', len);
	big[len] = '\0';
	open_db(1);
	b = db_batch_new(db);
	add(b, T_ECHO);
	db_text(b, big);
	free(big);
	db_submit(b, check_big, &done);
	b = db_batch_new(db);
	add(b, T_BIG);
	db_int(b, 100000);
	db_int(b, 100);
	db_submit(b, check_big, &done);
	test_until(&done, 2);
}
END_TEST

static void check_empty(struct db_result *r, void *arg)
{
	ck_assert_ptr_null(db_error(r));
	++*(int *)arg;
}

START_TEST(values_that_cannot_be_sent)
{
	struct answer nul = {0}, utf8 = {0};
	int empty = 0;
	struct db_batch *b;

	open_db(1);
	b = db_batch_new(db);
	insert(b, 1);
	add(b, T_ECHO);
	db_textn(b, "a\0b", 3);
	db_submit(b, take, &nul);
	ck_assert_int_eq(nul.count, 0);
	submit_one(T_ECHO, "\xc3(", &utf8);
	db_submit(db_batch_new(db), check_empty, &empty);
	ck_assert_int_eq(empty, 0);
	test_until(&nul.count, 1);
	test_until(&utf8.count, 1);
	test_until(&empty, 1);
	ck_assert_int_eq(nul.err.code, ERR_PARSE);
	ck_assert_msg(strstr(nul.err.msg, "t_echo: value 1"), "%s", nul.err.msg);
	ck_assert_int_eq(utf8.err.code, ERR_DB);
	ck_assert_str_eq(utf8.sqlstate, "22021");
	ck_assert_int_eq(test_sql_int("SELECT count(*) FROM t"), 0);
	/* never submitted */
	b = db_batch_new(db);
	insert(b, 1);
	db_batch_free(b);
	db_batch_free(NULL);
}
END_TEST

START_TEST(wrong_use_of_a_statement)
{
	struct answer a[3] = {0};
	struct db_batch *b;

	open_db(1);
	b = db_batch_new(db);
	add(b, T_ECHO); /* the value is missing */
	db_submit(b, take, &a[0]);
	submit_one(T_COPY, NULL, &a[1]);
	submit_one(T_ECHO, "x", &a[2]);
	test_until(&a[0].count, 1);
	test_until(&a[1].count, 1);
	ck_assert_int_eq(a[0].err.code, ERR_DB);
	ck_assert_str_eq(a[0].sqlstate, "08P01");
	ck_assert_int_ne(a[1].err.code, ERR_OK);
	/* it may have been behind the COPY, which breaks the connection; the next one must work */
	test_until(&a[2].count, 1);
	submit_one(T_ECHO, "x", &a[2]);
	test_until(&a[2].count, 2);
	ck_assert_msg(a[2].err.code == ERR_OK, "%s", a[2].err.msg);
}
END_TEST

static const char *const settings[][2] = {
    {"TimeZone", "UTC"},          {"search_path", "norn, public"},
    {"statement_timeout", "30s"}, {"idle_in_transaction_session_timeout", "1min"},
    {"client_encoding", "UTF8"},  {"application_name", "norn test"}};

static void check_settings(struct db_result *r, void *arg)
{
	for (int i = 0; i < (int)ARRAY_LEN(settings); i++)
		ck_assert_str_eq(db_get(r, i, 0, "v"), settings[i][1]);
	++*(int *)arg;
}

START_TEST(session_settings)
{
	struct db_batch *b;
	int done = 0;

	open_db(1);
	ck_assert(!db_is_up(db));
	b = db_batch_new(db);
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		add(b, T_SETTING);
		db_text(b, settings[i][0]);
	}
	db_submit(b, check_settings, &done);
	test_until(&done, 1);
	ck_assert(db_is_up(db));
	ck_assert_str_eq(db_last_error(db), "");
}
END_TEST

START_TEST(notices_do_not_disturb)
{
	struct answer a = {0};

	open_db(1);
	for (int i = 0; i < 40; i++)
		submit_one(T_NOTICE, "look\nhere", &a);
	test_until(&a.count, 40);
	ck_assert_int_eq(a.err.code, ERR_OK);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("db");
	TCase *tc = tcase_create("batches");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, values_come_back);
	tcase_add_test(tc, arrays_of_nasty_strings);
	tcase_add_test(tc, arrays_of_json);
	tcase_add_test(tc, pipeline_keeps_order);
	tcase_add_test(tc, connections_work_side_by_side);
	tcase_add_test(tc, errors_stay_in_their_batch);
	tcase_add_test(tc, error_in_first_use_does_not_spoil_later_ones);
	tcase_add_test(tc, statement_becomes_valid);
	tcase_add_test(tc, error_at_commit);
	tcase_add_test(tc, own_errors_are_mapped);
	tcase_add_test(tc, serialization_failures_are_retried);
	tcase_add_test(tc, deadlock_is_retried);
	tcase_add_test(tc, changed_result_type_needs_no_restart);
	tcase_add_test(tc, large_values_and_results);
	tcase_add_test(tc, values_that_cannot_be_sent);
	tcase_add_test(tc, wrong_use_of_a_statement);
	tcase_add_test(tc, session_settings);
	tcase_add_test(tc, notices_do_not_disturb);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
