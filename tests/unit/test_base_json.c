/* Reading and writing JSON, and the accessors. */
#include "config.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static json_t *parse(const char *text, struct err *e)
{
	return js_parse(text, strlen(text), NULL, e);
}

/* What is written after reading the text. */
static void check_round_trip(const char *text, const char *expected)
{
	struct err e;
	json_t *v = parse(text, &e);
	char *out;

	ck_assert_msg(v != NULL, "%s: %s", text, e.msg);
	out = js_dump_str(v);
	ck_assert_str_eq(out, expected);
	free(out);
	json_decref(v);
}

START_TEST(writes_sorted_and_compact)
{
	check_round_trip(
	    "{ \"b\": [1, true, null, \"x\"], \"a\": {\"z\": {}, \"c\": []}, \"\": false }",
	    "{\"\":false,\"a\":{\"c\":[],\"z\":{}},\"b\":[1,true,null,\"x\"]}");
	check_round_trip("\"q\\\"\\\\\\n\\r\\t\\u0001\\u00e9/\"",
			 "\"q\\\"\\\\\\n\\r\\t\\u0001\xc3\xa9/\"");
	check_round_trip("-9223372036854775808", "-9223372036854775808");
}
END_TEST

/* The fewest digits that read back as the same number. */
START_TEST(writes_short_reals)
{
	check_round_trip("0.1", "0.1");
	check_round_trip("0.05", "0.05");
	check_round_trip("1.0", "1.0");
	check_round_trip("-0.0", "-0.0");
	check_round_trip("1e22", "1e+22");
	check_round_trip("0.30000000000000004", "0.30000000000000004");
	check_round_trip("2.2250738585072014e-308", "2.2250738585072014e-308");
	check_round_trip("123456789.123456789", "123456789.12345679");
}
END_TEST

static void check_refused(const char *text, size_t len, enum err_code code, const char *words)
{
	struct err e = {0};
	json_t *v = js_parse(text, len, NULL, &e);

	ck_assert_msg(v == NULL, "accepted: %s", text);
	ck_assert_msg(e.code == code, "%s: code %d, %s", text, e.code, e.msg);
	ck_assert_msg(strstr(e.msg, words) != NULL, "%s: \"%s\" lacks \"%s\"", text, e.msg, words);
}

