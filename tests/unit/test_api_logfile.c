/* Pieces of logs: always UTF-8, never lost or doubled, and only from where logs are. */
#include "api/logfile.h"

#include "base/fs.h"
#include "base/js.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/norn-logfile-XXXXXX";
static char path[64];

static void write_log(const char *data, size_t len)
{
	struct err e;

	ck_assert(fs_write(path, data, len, 0600, &e));
}

static void make_dir(void)
{
	strcpy(dir, "/tmp/norn-logfile-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
}

static void drop_dir(void)
{
	struct err e;

	ck_assert(fs_remove_tree(dir, &e));
}

START_TEST(pieces_join_to_the_whole)
{
	static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z\n";

	write_log(text, sizeof(text) - 1);
	for (size_t max = 4; max < sizeof(text) + 2; max++) {
		struct buf all = {0};
		int64_t at = 0;
		bool end = false;
		struct err e;
		for (int i = 0; i < 100 && !end; i++) {
			struct buf out = {0};
			ck_assert(logfile_read(path, at, max, false, &out, &at, &end, &e));
			json_t *s = json_stringn(buf_str(&out), out.len);
			ck_assert_ptr_nonnull(s); /* valid by itself */
			json_decref(s);
			buf_add(&all, buf_str(&out), out.len);
			buf_free(&out);
		}
		ck_assert_str_eq(buf_str(&all), text);
		ck_assert_int_eq(at, (int64_t)sizeof(text) - 1);
		buf_free(&all);
	}
}
END_TEST

START_TEST(bytes_that_are_no_text)
{
	struct buf out = {0};
	int64_t next;
	bool end;
	struct err e;

	write_log("a\0b\xff\xed\xa0\x80\xc3", 8);
	ck_assert(logfile_read(path, 0, 100, false, &out, &next, &end, &e));
	/* the cut character at the end may still be completed */
	ck_assert_str_eq(buf_str(&out), "a\xef\xbf\xbd"
					"b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	ck_assert_int_eq(next, 7);
	ck_assert(!end);
	buf_reset(&out);
	ck_assert(logfile_read(path, next, 100, true, &out, &next, &end, &e));
	ck_assert_str_eq(buf_str(&out), "\xef\xbf\xbd");
	ck_assert_int_eq(next, 8);
	ck_assert(end);
	buf_free(&out);
}
END_TEST

START_TEST(missing_and_beyond)
{
	struct buf out = {0};
	int64_t next;
	bool end;
	struct err e;

	ck_assert(logfile_read("/nonexistent/log", 5, 100, true, &out, &next, &end, &e));
	ck_assert_int_eq(next, 5);
	ck_assert(end);
	write_log("abc", 3);
	ck_assert(logfile_read(path, 50, 100, true, &out, &next, &end, &e));
	ck_assert_int_eq(next, 50);
	ck_assert(end);
	ck_assert_uint_eq(out.len, 0);
	/* neither a directory nor a link is a log */
	ck_assert(!logfile_read(dir, 0, 100, true, &out, &next, &end, &e));
	char link[80];
	snprintf(link, sizeof(link), "%s/link", dir);
	ck_assert_int_eq(symlink("/etc/passwd", link), 0);
	ck_assert(!logfile_read(link, 0, 100, true, &out, &next, &end, &e));
	ck_assert_uint_eq(out.len, 0);
	buf_free(&out);
}
END_TEST

START_TEST(confined_paths)
{
	static const char *const bad[] = {"", "..", "a/b", ".hidden", "-x", "a\nb", "a..b"};
	struct buf out = {0};
	struct err e;

	ck_assert(logfile_path("/logs", &out, &e, "job", "guest", "9999", NULL));
	ck_assert_str_eq(buf_str(&out), "/logs/job/guest/9999");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		buf_reset(&out);
		ck_assert_msg(!logfile_path("/logs", &out, &e, "job", bad[i], NULL), "'%s'",
			      bad[i]);
	}
	buf_free(&out);
}
END_TEST

START_TEST(latest_attempt)
{
	static const char *const attempts[] = {"0", "2", "10", "x", "9z"};
	struct buf b = {0};
	struct err e;

	buf_adds(&b, dir);
	ck_assert(!logfile_latest(&b, "stdout"));
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		char sub[80];
		snprintf(sub, sizeof(sub), "%s/%s", dir, attempts[i]);
		ck_assert(fs_mkdirs(sub, 0700, &e));
	}
	buf_reset(&b);
	buf_adds(&b, dir);
	ck_assert(logfile_latest(&b, "stdout"));
	ck_assert_str_eq(buf_str(&b) + strlen(dir), "/10/stdout");
	buf_free(&b);
}
END_TEST

