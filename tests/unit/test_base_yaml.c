/* Reading YAML: what it means, and what it refuses. */
#include "config.h"
#include "base/js.h"
#include "base/str.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

/* The JSON that a YAML text stands for. */
static void check_is(const char *yaml, const char *json)
{
	struct err e;
	json_t *v = js_parse_yaml(yaml, strlen(yaml), NULL, &e);
	char *out;

	ck_assert_msg(v != NULL, "%s\n%s", yaml, e.msg);
	out = js_dump_str(v);
	ck_assert_str_eq(out, json);
	free(out);
	json_decref(v);
}

static void check_refused(const char *yaml, size_t len, const struct js_limits *lim,
			  enum err_code code, const char *words)
{
	struct err e = {0};
	json_t *v = js_parse_yaml(yaml, len, lim, &e);

	ck_assert_msg(v == NULL, "accepted: %s", yaml);
	ck_assert_msg(e.code == code, "%s: code %d, %s", yaml, e.code, e.msg);
	ck_assert_msg(strstr(e.msg, words) != NULL, "%s: \"%s\" lacks \"%s\"", yaml, e.msg, words);
}

static void check_error(const char *yaml, const char *words)
{
	check_refused(yaml, strlen(yaml), NULL, ERR_PARSE, words);
}

START_TEST(scalars_of_the_core_schema)
{
	static const char *const cases[][2] = {
	    {"~", "null"},
	    {"null", "null"},
	    {"Null", "null"},
	    {"", "null"},
	    {"nUll", "\"nUll\""},
	    {"true", "true"},
	    {"False", "false"},
	    {"yes", "\"yes\""},
	    {"off", "\"off\""},
	    {"0", "0"},
	    {"-17", "-17"},
	    {"+5", "5"},
	    {"007", "7"},
	    {"0o17", "15"},
	    {"0x1F", "31"},
	    {"0x", "\"0x\""},
	    {"0o8", "\"0o8\""},
	    {"-0x1", "\"-0x1\""},
	    {"1_000", "\"1_000\""},
	    {"1.5", "1.5"},
	    {".5", "0.5"},
	    {"1.", "1.0"},
	    {"1e3", "1000.0"},
	    {"-1.5E-3", "-0.0015"},
	    {".", "\".\""},
	    {"1e", "\"1e\""},
	    {"1.2.3", "\"1.2.3\""},
	    {"2024-01-31", "\"2024-01-31\""},
	    {"12:30", "\"12:30\""},
	    {"-", "[null]"},
	    {"9223372036854775807", "9223372036854775807"},
	    {"0x7fffffffffffffff", "9223372036854775807"},
	    {"'1'", "\"1\""},
	    {"\"true\"", "\"true\""},
	    {"\"\"", "\"\""},
	    {"|\n  12\n", "\"12\\n\""},
	    {"\"\\u00e9\\x41\\n\"", "\"\xc3\xa9"
				    "A\\n\""},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check_is(cases[i][0], cases[i][1]);
	check_error("99999999999999999999", "line 1, column 1: the integer");
	check_error("a: 0xffffffffffffffff", "line 1, column 4: the integer");
	check_error("- 1\n- 1e999", "line 2, column 3: the number");
	check_error(".inf", "finite");
	check_error("-.INF", "finite");
	check_error(".nan", "finite");
}
END_TEST

START_TEST(collections)
{
	check_is("a:\n  - 1\n  - b: 2\n    c: [x, {y: z}]\nd: {}\n",
		 "{\"a\":[1,{\"b\":2,\"c\":[\"x\",{\"y\":\"z\"}]}],\"d\":{}}");
	check_is("9999: guest\ntrue: 1\n~: 2\n", "{\"9999\":\"guest\",\"true\":1,\"~\":2}");
	check_is("a:\nb: \n", "{\"a\":null,\"b\":null}");
	check_is("# only a comment\n", "null");
	check_is("---\n...\n", "null");
	check_is("%YAML 1.2\n---\na: 1\n...\n", "{\"a\":1}");
	check_is("\xef\xbb\xbf"
		 "a: 1\n",
		 "{\"a\":1}");
}
END_TEST

/* Things that only a JSON reader takes: long keys, tabs, surrogate pairs. */
START_TEST(json_is_yaml)
{
	struct buf b = {0};
	struct err e;
	json_t *v;

	check_is("{\"a\":\t\"\\ud83d\\ude00\\/\",\n\t\"b\":[1,2.5,null]}",
		 "{\"a\":\"\xf0\x9f\x98\x80/\",\"b\":[1,2.5,null]}");
	buf_adds(&b, "{\"");
	for (int i = 0; i < 3000; i++)
		buf_addc(&b, 'k');
	buf_adds(&b, "\":1}");
	v = js_parse_yaml(b.data, b.len, NULL, &e);
	ck_assert_msg(v != NULL, "%s", e.msg);
	json_decref(v);
	buf_free(&b);
	/* Begins like JSON, but is flow style. */
	check_is("{a: [b, 'c']} # done", "{\"a\":[\"b\",\"c\"]}");
}
END_TEST

START_TEST(tags)
{
	check_is("!!str 12", "\"12\"");
	check_is("! 12", "\"12\"");
	check_is("!!int \"12\"", "12");
	check_is("!!float 3", "3.0");
	check_is("!!bool true", "true");
	check_is("!!null ''", "null");
	check_is("!!map {a: !!seq [1]}", "{\"a\":[1]}");
	check_is("!<tag:yaml.org,2002:str> 1", "\"1\"");
	check_error("!!int abc", "does not fit");
	check_error("!!bool 1", "does not fit");
	check_error("!!binary aGk=", "does not fit");
	check_error("!!python/object:os.system x", "does not fit");
	check_error("!local x", "not supported");
	check_error("a: !!set {x}", "line 1, column 4: the tag");
	check_error("!!map [1]", "not supported here");
	check_error("!!seq {a: 1}", "not supported here");
}
END_TEST

START_TEST(aliases_are_copies)
{
	struct err e;
	const char *yaml = "a: &x {n: [1]}\nb: *x\n";
	json_t *v = js_parse_yaml(yaml, strlen(yaml), NULL, &e);

	ck_assert_msg(v != NULL, "%s", e.msg);
	ck_assert(json_equal(js_get(v, "a"), js_get(v, "b")));
	json_object_set_new(js_get(v, "a"), "n", json_integer(5));
	ck_assert(json_is_array(js_get(v, "b.n")));
	json_decref(v);

	check_is("- &k name\n- {*k : 1}\n", "[\"name\",{\"name\":1}]");
	check_is("- &a 1\n- &a 2\n- *a\n", "[1,2,2]");
	check_is("&k key: *k\n", "{\"key\":\"key\"}");
	check_error("a: *none\n", "line 1, column 4: the alias");
	check_error("a: &a [*a]\n", "line 1, column 8: the alias");
	check_error("&a {b: {c: *a}}\n", "the alias");
	check_error("- &a [1]\n- {*a : 1}\n", "used as a key");
}
END_TEST

START_TEST(merge_keys)
{
	check_is("base: &b {x: 1, y: 2}\nd:\n  <<: *b\n  y: 3\n  z: 4\n",
		 "{\"base\":{\"x\":1,\"y\":2},\"d\":{\"x\":1,\"y\":3,\"z\":4}}");
	/* Own keys win wherever they stand; of several sources the first. */
	check_is("{y: 0, <<: [{x: 1, y: 1}, {x: 2, z: 2}]}", "{\"x\":1,\"y\":0,\"z\":2}");
	check_is("{'<<': 1}", "{\"<<\":1}");
	check_error("{<<: 1}", "line 1, column 6: << takes");
	check_error("{<<: [{a: 1}, 2]}", "<< takes");
	check_error("<<: {a: 1}\n<<: {b: 1}\n",
		    "line 2, column 1: the key \"<<\" stands here twice");
}
END_TEST

START_TEST(refuses_duplicates)
{
	check_error("a: 1\nb: 2\na: 3\n", "line 3, column 1: the key \"a\" stands here twice");
	check_error("{1: x, '1': y}", "twice");
	check_error("{\"a\": 1, \"a\": 2}", "twice");
}
END_TEST

START_TEST(refuses_malformed)
{
	check_error("a: b: c\n", "line 1, column 5");
	check_error("a: [1, 2\nb: 3\n", "line 2");
	check_error("a: 1\n\tb: 2\n", "line 2");
	check_error("a: 'x\n", "line 2");
	check_error("[a]: 1\n", "a key must be a text");
	check_error("? {a: 1}\n: 2\n", "a key must be a text");
	check_error("--- 1\n--- 2\n", "line 2, column 1: only one document");
	check_error("a: \xff\n", "line 1");
	check_error("a: 1\nb: \xed\xa0\x80\n", "line 2, column 4");
	check_error("a: \"\\ud800\"\n", "line 1");
	check_error("a: \x01\n", "line 1");
	check_error("%FOO\nx", "line 1");
	check_refused("a: \0 1", 6, NULL, ERR_PARSE, "line 1: NUL");
	check_error("a: \"\\0\"\n", "NUL");
	check_error("{\"\\0\": 1}", "NUL");
}
END_TEST

/* Nine lines of ten aliases each would be a thousand million values. */
START_TEST(billion_laughs_is_refused)
{
	struct buf b = {0};

	buf_adds(&b, "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
	for (int i = 1; i < 10; i++) {
		buf_printf(&b, "a%d: &a%d [", i, i);
		for (int j = 0; j < 10; j++)
			buf_printf(&b, "%s*a%d", j > 0 ? ", " : "", i - 1);
		buf_adds(&b, "]\n");
	}
	check_refused(b.data, b.len, NULL, ERR_LIMIT, "aliases make the document too large");
	buf_free(&b);
}
END_TEST

/* Few values, but each a copy of one large text. */
START_TEST(quadratic_text_is_refused)
{
	struct buf b = {0};

	buf_adds(&b, "- &a ");
	for (int i = 0; i < 1 << 20; i++)
		buf_addc(&b, 'x');
	buf_addc(&b, '\n');
	for (int i = 0; i < 1000; i++)
		buf_adds(&b, "- *a\n");
	check_refused(b.data, b.len, NULL, ERR_LIMIT, "line 18, column 3: aliases");
	buf_reset(&b);
	buf_adds(&b, "- &a ");
	for (int i = 0; i < 900; i++)
		buf_addc(&b, 'x');
	for (int i = 0; i < 100000; i++)
		buf_adds(&b, "\n- {*a : 1}");
	check_refused(b.data, b.len, NULL, ERR_LIMIT, "aliases");
	buf_free(&b);
}
END_TEST

START_TEST(merging_is_counted)
{
	struct js_limits lim = {.max_bytes = 1 << 16, .max_depth = 8, .max_nodes = 50};
	struct buf b = {0};

	buf_adds(&b, "a: &a {p: 1, q: 2, r: 3, s: 4}\n");
	for (int i = 0; i < 20; i++)
		buf_printf(&b, "k%d: {<<: *a}\n", i);
	check_refused(b.data, b.len, &lim, ERR_LIMIT, "too large");
	buf_free(&b);
}
END_TEST

START_TEST(limits)
{
	struct js_limits lim = {.max_bytes = 64, .max_depth = 3, .max_nodes = 6};
	struct err e;
	json_t *v = js_parse_yaml("a: [{b: 1, c: 2}]", 17, &lim, &e);

	ck_assert_msg(v != NULL, "%s", e.msg);
	json_decref(v);
	check_refused("a: [[[1]]]", 10, &lim, ERR_LIMIT, "line 1, column 6: nested deeper than 3");
	check_refused("- 1\n- 2\n- 3\n- 4\n- 5\n- 6\n", 24, &lim, ERR_LIMIT,
		      "line 6, column 3: more than 6 values");
	/* An alias is as deep as what it names. */
	check_refused("- &a [[1]]\n- [*a]\n", 18, &lim, ERR_LIMIT, "nested deeper");
	check_refused("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 65, &lim,
		      ERR_LIMIT, "65 bytes");
}
END_TEST

static void check_deep(const char *unit, const struct js_limits *lim)
{
	struct buf b = {0};

	for (int i = 0; i < 100000; i++)
		buf_adds(&b, unit);
	check_refused(b.data, b.len, lim, ERR_LIMIT, "");
	buf_free(&b);
}

START_TEST(deep_hostile_texts)
{
	check_deep("[", NULL);
	check_deep("- ", NULL);
	check_deep("{a: ", NULL);
	check_deep("%TAG !a! b\n", NULL);
	check_deep("%TAG !a! b\xc2\x85", NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base_yaml");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 30);
	tcase_add_test(t, scalars_of_the_core_schema);
	tcase_add_test(t, collections);
	tcase_add_test(t, json_is_yaml);
	tcase_add_test(t, tags);
	tcase_add_test(t, aliases_are_copies);
	tcase_add_test(t, merge_keys);
	tcase_add_test(t, refuses_duplicates);
	tcase_add_test(t, refuses_malformed);
	tcase_add_test(t, billion_laughs_is_refused);
	tcase_add_test(t, quadratic_text_is_refused);
	tcase_add_test(t, merging_is_counted);
	tcase_add_test(t, limits);
	tcase_add_test(t, deep_hostile_texts);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
