/* Strings, numbers, encodings and the clock. */
#include "config.h"
#include "base/clock.h"
#include "base/str.h"
#include <check.h>
#include <string.h>

START_TEST(copy_truncates_and_says_so)
{
	char out[4];

	ck_assert(str_copy(out, sizeof(out), "abc"));
	ck_assert_str_eq(out, "abc");
	ck_assert(!str_copy(out, sizeof(out), "abcd"));
	ck_assert_str_eq(out, "abc");
	ck_assert(str_copy(out, sizeof(out), ""));
	ck_assert_str_eq(out, "");
	ck_assert(!str_copy(out, 0, "x"));
}
END_TEST

START_TEST(comparisons)
{
	ck_assert(str_eq(NULL, NULL));
	ck_assert(!str_eq(NULL, ""));
	ck_assert(!str_eq("", NULL));
	ck_assert(str_eq("a", "a"));
	ck_assert(!str_eq("a", "b"));
	ck_assert(str_starts("abc", "ab"));
	ck_assert(!str_starts("a", "ab"));
	ck_assert(str_ends("abc", "bc"));
	ck_assert(!str_ends("c", "bc"));
	ck_assert(str_ends("abc", ""));
	ck_assert(str_eq_secret("abc", "abc", 3));
	ck_assert(!str_eq_secret("abc", "abd", 3));
	ck_assert(!str_eq_secret("xbc", "abc", 3));
	ck_assert(str_eq_secret("a", "b", 0));
}
END_TEST

START_TEST(integers)
{
	static const char *const bad[] = {"",
					  "-",
					  "+1",
					  " 1",
					  "1 ",
					  "1x",
					  "0x10",
					  "1.0",
					  "--1",
					  "9223372036854775808",
					  "1e3",
					  "\n1",
					  "1\n",
					  "-9223372036854775809",
					  "99999999999999999999999999"};
	int64_t v = 77;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!str_to_i64(bad[i], &v), "accepted \"%s\"", bad[i]);
	ck_assert_int_eq(v, 77);
	ck_assert(str_to_i64("9223372036854775807", &v));
	ck_assert(v == INT64_MAX);
	ck_assert(str_to_i64("-9223372036854775808", &v));
	ck_assert(v == INT64_MIN);
	ck_assert(str_to_i64("-0", &v) && v == 0);
	ck_assert(str_to_i64("007", &v) && v == 7);
}
END_TEST

START_TEST(doubles)
{
	static const char *const bad[] = {"",    ".",   "-",   "e5",  "1e",    "1e+",   " 1",  "1 ",
					  "nan", "inf", "0x1", "1,5", "1e999", "1.2.3", "-.e1"};
	double v = 77;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!str_to_double(bad[i], &v), "accepted \"%s\"", bad[i]);
	ck_assert(v > 76 && v < 78);
	ck_assert(str_to_double("-.5", &v));
	ck_assert_double_eq(v, -0.5);
	ck_assert(str_to_double("1.", &v));
	ck_assert_double_eq(v, 1.0);
	ck_assert(str_to_double("+2.5e-3", &v));
	ck_assert_double_eq(v, 0.0025);
	ck_assert(str_to_double("1e-999", &v));
	ck_assert_double_eq(v, 0.0);
}
END_TEST

START_TEST(names)
{
	static const char *const bad[] = {"",    ".",   "..",  ".a",       "-a",       "a..b",
					  "a/b", "a b", "a\n", "\xc3\xa9", "abcdefghi"};
	static const char *const good[] = {"a",     "psi_0", "A-1.x",   "9999",
					   "a.b.c", "a.",    "abcdefgh"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!str_is_name(bad[i], 8), "accepted \"%s\"", bad[i]);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		ck_assert_msg(str_is_name(good[i], 8), "refused \"%s\"", good[i]);
}
END_TEST