START_TEST(lines_by_number)
{
	static const char text[] =
	    "one\ntwo 10.0.0.1:80 and 1.2.3\nthree 1234.1.1.1 999.1.1.1\nfour";
	json_t *v;

	write_log(text, sizeof(text) - 1);
	ck_assert_int_eq(logfile_count(path), 3);
	v = logfile_lines(path, 2, 3);
	ck_assert_uint_eq(json_array_size(v), 2);
	ck_assert_int_eq(js_int(json_array_get(v, 0), "line_num", 0), 2);
	ck_assert_str_eq(js_str(json_array_get(v, 0), "content", ""),
			 "two xxx.xxx.xxx.xxx:80 and 1.2.3");
	ck_assert_str_eq(js_str(json_array_get(v, 1), "content", ""),
			 "three 1234.1.1.1 xxx.xxx.xxx.xxx");
	json_decref(v);
	v = logfile_lines(path, 4, INT64_MAX);
	ck_assert_uint_eq(json_array_size(v), 1);
	ck_assert_str_eq(js_str(json_array_get(v, 0), "content", ""), "four");
	json_decref(v);
	v = logfile_lines(path, 3, 2);
	ck_assert_uint_eq(json_array_size(v), 0);
	json_decref(v);
}
END_TEST

/* A log longer than one answer, and than any buffer: every line is found by its number. */
START_TEST(lines_of_a_long_log)
{
	enum { LINES = 30000 };
	struct buf all = {0};
	int64_t next = 1;

	for (int i = 1; i <= LINES; i++)
		buf_printf(&all, "%0*d\n", i % 7 == 0 ? 900 : 9, i);
	write_log(all.data, all.len);
	buf_free(&all);
	ck_assert_int_eq(logfile_count(path), LINES);
	while (next <= LINES) {
		json_t *v = logfile_lines(path, next, INT64_MAX);
		size_t n = json_array_size(v);
		ck_assert_uint_gt(n, 0);
		ck_assert_uint_le(n, 10000);
		for (size_t i = 0; i < n; i++, next++) {
			json_t *line = json_array_get(v, i);
			ck_assert_int_eq(js_int(line, "line_num", 0), next);
			ck_assert_int_eq(strtol(js_str(line, "content", ""), NULL, 10), next);
		}
		json_decref(v);
	}
	json_t *none = logfile_lines(path, LINES + 1, INT64_MAX);
	ck_assert_uint_eq(json_array_size(none), 0);
	json_decref(none);
}
END_TEST

START_TEST(a_line_without_end)
{
	static char text[300000];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 5] = '\n';
	text[sizeof(text) - 4] = '\0';
	text[sizeof(text) - 3] = '\xff';
	write_log(text, sizeof(text));
	json_t *v = logfile_lines(path, 1, 2);
	ck_assert_uint_eq(json_array_size(v), 2);
	ck_assert_uint_eq(strlen(js_str(json_array_get(v, 0), "content", "")), 64 * 1024);
	ck_assert_str_eq(js_str(json_array_get(v, 1), "content", ""), "\xef\xbf\xbd\xef\xbf\xbdxx");
	json_decref(v);
	ck_assert_int_eq(logfile_count(path), 1);
	ck_assert_int_eq(logfile_count("/no/such/log"), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("api_logfile");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, make_dir, drop_dir);
	tcase_add_test(tc, pieces_join_to_the_whole);
	tcase_add_test(tc, bytes_that_are_no_text);
	tcase_add_test(tc, missing_and_beyond);
	tcase_add_test(tc, confined_paths);
	tcase_add_test(tc, latest_attempt);
	tcase_add_test(tc, lines_by_number);
	tcase_add_test(tc, lines_of_a_long_log);
	tcase_add_test(tc, a_line_without_end);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
