/* data_split, feature_scale and evaluation: their computations against values worked out by hand.
 */
#include "config.h"
#include "comp_parties.h"

#include "base/js.h"
#include "base/mem.h"
#include "component/eval.h"
#include "component/scale.h"
#include "component/split.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- split ---- */

#define NONE                                                                                       \
	{                                                                                          \
		false, false, 0                                                                    \
	}
#define PART(v)                                                                                    \
	{                                                                                          \
		true, true, v                                                                      \
	}
#define ROWS(v)                                                                                    \
	{                                                                                          \
		true, false, v                                                                     \
	}
#define SIZES(...) ((const struct split_size[SPLIT_SETS]){__VA_ARGS__})

static void check_counts(const struct split_size *given, size_t n, size_t a, size_t b, size_t c)
{
	size_t counts[SPLIT_SETS];
	struct err e = {0};

	ck_assert_msg(split_counts(given, n, counts, &e), "%s", e.msg);
	ck_assert_uint_eq(counts[0], a);
	ck_assert_uint_eq(counts[1], b);
	ck_assert_uint_eq(counts[2], c);
}

START_TEST(split_sizes)
{
	size_t counts[SPLIT_SETS];
	struct err e;

	check_counts(SIZES(NONE, NONE, NONE), 100, 80, 20, 0);
	check_counts(SIZES(PART(0.7), NONE, NONE), 10, 7, 0, 3);
	check_counts(SIZES(NONE, PART(0.2), NONE), 10, 8, 2, 0);
	check_counts(SIZES(NONE, NONE, PART(0.3)), 10, 7, 0, 3);
	check_counts(SIZES(PART(0.5), NONE, PART(0.3)), 10, 5, 2, 3);
	check_counts(SIZES(ROWS(5), ROWS(3), NONE), 10, 5, 3, 2);
	check_counts(SIZES(ROWS(10), NONE, NONE), 10, 10, 0, 0);
	/* rounding never fills a set of size zero */
	check_counts(SIZES(PART(0.5), PART(0.5), PART(0)), 5, 3, 2, 0);
	check_counts(SIZES(PART(1), NONE, NONE), 3, 3, 0, 0);
	check_counts(SIZES(PART(0.33), PART(0.33), PART(0.34)), 1, 0, 0, 1);
	ck_assert(!split_counts(SIZES(PART(0.7), PART(0.7), NONE), 10, counts, &e));
	ck_assert(!split_counts(SIZES(PART(0.7), PART(0.1), PART(0.1)), 10, counts, &e));
	ck_assert(!split_counts(SIZES(ROWS(11), NONE, NONE), 10, counts, &e));
	ck_assert(!split_counts(SIZES(ROWS(3), ROWS(3), ROWS(3)), 10, counts, &e));
}
END_TEST

START_TEST(split_is_a_repeatable_partition)
{
	static const size_t counts[] = {60, 30, 10};
	unsigned char a[100], b[100], c[100];
	size_t got[SPLIT_SETS] = {0}, i;

	split_rows(NULL, 100, counts, 42, a);
	split_rows(NULL, 100, counts, 42, b);
	split_rows(NULL, 100, counts, 43, c);
	ck_assert_int_eq(memcmp(a, b, 100), 0);
	ck_assert_int_ne(memcmp(a, c, 100), 0);
	for (i = 0; i < 100; i++)
		got[a[i]]++;
	ck_assert_int_eq(memcmp(got, counts, sizeof got), 0);
}
END_TEST

