/* Data frames: cells, storage with checksum, selection and stacking. */
#include "config.h"
#include "comp_parties.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "component/artifact.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];

static void make_dir(void)
{
	strcpy(dir, "/tmp/norn-frame-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void remove_dir(void)
{
	struct err e;

	ck_assert(fs_remove_tree(dir, &e));
}

static struct norn_frame *sample(size_t n)
{
	struct norn_frame *f = norn_frame_new(n, "sid", "mid");
	size_t i;

	norn_frame_set_label(f, "y", NORN_INT32);
	norn_frame_set_weight(f, "w", NORN_FLOAT32);
	norn_frame_add_column(f, "a", NORN_FLOAT64);
	norn_frame_add_column(f, "t", NORN_STRING);
	f->columns[0].anonymous_name = mem_strdup("guest_x0");
	for (i = 0; i < n; i++) {
		f->sample_id[i] = mem_printf("s%zu", i);
		f->match_id[i] = mem_printf("m,%zu", i);
		f->label->num[i] = (double)(i % 2);
		f->weight->num[i] = (double)(float)(0.1 * (double)i);
		f->columns[0].num[i] = 1.0 / (double)(i + 3);
		f->columns[1].str[i] = mem_printf("\"%zu\"\n", i);
	}
	return f;
}

static void check_equal(const struct norn_frame *a, const struct norn_frame *b)
{
	size_t i;

	ck_assert_uint_eq(a->n_rows, b->n_rows);
	ck_assert_uint_eq(a->n_columns, b->n_columns);
	ck_assert_str_eq(a->sample_id_name, b->sample_id_name);
	for (i = 0; i < a->n_rows; i++) {
		ck_assert_str_eq(a->sample_id[i], b->sample_id[i]);
		ck_assert_str_eq(a->match_id[i], b->match_id[i]);
		ck_assert_double_eq(a->label->num[i], b->label->num[i]);
		ck_assert_double_eq(a->weight->num[i], b->weight->num[i]);
		ck_assert_double_eq(a->columns[0].num[i], b->columns[0].num[i]);
		ck_assert_str_eq(a->columns[1].str[i], b->columns[1].str[i]);
	}
}

static char *uri(const char *name)
{
	return mem_printf("file://%s/%s", dir, name);
}

START_TEST(stored_and_read_back)
{
	struct norn_frame *f = sample(200), *g;
	char *u = uri("deep/er");
	struct err e = {0};

	ck_assert_msg(artifact_write_frame(u, f, &e), "%s", e.msg);
	g = artifact_read_frame(u, &e);
	ck_assert_msg(g != NULL, "%s", e.msg);
	check_equal(f, g);
	ck_assert_str_eq(g->columns[0].anonymous_name, "guest_x0");
	ck_assert_int_eq(g->label->dtype, NORN_INT32);
	norn_frame_free(g);
	norn_frame_free(f);
	free(u);
}
END_TEST

START_TEST(damage_is_noticed)
{
	struct norn_frame *f = sample(5);
	char *u = uri("t"), *csv = mem_printf("%s/t/data.csv", dir);
	char *info = mem_printf("%s/t/table.json", dir);
	struct err e = {0};
	json_t *o;
	FILE *out;

	ck_assert(artifact_write_frame(u, f, &e));
	out = fopen(csv, "a");
	fputs("s9,m9,0,0,1,x\n", out);
	fclose(out);
	ck_assert_ptr_null(artifact_read_frame(u, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "checksum"));

	ck_assert(artifact_write_frame(u, f, &e));
	o = js_load_file(info, &js_limits_default, &e);
	json_object_set_new(o, "count", json_integer(4));
	ck_assert(js_save_file(info, o, &e));
	ck_assert_ptr_null(artifact_read_frame(u, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "more rows"));
	json_object_set_new(o, "count", json_integer(6));
	ck_assert(js_save_file(info, o, &e));
	ck_assert_ptr_null(artifact_read_frame(u, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "fewer rows"));
	json_object_set_new(o, "count", json_integer(INT64_MAX));
	ck_assert(js_save_file(info, o, &e));
	ck_assert_ptr_null(artifact_read_frame(u, &e));
	json_object_set_new(o, "count", json_integer(-1));
	ck_assert(js_save_file(info, o, &e));
	ck_assert_ptr_null(artifact_read_frame(u, &e));
	json_decref(o);

	unlink(info);
	ck_assert_ptr_null(artifact_read_frame(u, &e));
	norn_frame_free(f);
	free(u);
	free(csv);
	free(info);
}
END_TEST

START_TEST(only_plain_local_files)
{
	static const char *const bad[] = {"http://x/y",  "file://host/x", "file:///a/../b",
					  "file://",     "/etc/passwd",   "",
					  "file:///a/.."};
	struct err e = {0};
	char *path = NULL;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!artifact_path(bad[i], &path, &e), "%s", bad[i]);
	ck_assert(!artifact_path(NULL, &path, &e));
	ck_assert(artifact_path("file:///a/b..c", &path, &e));
	ck_assert_str_eq(path, "/a/b..c");
	free(path);
}
END_TEST

START_TEST(cells)
{
	static const struct {
		enum norn_dtype t;
		const char *text;
		double want;
	} good[] = {{NORN_INT32, "-2147483648", -2147483648.0},
		    {NORN_INT32, "7.0", 7},
		    {NORN_INT64, "9007199254740992", 9007199254740992.0},
		    {NORN_BOOL, "True", 1},
		    {NORN_BOOL, "0", 0},
		    {NORN_FLOAT64, "-1.5e-300", -1.5e-300},
		    {NORN_FLOAT32, "0.1", (double)0.1f}};
	static const struct {
		enum norn_dtype t;
		const char *text;
	} bad[] = {{NORN_INT32, "2147483648"}, {NORN_INT32, "-2147483649"},
		   {NORN_INT32, "1.5"},        {NORN_INT64, "9007199254740994"},
		   {NORN_BOOL, "yes"},         {NORN_FLOAT64, "nan"},
		   {NORN_FLOAT64, "inf"},      {NORN_FLOAT64, ""},
		   {NORN_FLOAT64, "1 "},       {NORN_FLOAT32, "1e60"}};
	const char *why = NULL;
	double v;
	size_t i;

	for (i = 0; i < ARRAY_LEN(good); i++) {
		ck_assert_msg(cell_parse(good[i].text, good[i].t, &v, &why), "%s", good[i].text);
		ck_assert_double_eq(v, good[i].want);
	}
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		why = NULL;
		ck_assert_msg(!cell_parse(bad[i].text, bad[i].t, &v, &why), "%s", bad[i].text);
		ck_assert_ptr_nonnull(why);
	}
}
END_TEST

