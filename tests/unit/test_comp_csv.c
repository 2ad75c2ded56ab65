/* The CSV reader and the import of a user's file, with hostile input. */
#include "config.h"
#include "comp_parties.h"

#include "base/buf.h"
#include "base/js.h"
#include "component/rawtable.h"
#include <stdlib.h>
#include <string.h>

static FILE *text_file(const void *text, size_t len)
{
	FILE *f = tmpfile();

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, len, f), len);
	rewind(f);
	return f;
}

/* All records as "a|b\nc|d\n", or the error as "!message". */
static void read_all(const void *text, size_t len, char delimiter, struct buf *out)
{
	FILE *f = text_file(text, len);
	struct csv_reader r;
	struct err e = {0};
	enum csv_result got;
	size_t i;

	ck_assert(csv_reader_init(&r, f, delimiter, &e));
	while ((got = csv_read(&r, &e)) == CSV_RECORD) {
		for (i = 0; i < r.n_fields; i++)
			buf_printf(out, "%s%s", i ? "|" : "", csv_field(&r, i));
		buf_addc(out, '\n');
	}
	if (got == CSV_ERROR)
		buf_printf(out, "!%s", e.msg);
	csv_reader_free(&r);
	fclose(f);
}

#define CHECK_CSV(text, want)                                                                      \
	do {                                                                                       \
		struct buf b_ = {0};                                                               \
		read_all(text, sizeof(text) - 1, ',', &b_);                                        \
		ck_assert_str_eq(buf_str(&b_), want);                                              \
		buf_free(&b_);                                                                     \
	} while (0)

#define CHECK_FAILS(text, part)                                                                    \
	do {                                                                                       \
		struct buf b_ = {0};                                                               \
		read_all(text, sizeof(text) - 1, ',', &b_);                                        \
		ck_assert_msg(strchr(buf_str(&b_), '!') && strstr(buf_str(&b_), part), "got %s",   \
			      buf_str(&b_));                                                       \
		buf_free(&b_);                                                                     \
	} while (0)

START_TEST(well_formed)
{
	CHECK_CSV("", "");
	CHECK_CSV("a,b\nc,d\n", "a|b\nc|d\n");
	CHECK_CSV("a,b\r\nc,d\r\n", "a|b\nc|d\n");
	CHECK_CSV("a,b\nc,d", "a|b\nc|d\n");
	CHECK_CSV("a,,\n,\n", "a||\n|\n");
	CHECK_CSV("\n\na\n\n\nb\n\n", "a\nb\n");
	CHECK_CSV("\"a\",\"b,c\"\n", "a|b,c\n");
	CHECK_CSV("\"a \"\"x\"\" b\",\"\"\n", "a \"x\" b|\n");
	CHECK_CSV("\"two\nlines\",x\n", "two\nlines|x\n");
	CHECK_CSV("\xEF\xBB\xBF"
		  "id,x\n1,2\n",
		  "id|x\n1|2\n");
	CHECK_CSV("\xEF\xBB\xBF\"id\",x\n", "id|x\n");
	CHECK_CSV("\xEF\xBC\xA1,x\n", "\xEF\xBC\xA1|x\n"); /* starts like a byte order mark */
	CHECK_CSV("a\r", "a\n");
}
END_TEST

START_TEST(malformed)
{
	CHECK_FAILS("a,b\nc,\"d\n", "line 2: a quoted field is not closed");
	CHECK_FAILS("a\nb\"c\n", "line 2, field 1: a quote in an unquoted field");
	CHECK_FAILS("a\n\"b\"c\n", "line 2, field 1: text after the closing quote");
	CHECK_FAILS("a\nx,b\0c\n", "line 2, field 2: contains a NUL byte");
	CHECK_FAILS("a\nx,\"b\0c\"\n", "line 2, field 2: contains a NUL byte");
	CHECK_FAILS("a\rb\n", "carriage return");
	CHECK_FAILS("a\n\xff\n", "line 2, field 1: not UTF-8");
	CHECK_FAILS("a\n\xc0\xaf\n", "not UTF-8");
	CHECK_FAILS("\xEF", "not UTF-8");
	CHECK_FAILS("\xEF\xBB", "not UTF-8");
}
END_TEST

START_TEST(lines_are_counted_within_quotes)
{
	CHECK_FAILS("\"a\nb\nc\",d\n\"x\"y\n", "line 4");
}
END_TEST

START_TEST(limits)
{
	size_t len = CSV_FIELD_MAX + 10;
	char *text = malloc(len);
	struct buf b = {0};
	size_t i;

	memset(text, 'x', len);
	read_all(text, CSV_FIELD_MAX, ',', &b);
	ck_assert_uint_eq(b.len, CSV_FIELD_MAX + 1);
	buf_reset(&b);
	read_all(text, len, ',', &b);
	ck_assert_ptr_nonnull(strstr(b.data, "!line 1, field 1: longer than"));
	buf_reset(&b);
	text[0] = '"';
	read_all(text, len, ',', &b);
	ck_assert_ptr_nonnull(strstr(b.data, "!line 1, field 1: longer than"));
	buf_reset(&b);
	for (i = 0; i < len; i++)
		text[i] = ',';
	read_all(text, len, ',', &b);
	ck_assert_ptr_nonnull(strstr(b.data, "!line 1: more than"));
	free(text);
	buf_free(&b);
}
END_TEST