START_TEST(strata_keep_their_shares)
{
	/* 70 zeros, 20 ones, 10 twos; each set must get its share within a row */
	static const size_t counts[] = {50, 30, 20};
	static const size_t all[] = {70, 20, 10};
	unsigned char set_of[100];
	double label[100];
	size_t got[3][SPLIT_SETS] = {{0}}, sum[SPLIT_SETS] = {0}, i, j;

	for (i = 0; i < 100; i++)
		label[i] = i % 10 < 7 ? 0 : i % 10 < 9 ? 1 : 2;
	split_rows(label, 100, counts, 1, set_of);
	for (i = 0; i < 100; i++) {
		got[(size_t)label[i]][set_of[i]]++;
		sum[set_of[i]]++;
	}
	for (j = 0; j < SPLIT_SETS; j++) {
		ck_assert_uint_eq(sum[j], counts[j]);
		for (i = 0; i < 3; i++)
			ck_assert_double_eq_tol((double)got[i][j],
						(double)(all[i] * counts[j]) / 100, 1.01);
	}
}
END_TEST

/* ---- scale ---- */

static struct norn_frame *one_column(const double *v, size_t n)
{
	struct norn_frame *f = norn_frame_new(n, "id", "id");
	size_t i;

	norn_frame_add_column(f, "a", NORN_INT32);
	for (i = 0; i < n; i++) {
		f->sample_id[i] = mem_printf("%zu", i);
		f->match_id[i] = mem_printf("%zu", i);
		f->columns[0].num[i] = v[i];
	}
	return f;
}

static struct scaler scaler_for(enum scale_method method, double low, double high, bool strict)
{
	struct scaler s = {.method = method, .strict = strict, .n = 1};

	s.columns = mem_array(1, sizeof *s.columns);
	s.columns[0].name = mem_strdup("a");
	s.columns[0].low = low;
	s.columns[0].high = high;
	return s;
}

/* Fit on v, through JSON and back, apply to w, compare. */
static void check_scale(struct scaler s, const double *v, size_t n, const double *w, size_t m,
			const double *want)
{
	struct norn_frame *f = one_column(v, n), *g = one_column(w, m);
	struct scaler back;
	struct err e = {0};
	json_t *model;
	size_t i;

	ck_assert(scaler_fit(&s, f, &e));
	model = scaler_to_json(&s);
	ck_assert_msg(scaler_from_json(model, &back, &e), "%s", e.msg);
	ck_assert(scaler_apply(&back, g, &e));
	for (i = 0; i < m; i++)
		ck_assert_double_eq_tol(g->columns[0].num[i], want[i], 1e-12);
	ck_assert_int_eq(g->columns[0].dtype, NORN_FLOAT64);
	json_decref(model);
	scaler_free(&s);
	scaler_free(&back);
	norn_frame_free(f);
	norn_frame_free(g);
}

START_TEST(scales_by_hand)
{
	static const double v[] = {2, 4, 4, 4, 5, 5, 7, 9}, w[] = {5, 9, 13, 2};
	const double std = sqrt(32.0 / 7);
	const double standard[] = {0, 4 / std, 8 / std, -3 / std};
	static const double range[] = {3.0 / 7 * 4 - 2, 2, 11.0 / 7 * 4 - 2, -2};
	static const double strict[] = {3.0 / 7 * 4 - 2, 2, 2, -2};
	static const double flat[] = {3, 3, 3}, zero[] = {0, 0, 0};

	check_scale(scaler_for(SCALE_STANDARD, 0, 1, true), v, 8, w, 4, standard);
	check_scale(scaler_for(SCALE_MIN_MAX, -2, 2, false), v, 8, w, 4, range);
	check_scale(scaler_for(SCALE_MIN_MAX, -2, 2, true), v, 8, w, 4, strict);
	check_scale(scaler_for(SCALE_STANDARD, 0, 1, true), flat, 3, flat, 3, zero);
	check_scale(scaler_for(SCALE_MIN_MAX, 0, 1, true), flat, 3, flat, 3, zero);
}
END_TEST