START_TEST(utf8)
{
	static const char *const good[] = {"",
					   "a",
					   "\xc2\x80",
					   "\xdf\xbf",
					   "\xe0\xa0\x80",
					   "\xed\x9f\xbf",
					   "\xee\x80\x80",
					   "\xef\xbf\xbf",
					   "\xf0\x90\x80\x80",
					   "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {
	    "\x80",
	    "\xbf",
	    "\xc0\x80",
	    "\xc1\xbf",
	    "\xc3",
	    "\xe0\x9f\xbf",
	    "\xed\xa0\x80",
	    "\xed\xbf\xbf",
	    "\xe2\x82",
	    "\xf0\x8f\xbf\xbf",
	    "\xf4\x90\x80\x80",
	    "\xf5\x80\x80\x80",
	    "\xf0\x9f\x98",
	    "\xfe",
	    "\xff",
	    "a\xc3(",
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		ck_assert_msg(str_is_utf8(good[i], strlen(good[i])), "refused text %zu", i);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!str_is_utf8(bad[i], strlen(bad[i])), "accepted text %zu", i);
	ck_assert(str_is_utf8("a\0b", 3));
}
END_TEST

START_TEST(vis_cannot_forge_a_line)
{
	static const struct {
		const char *in;
		const char *out;
	} cases[] = {
	    {"plain text", "plain text"},
	    {"a\nb\r\tc", "a\\nb\\r\\tc"},
	    {"say \"hi\" \\", "say \\\"hi\\\" \\\\"},
	    {"\x1b[31m\x7f", "\\x1b[31m\\x7f"},
	    {"\xc3\xa9\xe2\x82\xac", "\xc3\xa9\xe2\x82\xac"},
	    {"\xff\xc3", "\\xff\\xc3"},
	    {"\xc2\x85", "\\xc2\\x85"},          /* NEL */
	    {"\xe2\x80\xae", "\\xe2\\x80\\xae"}, /* right-to-left override */
	    {"\xe2\x80\xa8", "\\xe2\\x80\\xa8"}, /* line separator */
	};
	struct buf b = {0};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buf_reset(&b);
		str_vis(&b, cases[i].in, strlen(cases[i].in));
		ck_assert_str_eq(buf_str(&b), cases[i].out);
	}
	buf_reset(&b);
	str_vis(&b, "\0", 1);
	ck_assert_str_eq(buf_str(&b), "\\x00");
	/* Every byte by itself: nothing but printable ASCII comes out. */
	for (int c = 0; c < 256; c++) {
		char byte = (char)c;

		buf_reset(&b);
		str_vis(&b, &byte, 1);
		for (size_t i = 0; i < b.len; i++)
			ck_assert(b.data[i] >= 0x20 && b.data[i] < 0x7f);
	}
	buf_free(&b);
}
END_TEST

START_TEST(hex)
{
	struct buf b = {0};

	str_hex(&b, "\x00\x7f\xff", 3);
	ck_assert_str_eq(b.data, "007fff");
	buf_reset(&b);
	ck_assert(str_unhex("00fFAb", &b));
	ck_assert_uint_eq(b.len, 3);
	ck_assert_mem_eq(b.data, "\x00\xff\xab", 3);
	ck_assert(!str_unhex("0", &b));
	ck_assert(!str_unhex("00zz", &b));
	ck_assert(!str_unhex("0x", &b));
	ck_assert_uint_eq(b.len, 3); /* what was there stays */
	ck_assert(str_unhex("", &b));
	buf_free(&b);
}
END_TEST

/* The vectors of RFC 4648. */
START_TEST(base64_vectors)
{
	static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
	static const char *const coded[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
					    "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
	struct buf b = {0};

	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		buf_reset(&b);
		str_base64(&b, plain[i], strlen(plain[i]));
		ck_assert_str_eq(buf_str(&b), coded[i]);
		buf_reset(&b);
		ck_assert(str_unbase64(coded[i], strlen(coded[i]), &b));
		ck_assert_str_eq(buf_str(&b), plain[i]);
	}
	buf_reset(&b);
	str_base64(&b, "\xfb\xff\xfe", 3);
	ck_assert_str_eq(b.data, "+//+");
	buf_free(&b);
}
END_TEST

