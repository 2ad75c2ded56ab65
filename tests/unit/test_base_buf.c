/* Buffers, allocation and errors. */
#include "config.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include <check.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

START_TEST(buf_is_terminated_and_counts)
{
	struct buf b = {0};

	ck_assert_str_eq(buf_str(&b), "");
	buf_add(&b, NULL, 0);
	ck_assert_uint_eq(b.len, 0);
	buf_adds(&b, "ab");
	buf_addc(&b, '\0');
	buf_addc(&b, 'c');
	ck_assert_uint_eq(b.len, 4);
	ck_assert_mem_eq(b.data, "ab\0c", 5);
	buf_reset(&b);
	ck_assert_uint_eq(b.len, 0);
	ck_assert_str_eq(b.data, "");
	ck_assert_uint_gt(b.cap, 0);
	buf_free(&b);
	ck_assert_ptr_null(b.data);
	ck_assert_uint_eq(b.cap, 0);
}
END_TEST

START_TEST(buf_grows_keeping_contents)
{
	struct buf b = {0};

	for (int i = 0; i < 100000; i++)
		buf_addc(&b, (char)('a' + i % 26));
	ck_assert_uint_eq(b.len, 100000);
	ck_assert_int_eq(b.data[100000], '\0');
	for (int i = 0; i < 100000; i++)
		ck_assert_int_eq(b.data[i], 'a' + i % 26);
	buf_free(&b);
}
END_TEST

/* Every length around the free space, where the text must be formatted a second time. */
START_TEST(buf_printf_fits_at_every_length)
{
	for (int len = 0; len < 300; len++) {
		struct buf b = {0};

		buf_adds(&b, "x");
		buf_printf(&b, "%*s|", len, "");
		ck_assert_uint_eq(b.len, (size_t)len + 2);
		ck_assert_int_eq(b.data[len + 1], '|');
		ck_assert_int_eq(b.data[len + 2], '\0');
		buf_free(&b);
	}
}
END_TEST

START_TEST(buf_drop_takes_from_the_front)
{
	struct buf b = {0};

	buf_drop(&b, 5);
	buf_adds(&b, "hello");
	buf_drop(&b, 0);
	ck_assert_str_eq(b.data, "hello");
	buf_drop(&b, 2);
	ck_assert_str_eq(b.data, "llo");
	ck_assert_uint_eq(b.len, 3);
	buf_drop(&b, 100);
	ck_assert_uint_eq(b.len, 0);
	ck_assert_str_eq(b.data, "");
	buf_free(&b);
}
END_TEST

START_TEST(buf_take_gives_the_string_away)
{
	struct buf b = {0};
	char *s = buf_take(&b);

	ck_assert_str_eq(s, "");
	free(s);
	buf_adds(&b, "text");
	s = buf_take(&b);
	ck_assert_str_eq(s, "text");
	ck_assert_ptr_null(b.data);
	ck_assert_uint_eq(b.len, 0);
	free(s);
}
END_TEST

static void no_core(void)
{
	const struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
}

START_TEST(buf_absurd_size_ends_the_program)
{
	struct buf b = {0};

	no_core();
	buf_adds(&b, "x");
	buf_reserve(&b, SIZE_MAX - 1);
}
END_TEST

START_TEST(mem_overflow_ends_the_program)
{
	no_core();
	free(mem_array(SIZE_MAX / 2, 3));
}
END_TEST

START_TEST(mem_copies)
{
	char *s;
	unsigned char *z = mem_zalloc(64);

	for (int i = 0; i < 64; i++)
		ck_assert_uint_eq(z[i], 0);
	free(z);
	free(mem_alloc(0));
	free(mem_array(0, 8));
	ck_assert_ptr_null(mem_strdup(NULL));
	s = mem_strndup("hello", 2);
	ck_assert_str_eq(s, "he");
	free(s);
	s = mem_strndup("hello", 20);
	ck_assert_str_eq(s, "hello");
	s = mem_resize(s, 3, 100);
	ck_assert_str_eq(s, "hello");
	free(s);
	s = mem_printf("%d-%s", 7, "x");
	ck_assert_str_eq(s, "7-x");
	free(s);
}
END_TEST

START_TEST(err_is_one_line)
{
	struct err e;

	ck_assert(!err_set(&e, ERR_DB, "first\nsecond\tthird.\n"));
	ck_assert_int_eq(e.code, ERR_DB);
	ck_assert_str_eq(e.msg, "first second third");
	ck_assert(!err_prefix(&e, "query %d", 3));
	ck_assert_str_eq(e.msg, "query 3: first second third");
	ck_assert_int_eq(e.code, ERR_DB);
	ck_assert(!err_set(NULL, ERR_DB, "nobody listens"));
	ck_assert(!err_prefix(NULL, "nobody"));
}
END_TEST

START_TEST(err_may_quote_itself)
{
	struct err e;

	err_set(&e, ERR_IO, "inner");
	err_set(&e, ERR_CONFIG, "outer (%s)", e.msg);
	ck_assert_str_eq(e.msg, "outer (inner)");
	ck_assert_int_eq(e.code, ERR_CONFIG);
	err_prefix(&e, "[%s]", e.msg);
	ck_assert_str_eq(e.msg, "[outer (inner)]: outer (inner)");
}
END_TEST

/* A cut must not leave half a character: the message goes into JSON. */
START_TEST(err_is_cut_between_characters)
{
	static const char *const chars[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};

	for (size_t c = 0; c < ARRAY_LEN(chars); c++) {
		for (size_t shift = 0; shift < 4; shift++) {
			struct buf b = {0};
			struct err e;

			buf_printf(&b, "%.*s", (int)shift, "abcd");
			while (b.len < 2 * ERR_MSG_MAX)
				buf_adds(&b, chars[c]);
			err_set(&e, ERR_IO, "%s", b.data);
			ck_assert_uint_ge(strlen(e.msg), ERR_MSG_MAX - 4);
			ck_assert(str_is_utf8(e.msg, strlen(e.msg)));
			err_prefix(&e, "%s", b.data);
			ck_assert_uint_ge(strlen(e.msg), ERR_MSG_MAX - 4);
			ck_assert(str_is_utf8(e.msg, strlen(e.msg)));
			buf_free(&b);
		}
	}
}
END_TEST

START_TEST(err_names)
{
	ck_assert_str_eq(err_code_name(ERR_OK), "OK");
	ck_assert_str_eq(err_code_name(ERR_JOB_NOT_FOUND), "JOB_NOT_FOUND");
	ck_assert_str_eq(err_code_name(ERR_CRYPTO), "CRYPTO");
	ck_assert_str_eq(err_code_name((enum err_code)4242), "UNKNOWN");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base_buf");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_test(t, buf_is_terminated_and_counts);
	tcase_add_test(t, buf_grows_keeping_contents);
	tcase_add_test(t, buf_printf_fits_at_every_length);
	tcase_add_test(t, buf_drop_takes_from_the_front);
	tcase_add_test(t, buf_take_gives_the_string_away);
	tcase_add_test_raise_signal(t, buf_absurd_size_ends_the_program, SIGABRT);
	tcase_add_test_raise_signal(t, mem_overflow_ends_the_program, SIGABRT);
	tcase_add_test(t, mem_copies);
	tcase_add_test(t, err_is_one_line);
	tcase_add_test(t, err_may_quote_itself);
	tcase_add_test(t, err_is_cut_between_characters);
	tcase_add_test(t, err_names);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
