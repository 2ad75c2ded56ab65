/* Forms: what clients send, cut at every place, and what nobody should send. */
#include "api/multipart.h"

#include "base/js.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE "multipart/form-data; boundary=XyZ"

static bool collect(const void *data, size_t len, void *arg, struct err *e)
{
	buf_add(arg, data, len);
	return true;
}

/* Feeds text in pieces of `piece` bytes; true when all was taken. */
static bool parse(const char *text, size_t len, size_t piece, struct buf *file, json_t **fields,
		  struct err *e)
{
	struct multipart *m = multipart_new(TYPE, collect, file, e);
	bool ok = m != NULL;

	for (size_t i = 0; ok && i < len; i += piece)
		ok = multipart_feed(m, text + i, len - i < piece ? len - i : piece, e);
	ok = ok && multipart_end(m, e);
	if (fields != NULL)
		*fields = ok ? json_incref(multipart_fields(m)) : NULL;
	multipart_free(m);
	return ok;
}

static const char form[] =
    "--XyZ\r\n"
    "Content-Disposition: form-data; name=\"head\"\r\n\r\nTrue\r\n"
    "--XyZ\r\n"
    "content-disposition:form-data; filename=\"a;name=b.csv\"; name=\"file\"\r\n"
    "Content-Type: text/csv\r\n\r\n"
    "id,x\r\n1,2\r\n--Xy not yet\r\n\r\n"
    "\r\n--XyZ  \r\n"
    "Content-Disposition: form-data; name=empty\r\n\r\n\r\n"
    "--XyZ--\r\nepilogue";
static const char file_content[] = "id,x\r\n1,2\r\n--Xy not yet\r\n\r\n";

START_TEST(every_cut_gives_the_same)
{
	for (size_t piece = 1; piece <= sizeof(form); piece++) {
		struct buf file = {0};
		struct err e;
		json_t *f;
		ck_assert_msg(parse(form, sizeof(form) - 1, piece, &file, &f, &e), "piece %zu: %s",
			      piece, e.msg);
		ck_assert_str_eq(js_str(f, "head", ""), "True");
		ck_assert_str_eq(js_str(f, "empty", "-"), "");
		ck_assert_uint_eq(json_object_size(f), 2);
		ck_assert_uint_eq(file.len, sizeof(file_content) - 1);
		ck_assert_int_eq(memcmp(file.data, file_content, file.len), 0);
		json_decref(f);
		buf_free(&file);
	}
}
END_TEST

START_TEST(every_truncation_is_noticed)
{
	/* up to the closing "--": behind it only the epilogue is missing */
	size_t whole = (size_t)(strstr(form, "--XyZ--") - form) + 7;

	for (size_t len = 0; len < whole; len++) {
		struct buf file = {0};
		struct err e;
		ck_assert_msg(!parse(form, len, 7, &file, NULL, &e),
			      "%zu bytes were taken for a form", len);
		buf_free(&file);
	}
	struct buf file = {0};
	struct err e;
	ck_assert(parse(form, whole, 7, &file, NULL, &e));
	buf_free(&file);
}
END_TEST

START_TEST(preamble_and_binary_file)
{
	static const char head[] =
	    "preamble\r\n--XyZ\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n";
	char text[600];
	struct buf file = {0};
	struct err e;
	size_t n = sizeof(head) - 1;

	memcpy(text, head, n);
	for (int i = 0; i < 256; i++)
		text[n++] = (char)i;
	memcpy(text + n, "\r\n--XyZ--", 9);
	n += 9;
	ck_assert(parse(text, n, 5, &file, NULL, &e));
	ck_assert_uint_eq(file.len, 256);
	for (int i = 0; i < 256; i++)
		ck_assert_int_eq((unsigned char)file.data[i], i);
	buf_free(&file);
}
END_TEST