START_TEST(delimiters)
{
	struct csv_reader r;
	struct err e = {0};
	struct buf b = {0};

	read_all("a;b,c\n\"x;y\";z\n", 14, ';', &b);
	ck_assert_str_eq(buf_str(&b), "a|b,c\nx;y|z\n");
	buf_free(&b);
	ck_assert(!csv_reader_init(&r, stdin, '"', &e));
	ck_assert(!csv_reader_init(&r, stdin, '\n', &e));
	ck_assert(!csv_reader_init(&r, stdin, '\0', &e));
	ck_assert(!csv_reader_init(&r, stdin, (char)0xe9, &e));
}
END_TEST

START_TEST(written_fields_read_back)
{
	static const char *const fields[] = {"plain", "", "a,b", "say \"x\"", "two\nlines", "\r"};
	struct buf text = {0}, back = {0};
	size_t i;

	for (i = 0; i < ARRAY_LEN(fields); i++) {
		buf_reset(&text);
		buf_reset(&back);
		csv_add(&text, fields[i], ',');
		buf_addc(&text, '\n');
		read_all(text.data, text.len, ',', &back);
		ck_assert_uint_eq(back.len, strlen(fields[i]) + 1);
		ck_assert_int_eq(memcmp(back.data, fields[i], strlen(fields[i])), 0);
	}
	buf_free(&text);
	buf_free(&back);
}
END_TEST

/* Import text with the given meta; the table as text, or the error as "!message". */
static void import(const char *text, const char *meta_json, bool head, bool extend, struct buf *out,
		   json_t **schema)
{
	struct err e = {0};
	json_t *given = json_loads(meta_json, 0, NULL), *meta = rawtable_check_meta(given, &e);
	json_t *samples = NULL, *s = NULL;
	size_t count = 0, n;
	char block[4096];
	FILE *in, *table;
	struct raw_source src = {.head = head, .extend_sid = extend, .meta = meta};

	json_decref(given);
	if (meta == NULL) {
		buf_printf(out, "!%s", e.msg);
		return;
	}
	in = text_file(text, strlen(text));
	table = tmpfile();
	src.in = in;
	if (rawtable_import(&src, table, &s, &count, &samples, &e)) {
		rewind(table);
		while ((n = fread(block, 1, sizeof block, table)) > 0)
			buf_add(out, block, n);
		ck_assert_uint_eq(json_array_size(samples), count);
		if (schema != NULL)
			*schema = json_incref(s);
	} else {
		ck_assert_ptr_null(samples);
		buf_printf(out, "!%s", e.msg);
	}
	json_decref(s);
	json_decref(samples);
	json_decref(meta);
	fclose(in);
	fclose(table);
}

static void check_import(const char *text, const char *meta, bool head, const char *want)
{
	struct buf b = {0};

	import(text, meta, head, false, &b, NULL);
	if (want[0] == '!')
		ck_assert_msg(strstr(buf_str(&b), want + 1) && b.data[0] == '!', "got %s",
			      buf_str(&b));
	else
		ck_assert_str_eq(buf_str(&b), want);
	buf_free(&b);
}

START_TEST(import_reorders_and_checks)
{
	check_import("id,x\na,1\nb,2\n", "{}", true, "id,x\na,1\nb,2\n");
	check_import("x,id\n1,a\n2,b\n", "{\"sample_id_name\":\"id\"}", true, "id,x\na,1\nb,2\n");
	check_import("x;id\n1;a\n", "{\"sample_id_name\":\"id\",\"delimiter\":\";\"}", true,
		     "id,x\na,1\n");
	check_import("a,1\n", "{\"header\":\"id,x\"}", false, "id,x\na,1\n");
	check_import("id,x\na,1\nb\n", "{}", true, "!line 3: 1 fields, but the header has 2");
	check_import("id,x\na,1,2\n", "{}", true, "!line 2: 3 fields, but the header has 2");
	check_import("id,x\na,1\nb,2\n\na,3\n", "{}", true,
		     "!line 5: the sample id (column id) was already on line 2");
	check_import("id,x\n,1\n", "{}", true, "!line 2: the sample id (column id) is empty");
	check_import("id,x,x\na,1,2\n", "{}", true, "!column x appears twice");
	check_import("id,\na,1\n", "{}", true, "!column 2 has no name");
	check_import("id,x\n", "{}", true, "!no rows");
	check_import("", "{}", true, "!empty");
	check_import("a,1\n", "{}", false, "!meta.header");
	check_import("id,x\na,1\n", "{\"sample_id_name\":\"no\"}", true, "!no column no");
}
END_TEST