START_TEST(base64_refuses)
{
	static const char *const bad[] = {
	    "Z",        "Zg",   "Zg=",  "Zh==",         "Zm9=", "====", "Z===",
	    "Zg==Zg==", "Zm 9", "Zm9-", "Zm9v\n\n\n\n", "=m9v", "Zm=v"};
	struct buf b = {0};

	buf_adds(&b, "kept");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!str_unbase64(bad[i], strlen(bad[i]), &b), "accepted \"%s\"", bad[i]);
	ck_assert_str_eq(b.data, "kept");
	buf_free(&b);
}
END_TEST

START_TEST(distance)
{
	ck_assert_uint_eq(str_distance("", ""), 0);
	ck_assert_uint_eq(str_distance("", "abc"), 3);
	ck_assert_uint_eq(str_distance("abc", ""), 3);
	ck_assert_uint_eq(str_distance("kitten", "sitting"), 3);
	ck_assert_uint_eq(str_distance("listen", "lissten"), 1);
	ck_assert_uint_eq(str_distance("same", "same"), 0);
}
END_TEST

START_TEST(random_hex)
{
	char a[257], b[257];

	str_random_hex(a, 128);
	str_random_hex(b, 128);
	ck_assert_uint_eq(strlen(a), 256);
	ck_assert_uint_eq(strspn(a, "0123456789abcdef"), 256);
	ck_assert_str_ne(a, b);
	str_random_hex(a, 0);
	ck_assert_str_eq(a, "");
}
END_TEST

START_TEST(utc)
{
	char out[25];

	clock_format_utc(0, out, sizeof(out));
	ck_assert_str_eq(out, "1970-01-01T00:00:00.000Z");
	clock_format_utc(1709251199123, out, sizeof(out));
	ck_assert_str_eq(out, "2024-02-29T23:59:59.123Z");
	clock_format_utc(-1, out, sizeof(out));
	ck_assert_str_eq(out, "1969-12-31T23:59:59.999Z");
	clock_format_utc(253402300799999, out, sizeof(out));
	ck_assert_str_eq(out, "9999-12-31T23:59:59.999Z");
	clock_format_utc(INT64_MAX, out, sizeof(out));
	ck_assert_str_eq(out, "invalid-time");
	clock_format_utc(INT64_MIN, out, sizeof(out));
	ck_assert_str_eq(out, "invalid-time");
}
END_TEST

START_TEST(elapsed)
{
	static const struct {
		int64_t ms;
		const char *out;
	} cases[] = {
	    {-5, "0 ms"},
	    {0, "0 ms"},
	    {999, "999 ms"},
	    {1000, "1.0 s"},
	    {1299, "1.2 s"},
	    {59999, "59.9 s"},
	    {60000, "1 m 00 s"},
	    {187000, "3 m 07 s"},
	    {3599999, "59 m 59 s"},
	    {7500000, "2 h 05 m"},
	    {86399999, "23 h 59 m"},
	    {86400000, "1 d 00 h"},
	    {97200000, "1 d 03 h"},
	};
	char out[32];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		clock_format_elapsed(cases[i].ms, out, sizeof(out));
		ck_assert_str_eq(out, cases[i].out);
	}
	clock_format_elapsed(INT64_MAX, out, sizeof(out));
	clock_format_elapsed(INT64_MIN, out, sizeof(out));
	ck_assert_str_eq(out, "0 ms");
}
END_TEST

START_TEST(clocks_run_forwards)
{
	int64_t us = clock_mono_us(), ms = clock_mono_ms();

	ck_assert(clock_mono_us() >= us);
	ck_assert(ms >= us / 1000);
	ck_assert(clock_wall_ms() > 1700000000000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base_str");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_test(t, copy_truncates_and_says_so);
	tcase_add_test(t, comparisons);
	tcase_add_test(t, integers);
	tcase_add_test(t, doubles);
	tcase_add_test(t, names);
	tcase_add_test(t, utf8);
	tcase_add_test(t, vis_cannot_forge_a_line);
	tcase_add_test(t, hex);
	tcase_add_test(t, base64_vectors);
	tcase_add_test(t, base64_refuses);
	tcase_add_test(t, distance);
	tcase_add_test(t, random_hex);
	tcase_add_test(t, utc);
	tcase_add_test(t, elapsed);
	tcase_add_test(t, clocks_run_forwards);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