START_TEST(content_types)
{
	static const struct {
		const char *type;
		bool ok;
	} cases[] = {
	    {"multipart/form-data; boundary=abc", true},
	    {"Multipart/Form-Data;charset=utf-8; Boundary=\"a b'c\"", true},
	    {"multipart/form-data", false},
	    {"multipart/form-data; boundary=", false},
	    {"multipart/form-data; boundary=\"ends with a space \"", false},
	    {"multipart/form-data; boundary=a@b", false},
	    {"multipart/form-data; xboundary=abc", false},
	    {"application/json", false},
	    {NULL, false},
	    {"multipart/form-data; boundary="
	     "1234567890123456789012345678901234567890123456789012345678901234567890",
	     true},
	    {"multipart/form-data; boundary="
	     "12345678901234567890123456789012345678901234567890123456789012345678901",
	     false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e;
		struct multipart *m = multipart_new(cases[i].type, collect, NULL, &e);
		ck_assert_msg((m != NULL) == cases[i].ok, "case %zu", i);
		multipart_free(m);
	}
}
END_TEST

START_TEST(malformed_forms)
{
	static const char *const bad[] = {
	    "--XyZ\r\nContent-Type: text/csv\r\n\r\nx\r\n--XyZ--", /* no name */
	    "--XyZ\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nx\r\n--XyZ--", /* no
											   form-data
											 */
	    "--XyZ\r\nContent-Disposition: form-data; filename=\"name=a\"\r\n\r\nx\r\n--XyZ--",
	    "--XyZjunk\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--XyZ--",
	    "--XyZ\nContent-Disposition: form-data; name=\"a\"\n\nx\n--XyZ--\n",
	    "--XyZ\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\xff\xfe\r\n--XyZ--", /* no
												 UTF-8
											       */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf file = {0};
		struct err e;
		ck_assert_msg(!parse(bad[i], strlen(bad[i]), 4, &file, NULL, &e), "case %zu", i);
		buf_free(&file);
	}
}
END_TEST

START_TEST(limits)
{
	static const char part[] = "--XyZ\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n";
	struct buf text = {0}, file = {0};
	struct err e;
	json_t *f;

	/* a field of just the allowed size, and one byte more */
	for (int more = 0; more < 2; more++) {
		buf_reset(&text);
		buf_adds(&text, part);
		for (int i = 0; i < MULTIPART_FIELD_MAX + more; i++)
			buf_addc(&text, 'v');
		buf_adds(&text, "\r\n--XyZ--");
		ck_assert(parse(text.data, text.len, 10000, &file, NULL, &e) == (more == 0));
	}
	ck_assert_int_eq(e.code, ERR_LIMIT);
	/* parts: the first of a name counts */
	for (int more = 0; more < 2; more++) {
		buf_reset(&text);
		for (int i = 0; i < MULTIPART_PARTS_MAX + more; i++)
			buf_printf(&text, "%s%d\r\n", part, i);
		buf_adds(&text, "--XyZ--");
		ck_assert(parse(text.data, text.len, 100, &file, &f, &e) == (more == 0));
		if (more == 0)
			ck_assert_str_eq(js_str(f, "a", ""), "0");
		json_decref(f);
	}
	/* a header without end */
	buf_reset(&text);
	buf_adds(&text, "--XyZ\r\nContent-Disposition: form-data; name=\"");
	for (int i = 0; i < MULTIPART_HEADER_MAX + 10; i++)
		buf_addc(&text, 'n');
	ck_assert(!parse(text.data, text.len, 100, &file, NULL, &e));
	ck_assert_int_eq(e.code, ERR_LIMIT);
	ck_assert_uint_eq(file.len, 0);
	buf_free(&text);
	buf_free(&file);
}
END_TEST

static bool refuse(const void *data, size_t len, void *arg, struct err *e)
{
	return err_set(e, ERR_IO, "disk full");
}

START_TEST(a_failing_file_ends_it)
{
	struct err e;
	struct multipart *m = multipart_new(TYPE, refuse, NULL, &e);

	ck_assert(!multipart_feed(m, form, sizeof(form) - 1, &e));
	ck_assert_int_eq(e.code, ERR_IO);
	ck_assert(multipart_has_file(m));
	multipart_free(m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("api_multipart");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, every_cut_gives_the_same);
	tcase_add_test(tc, every_truncation_is_noticed);
	tcase_add_test(tc, preamble_and_binary_file);
	tcase_add_test(tc, content_types);
	tcase_add_test(tc, malformed_forms);
	tcase_add_test(tc, limits);
	tcase_add_test(tc, a_failing_file_ends_it);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