START_TEST(cells_are_written_shortly_and_exactly)
{
	static const double values[] = {0.1, 1.0 / 3, 1e300, -2.5, 123456789.125, 5e-324};
	struct buf b = {0};
	const char *why;
	double v;
	size_t i;

	for (i = 0; i < ARRAY_LEN(values); i++) {
		buf_reset(&b);
		cell_format(&b, NORN_FLOAT64, values[i]);
		ck_assert(cell_parse(b.data, NORN_FLOAT64, &v, &why));
		ck_assert_double_eq(v, values[i]);
	}
	buf_reset(&b);
	cell_format(&b, NORN_FLOAT64, 0.1);
	ck_assert_str_eq(b.data, "0.1");
	buf_reset(&b);
	cell_format(&b, NORN_FLOAT32, (double)0.1f);
	ck_assert_str_eq(b.data, "0.1");
	buf_reset(&b);
	cell_format(&b, NORN_INT64, -42);
	ck_assert_str_eq(b.data, "-42");
	buf_free(&b);
}
END_TEST

START_TEST(select_and_stack)
{
	static const size_t rows[] = {4, 0, 4};
	struct norn_frame *f = sample(5), *g = norn_frame_select(f, rows, 3), *h, *other;
	struct err e = {0};

	ck_assert_str_eq(g->sample_id[0], "s4");
	ck_assert_str_eq(g->sample_id[1], "s0");
	ck_assert_double_eq(g->columns[0].num[2], f->columns[0].num[4]);
	h = frame_stack(f, g, &e);
	ck_assert_ptr_nonnull(h);
	ck_assert_uint_eq(h->n_rows, 8);
	ck_assert_str_eq(h->sample_id[7], "s4");
	other = sample(1);
	norn_frame_add_column(other, "more", NORN_INT32);
	ck_assert_ptr_null(frame_stack(f, other, &e));
	norn_frame_free(other);
	norn_frame_free(h);
	norn_frame_free(g);
	norn_frame_free(f);
}
END_TEST

START_TEST(duplicates_and_hash)
{
	struct norn_frame *f = sample(4), *g = sample(4);
	unsigned char a[32], b[32];
	size_t first, second;
	struct err e;
	char *t;

	ck_assert(!frame_find_duplicate(f->match_id, 4, &first, &second));
	ck_assert(frame_ids_hash(f, a, &e) && frame_ids_hash(g, b, &e));
	ck_assert_int_eq(memcmp(a, b, 32), 0);
	t = g->sample_id[0];
	g->sample_id[0] = g->sample_id[1];
	g->sample_id[1] = t;
	ck_assert(frame_ids_hash(g, b, &e));
	ck_assert_int_ne(memcmp(a, b, 32), 0);
	free(f->match_id[3]);
	f->match_id[3] = mem_strdup(f->match_id[1]);
	ck_assert(frame_find_duplicate(f->match_id, 4, &first, &second));
	ck_assert_uint_eq(first, 2);
	ck_assert_uint_eq(second, 4);
	norn_frame_free(f);
	norn_frame_free(g);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("comp_frame");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, make_dir, remove_dir);
	tcase_add_test(t, stored_and_read_back);
	tcase_add_test(t, damage_is_noticed);
	tcase_add_test(t, only_plain_local_files);
	tcase_add_test(t, cells);
	tcase_add_test(t, cells_are_written_shortly_and_exactly);
	tcase_add_test(t, select_and_stack);
	tcase_add_test(t, duplicates_and_hash);
	suite_add_tcase(s, t);
	return run_suite(s);
}