START_TEST(refuses_malformed)
{
	static const char *const bad[] = {
	    "{",
	    "[1,]",
	    "{\"a\":}",
	    "{\"a\" 1}",
	    "{a:1}",
	    "'a'",
	    "01",
	    "1.",
	    "+1",
	    "nul",
	    "[1] x",
	    "[1][2]",
	    "\"\x01\"",
	    "\"\\x41\"",
	    "\"\xff\"",
	    "\"\xed\xa0\x80\"",
	    "\"\\ud800\"",
	    "1e999",
	    "\xef\xbb\xbf{}",
	    "[}",
	    "]",
	    "99999999999999999999",
	    "// c\n1",
	    "NaN",
	    "-",
	    "{\"a\":1,}",
	    "[1 2]",
	    "\"a",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		check_refused(bad[i], strlen(bad[i]), ERR_PARSE, "line 1, column ");
	check_refused("", 0, ERR_PARSE, "empty");
	check_refused(" \n ", 3, ERR_PARSE, "line 2");
}
END_TEST

START_TEST(says_where)
{
	check_refused("{\n  \"a\": 1,\n  \"b\": x\n}", 22, ERR_PARSE, "line 3, column 8");
}
END_TEST

START_TEST(refuses_duplicates)
{
	check_refused("{\"a\":1,\n\"a\":2}", 14, ERR_PARSE, "duplicate");
	check_refused("{\"x\":{\"a\":1,\"\\u0061\":2}}", 24, ERR_PARSE, "duplicate");
}
END_TEST

START_TEST(refuses_nul)
{
	check_refused("[1,\0 2]", 7, ERR_PARSE, "line 1, column 4: NUL");
	check_refused("\"a\0b\"", 5, ERR_PARSE, "");
	check_refused("\"a\\u0000b\"", 10, ERR_PARSE, "");
	check_refused("{\"a\\u0000b\":1}", 14, ERR_PARSE, "");
}
END_TEST

START_TEST(limits_depth)
{
	struct js_limits lim = {.max_bytes = 1 << 20, .max_depth = 3, .max_nodes = 1000};
	struct err e;
	json_t *v = js_parse("[{\"a\":[\"[[[[\"]}]", 16, &lim, &e);

	ck_assert_msg(v != NULL, "%s", e.msg);
	json_decref(v);
	ck_assert_ptr_null(js_parse("[{\"a\":[[]]}]", 12, &lim, &e));
	ck_assert_int_eq(e.code, ERR_LIMIT);
	ck_assert_str_eq(e.msg, "line 1, column 8: nested deeper than 3 levels");
	/* Brackets in a text, after an escaped quote, do not count. */
	v = js_parse("[\"\\\"[[[[[[\"]", 12, &lim, &e);
	ck_assert_msg(v != NULL, "%s", e.msg);
	json_decref(v);
}
END_TEST

START_TEST(limits_deep_hostile_text)
{
	struct buf b = {0};
	struct err e;

	for (int i = 0; i < 1000000; i++)
		buf_adds(&b, i % 2 == 0 ? "[" : "{\"a\":");
	ck_assert_ptr_null(js_parse(b.data, b.len, NULL, &e));
	ck_assert_int_eq(e.code, ERR_LIMIT);
	buf_free(&b);
}
END_TEST

START_TEST(limits_values)
{
	struct js_limits lim = {.max_bytes = 1 << 20, .max_depth = 3, .max_nodes = 5};
	const char *five = "{\"a\": [1, \"x\"], \"b\": true}", *six = "{\"a\": [1, 2], \"b\": [3]}";
	struct err e;
	json_t *v = js_parse(five, strlen(five), &lim, &e);

	ck_assert_msg(v != NULL, "%s", e.msg);
	json_decref(v);
	ck_assert_ptr_null(js_parse(six, strlen(six), &lim, &e));
	ck_assert_int_eq(e.code, ERR_LIMIT);
	ck_assert_msg(strstr(e.msg, "more than 5 values") != NULL, "%s", e.msg);
}
END_TEST

START_TEST(limits_bytes)
{
	struct js_limits lim = {.max_bytes = 8, .max_depth = 3, .max_nodes = 100};
	struct err e;
	json_t *v = js_parse("[1,2,3 ]", 8, &lim, &e);

	ck_assert_ptr_nonnull(v);
	json_decref(v);
	ck_assert_ptr_null(js_parse("[1,2,3  ]", 9, &lim, &e));
	ck_assert_int_eq(e.code, ERR_LIMIT);
}
END_TEST

START_TEST(accessors)
{
	struct err e;
	json_t *v = parse("{\"s\":\"x\",\"i\":7,\"d\":1.5,\"t\":true,\"n\":null,"
			  "\"o\":{\"p\":{\"q\":\"deep\"}}}",
			  &e);

	ck_assert_ptr_nonnull(v);
	ck_assert_str_eq(js_str(v, "s", "def"), "x");
	ck_assert_str_eq(js_str(v, "i", "def"), "def");
	ck_assert_ptr_null(js_str(v, "none", NULL));
	ck_assert_str_eq(js_str(NULL, "s", "def"), "def");
	ck_assert_int_eq(js_int(v, "i", 1), 7);
	ck_assert_int_eq(js_int(v, "d", 1), 1);
	ck_assert_int_eq(js_int(v, "s", 1), 1);
	ck_assert_double_eq(js_num(v, "d", 0), 1.5);
	ck_assert_double_eq(js_num(v, "i", 0), 7.0);
	ck_assert_double_eq(js_num(v, "n", 2.5), 2.5);
	ck_assert(js_bool(v, "t", false));
	ck_assert(js_bool(v, "i", true));
	ck_assert(!js_bool(NULL, "t", false));
	ck_assert_str_eq(json_string_value(js_get(v, "o.p.q")), "deep");
	ck_assert_ptr_eq(js_get(v, "o"), json_object_get(v, "o"));
	ck_assert_ptr_null(js_get(v, "o.p.q.r"));
	ck_assert_ptr_null(js_get(v, "o..q"));
	ck_assert_ptr_null(js_get(v, ""));
	ck_assert_ptr_null(js_get(NULL, "o"));
	json_decref(v);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base_json");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 30);
	tcase_add_test(t, writes_sorted_and_compact);
	tcase_add_test(t, writes_short_reals);
	tcase_add_test(t, refuses_malformed);
	tcase_add_test(t, says_where);
	tcase_add_test(t, refuses_duplicates);
	tcase_add_test(t, refuses_nul);
	tcase_add_test(t, limits_depth);
	tcase_add_test(t, limits_deep_hostile_text);
	tcase_add_test(t, limits_values);
	tcase_add_test(t, limits_bytes);
	tcase_add_test(t, accessors);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