START_TEST(import_refuses_unknown_meta)
{
	check_import("id\na\n", "{\"surprise\":1}", true, "!unknown parameter meta.surprise");
	check_import("id\na\n", "{\"delimiter\":\"\"}", true, "!delimiter");
	check_import("id\na\n", "{\"dtype\":\"complex\"}", true, "!unknown type 'complex'");
	check_import("id\na\n", "{\"input_format\":\"tag\"}", true, "!input_format");
	check_import("id\na\n", "{\"na_values\":\"NA\"}", true, "!na_values");
	check_import("id\na\n", "{\"match_id_range\":1}", true, "!not supported");
	check_import("id\na\n", "{\"match_id_range\":0,\"label_name\":null}", true, "id\na\n");
}
END_TEST

START_TEST(import_makes_ids)
{
	struct buf b = {0};
	json_t *schema = NULL;

	import("id,x\na,1\na,2\n", "{\"match_id_name\":\"id\"}", true, true, &b, &schema);
	ck_assert_int_eq(strncmp(buf_str(&b), "extend_sid,id,x\n", 16), 0);
	ck_assert_ptr_nonnull(strstr(b.data, "0,a,1\n"));
	ck_assert_ptr_nonnull(strstr(b.data, "1,a,2\n"));
	ck_assert_str_eq(js_str(schema, "sample_id_name", ""), "extend_sid");
	ck_assert_str_eq(js_str(schema, "header", ""), "extend_sid,id,x");
	json_decref(schema);
	buf_free(&b);
}
END_TEST

/* Import and convert; the frame, or NULL with the error. */
static struct norn_frame *convert(const char *text, const char *meta, struct err *e)
{
	struct buf b = {0};
	json_t *schema = NULL;
	struct norn_frame *f;
	size_t rows = 0, i;
	FILE *in;

	import(text, meta, true, false, &b, &schema);
	ck_assert_msg(schema != NULL, "%s", buf_str(&b));
	for (i = 0; i < b.len; i++)
		rows += b.data[i] == '\n';
	in = text_file(b.data, b.len);
	f = rawtable_to_frame(in, schema, rows - 1, "guest_1", e);
	fclose(in);
	json_decref(schema);
	buf_free(&b);
	return f;
}

START_TEST(convert_types)
{
	struct err e = {0};
	struct norn_frame *f =
	    convert("id,y,w,a,b,t\nr1,1,0.5,1.25,7,x\nr2,0,2,-3e2,8,\"y,z\"\n",
		    "{\"label_name\":\"y\",\"weight_name\":\"w\",\"dtype\":{\"a\":\"float64\","
		    "\"b\":\"int64\",\"t\":\"np_object\"}}",
		    &e);

	ck_assert_msg(f != NULL, "%s", e.msg);
	ck_assert_uint_eq(f->n_rows, 2);
	ck_assert_uint_eq(f->n_columns, 3);
	ck_assert_str_eq(f->sample_id[1], "r2");
	ck_assert_str_eq(f->match_id[1], "r2");
	ck_assert_double_eq(f->label->num[0], 1);
	ck_assert_double_eq(f->weight->num[1], 2);
	ck_assert_double_eq(norn_frame_column(f, "a")->num[1], -300);
	ck_assert_double_eq(norn_frame_column(f, "b")->num[0], 7);
	ck_assert_str_eq(norn_frame_column(f, "t")->str[1], "y,z");
	ck_assert_str_eq(f->columns[2].anonymous_name, "guest_1_x2");
	ck_assert_str_eq(f->label->anonymous_name, "guest_1_y");
	norn_frame_free(f);
}
END_TEST

START_TEST(convert_names_the_bad_cell)
{
	struct err e = {0};

	ck_assert_ptr_null(convert("id,x\na,1\nb,oops\n", "{}", &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "line 3, column x: 'oops' is not a finite number"));
	ck_assert_ptr_null(convert("id,x\na,\n", "{}", &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "line 2, column x"));
	ck_assert_ptr_null(convert("id,y\na,0.5\n", "{\"label_name\":\"y\"}", &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "line 2, column y: '0.5' is not a whole number"));
	ck_assert_ptr_null(convert("id,x\na,inf\n", "{}", &e));
	ck_assert_ptr_null(convert("id,x\na,1e39\n", "{}", &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "out of range"));
	ck_assert_ptr_null(convert("id,m,x\na,,1\n", "{\"match_id_name\":\"m\"}", &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "line 2, column m: the match id is empty"));
	ck_assert_ptr_null(convert("id,x\na,1\n", "{\"label_name\":\"y\"}", &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "no column y (meta.label_name)"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("comp_csv");
	TCase *t = tcase_create("all");

	tcase_add_test(t, well_formed);
	tcase_add_test(t, malformed);
	tcase_add_test(t, lines_are_counted_within_quotes);
	tcase_add_test(t, limits);
	tcase_add_test(t, delimiters);
	tcase_add_test(t, written_fields_read_back);
	tcase_add_test(t, import_reorders_and_checks);
	tcase_add_test(t, import_refuses_unknown_meta);
	tcase_add_test(t, import_makes_ids);
	tcase_add_test(t, convert_types);
	tcase_add_test(t, convert_names_the_bad_cell);
	suite_add_tcase(s, t);
	return run_suite(s);
}