START_TEST(scale_errors)
{
	static const double v[] = {1, 2};
	static const char *const bad[] = {
	    "{}", "[]", "{\"meta\":{\"method\":\"standard\"}}",
	    "{\"meta\":{\"method\":\"standard\"},\"data\":{\"scaler_info\":{\"select_col\":[\"a\"]}"
	    "}}",
	    "{\"meta\":{\"method\":\"standard\"},\"data\":{\"scaler_info\":{\"select_col\":[\"a\"],"
	    "\"mean\":{\"a\":1},\"std\":{\"a\":0}}}}"};
	struct norn_frame *f = one_column(v, 2);
	struct scaler s = scaler_for(SCALE_STANDARD, 0, 1, true), t;
	struct err e;
	size_t i;

	ck_assert(scaler_fit(&s, f, &e));
	free(f->columns[0].name);
	f->columns[0].name = mem_strdup("b");
	ck_assert(!scaler_apply(&s, f, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "no column a"));
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		json_t *o = json_loads(bad[i], 0, NULL);

		ck_assert_msg(!scaler_from_json(o, &t, &e), "%s", bad[i]);
		json_decref(o);
	}
	scaler_free(&s);
	norn_frame_free(f);
}
END_TEST

/* ---- evaluation ---- */

/*
 * scores 0.9 0.8 0.7 0.6 0.55 0.54 with labels 1 1 0 1 0 0: of 9 pairs 8 are in order, AUC 8/9;
 * after the second row the rates are 2/3 and 0: KS 2/3.
 */
static const double score[] = {0.54, 0.9, 0.7, 0.6, 0.8, 0.55}, label[] = {0, 1, 0, 1, 1, 0};

START_TEST(auc_and_ks_by_hand)
{
	static const double tied[] = {0.5, 0.5, 0.5, 0.5}, mixed[] = {1, 0, 1, 0};
	static const double half[] = {0.9, 0.5, 0.5, 0.1}, up[] = {1, 1, 0, 0};
	static const double wrong[] = {0, 0, 1, 1}, minus[] = {1, 1, -1, -1};
	struct eval_curve c;
	struct err e;

	ck_assert(eval_curve_make(score, label, 6, &c, &e));
	ck_assert_double_eq_tol(eval_auc(&c), 8.0 / 9, 1e-12);
	ck_assert_double_eq_tol(eval_ks(&c), 2.0 / 3, 1e-12);
	eval_curve_free(&c);
	ck_assert(eval_curve_make(tied, mixed, 4, &c, &e));
	ck_assert_double_eq_tol(eval_auc(&c), 0.5, 1e-12);
	ck_assert_double_eq_tol(eval_ks(&c), 0, 1e-12);
	eval_curve_free(&c);
	ck_assert(eval_curve_make(half, up, 4, &c, &e));
	ck_assert_double_eq_tol(eval_auc(&c), 3.5 / 4, 1e-12);
	eval_curve_free(&c);
	ck_assert(eval_curve_make(half, wrong, 4, &c, &e));
	ck_assert_double_eq_tol(eval_auc(&c), 0.5 / 4, 1e-12);
	eval_curve_free(&c);
	ck_assert(eval_curve_make(half, minus, 4, &c, &e));
	ck_assert_double_eq_tol(eval_auc(&c), 3.5 / 4, 1e-12);
	eval_curve_free(&c);
	ck_assert(!eval_curve_make(half, mixed, 1, &c, &e)); /* one label only */
}
END_TEST

START_TEST(threshold_metrics_by_hand)
{
	struct eval_counts k;
	struct eval_curve c;
	struct err e;

	ck_assert(eval_curve_make(score, label, 6, &c, &e));
	k = eval_count(&c, 0.6); /* above: 0.9 0.8 0.7 */
	ck_assert(k.tp == 2 && k.fp == 1 && k.tn == 2 && k.fn == 1);
	ck_assert_double_eq_tol(eval_accuracy(&k), 4.0 / 6, 1e-12);
	ck_assert_double_eq_tol(eval_precision(&k), 2.0 / 3, 1e-12);
	ck_assert_double_eq_tol(eval_recall(&k), 2.0 / 3, 1e-12);
	ck_assert_double_eq_tol(eval_f1(&k), 2.0 / 3, 1e-12);
	k = eval_count(&c, 0.95);
	ck_assert(k.tp == 0 && k.fp == 0 && k.fn == 3 && k.tn == 3);
	ck_assert_double_eq(eval_precision(&k), 0);
	k = eval_count(&c, 0);
	ck_assert(k.tp == 3 && k.fp == 3);
	eval_curve_free(&c);
}
END_TEST

START_TEST(multi_and_regression_by_hand)
{
	static const double p[] = {0, 1, 2, 2, 1}, l[] = {0, 1, 1, 2, 0};
	static const double rp[] = {1, 2, 3}, rl[] = {2, 2, 5};
	struct eval_multi m;
	struct eval_regression r;

	eval_multi(p, l, 5, &m);
	ck_assert_double_eq_tol(m.accuracy, 3.0 / 5, 1e-12);
	ck_assert_double_eq_tol(m.precision, (1 + 0.5 + 0.5) / 3, 1e-12);
	ck_assert_double_eq_tol(m.recall, (0.5 + 0.5 + 1) / 3, 1e-12);
	eval_regression(rp, rl, 3, &r);
	ck_assert_double_eq_tol(r.mse, 5.0 / 3, 1e-12);
	ck_assert_double_eq_tol(r.rmse, sqrt(5.0 / 3), 1e-12);
	ck_assert_double_eq_tol(r.mae, 1, 1e-12);
	ck_assert_double_eq_tol(r.r2, 1 - 5.0 / 6, 1e-12);
}
END_TEST

START_TEST(metrics_as_json)
{
	struct eval_curve c;
	struct err e;
	json_t *v, *col;

	ck_assert(eval_curve_make(score, label, 6, &c, &e));
	v = eval_metric("auc", &c, score, label, 6);
	ck_assert_str_eq(js_str(v, "metric", ""), "auc");
	ck_assert_double_eq_tol(js_num(v, "val", 0), 8.0 / 9, 1e-12);
	json_decref(v);
	v = eval_metric("ks", &c, score, label, 6);
	ck_assert_double_eq_tol(js_num(json_array_get(v, 0), "val", 0), 2.0 / 3, 1e-12);
	col = js_get(json_array_get(v, 1), "val.tpr");
	ck_assert_uint_eq(json_array_size(col), 101);
	ck_assert_uint_eq(json_array_size(js_get(json_array_get(v, 1), "val.cuts")), 101);
	json_decref(v);
	v = eval_metric("confusion_matrix", &c, score, label, 6);
	/* cut 0.5: the threshold is the fourth highest score, 0.6 */
	ck_assert_double_eq(json_number_value(json_array_get(js_get(v, "val.threshold"), 50)), 0.6);
	ck_assert_double_eq(json_number_value(json_array_get(js_get(v, "val.tp"), 50)), 2);
	ck_assert_double_eq(json_number_value(json_array_get(js_get(v, "val.fn"), 50)), 1);
	json_decref(v);
	ck_assert(!eval_metric_known("aucs"));
	ck_assert(eval_metric_binary("recall") && !eval_metric_binary("mse"));
	v = eval_roc_json(&c, 3);
	col = json_object_get(v, "tpr");
	ck_assert_double_eq(json_number_value(json_array_get(col, 0)), 0);
	ck_assert_double_eq(json_number_value(json_array_get(col, json_array_size(col) - 1)), 1);
	json_decref(v);
	eval_curve_free(&c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("comp_data");
	TCase *t = tcase_create("all");

	tcase_add_test(t, split_sizes);
	tcase_add_test(t, split_is_a_repeatable_partition);
	tcase_add_test(t, strata_keep_their_shares);
	tcase_add_test(t, scales_by_hand);
	tcase_add_test(t, scale_errors);
	tcase_add_test(t, auc_and_ks_by_hand);
	tcase_add_test(t, threshold_metrics_by_hand);
	tcase_add_test(t, multi_and_regression_by_hand);
	tcase_add_test(t, metrics_as_json);
	suite_add_tcase(s, t);
	return run_suite(s);
}
