/* Metrics as FATE reports them: single values, and tables over 100 thresholds. */
#include "config.h"

#include "component/eval.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/str.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CUTS      100
#define THRESHOLD 0.5

static json_t *value(const char *name, double v)
{
	return json_pack("{s:s,s:f}", "metric", name, "val", isfinite(v) ? v : 0.0);
}

static json_t *table(const char *name, json_t *columns)
{
	return json_pack("{s:s,s:o}", "metric", name, "val", columns);
}

/* The threshold of a cut: the score of the row at that share of the rows, from the highest. */
static double cut_threshold(const struct eval_curve *c, size_t cut)
{
	size_t row = (c->pos + c->neg) * cut / CUTS, low = 0, high = c->n - 1, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (c->at[mid].tp + c->at[mid].fp > row)
			high = mid;
		else
			low = mid + 1;
	}
	return c->at[low].score;
}

typedef double cell_fn(const struct eval_curve *c, const struct eval_counts *k);

static double cell_tp(const struct eval_curve *c, const struct eval_counts *k)
{
	return (double)k->tp;
}
static double cell_fp(const struct eval_curve *c, const struct eval_counts *k)
{
	return (double)k->fp;
}
static double cell_tn(const struct eval_curve *c, const struct eval_counts *k)
{
	return (double)k->tn;
}
static double cell_fn_(const struct eval_curve *c, const struct eval_counts *k)
{
	return (double)k->fn;
}
static double cell_precision(const struct eval_curve *c, const struct eval_counts *k)
{
	return k->tp + k->fp == 0 ? 1 : eval_precision(k);
}
static double cell_recall(const struct eval_curve *c, const struct eval_counts *k)
{
	return eval_recall(k);
}
static double cell_accuracy(const struct eval_curve *c, const struct eval_counts *k)
{
	return eval_accuracy(k);
}
static double cell_f1(const struct eval_curve *c, const struct eval_counts *k)
{
	return eval_f1(k);
}
static double cell_tpr(const struct eval_curve *c, const struct eval_counts *k)
{
	return (double)k->tp / (double)c->pos;
}
static double cell_fpr(const struct eval_curve *c, const struct eval_counts *k)
{
	return (double)k->fp / (double)c->neg;
}

struct table_column {
	const char *name;
	cell_fn *fn;
};

static json_t *cut_table(const struct eval_curve *c, const struct table_column *cols, size_t n)
{
	json_t *out = json_object(), *thresholds = json_array(), *cuts = json_array(), *col;
	struct eval_counts k;
	size_t i, cut;

	for (i = 0; i < n; i++) {
		col = json_array();
		for (cut = 0; cut < CUTS; cut++) {
			k = eval_count(c, cut_threshold(c, cut));
			json_array_append_new(col, json_real(cols[i].fn(c, &k)));
		}
		json_object_set_new(out, cols[i].name, col);
	}
	for (cut = 0; cut < CUTS; cut++) {
		json_array_append_new(thresholds, json_real(cut_threshold(c, cut)));
		json_array_append_new(cuts, json_real((double)cut / CUTS));
	}
	json_object_set_new(out, "threshold", thresholds);
	json_object_set_new(out, "cuts", cuts);
	return out;
}

json_t *eval_ks_json(const struct eval_curve *c)
{
	static const struct table_column cols[] = {{"tpr", cell_tpr}, {"fpr", cell_fpr}};
	json_t *t = cut_table(c, cols, ARRAY_LEN(cols));

	/* the end of the curve, where every row counts as positive */
	json_array_append_new(json_object_get(t, "tpr"), json_real(1));
	json_array_append_new(json_object_get(t, "fpr"), json_real(1));
	json_array_append_new(json_object_get(t, "threshold"), json_real(0));
	json_array_append_new(json_object_get(t, "cuts"), json_real(1));
	return t;
}

json_t *eval_roc_json(const struct eval_curve *c, size_t points)
{
	json_t *x = json_pack("[f]", 0.0), *y = json_pack("[f]", 0.0);
	json_t *s = json_pack("[f]", c->at[0].score);
	size_t step = c->n / (points > 1 ? points - 1 : 1) + 1, i;

	for (i = 0; i < c->n; i++) {
		if (i % step != 0 && i + 1 != c->n)
			continue;
		json_array_append_new(x, json_real((double)c->at[i].fp / (double)c->neg));
		json_array_append_new(y, json_real((double)c->at[i].tp / (double)c->pos));
		json_array_append_new(s, json_real(c->at[i].score));
	}
	return json_pack("{s:o,s:o,s:o}", "fpr", x, "tpr", y, "threshold", s);
}

static json_t *binary_value(const char *name, const struct eval_curve *c)
{
	struct eval_counts k = eval_count(c, THRESHOLD);

	if (strcmp(name, "auc") == 0)
		return value(name, eval_auc(c));
	if (str_ends(name, "accuracy"))
		return value(name, eval_accuracy(&k));
	if (str_ends(name, "precision"))
		return value(name, eval_precision(&k));
	if (str_ends(name, "recall"))
		return value(name, eval_recall(&k));
	return value(name, eval_f1(&k));
}

static json_t *binary_table(const char *name, const struct eval_curve *c)
{
	static const struct table_column matrix[] = {
	    {"tp", cell_tp}, {"tn", cell_tn}, {"fp", cell_fp}, {"fn", cell_fn_}};
	static const struct table_column p = {"p", cell_precision}, r = {"r", cell_recall};
	static const struct table_column a = {"accuracy", cell_accuracy}, f = {"f_score", cell_f1};

	if (strcmp(name, "ks") == 0)
		return json_pack("[o,o]", value("ks", eval_ks(c)),
				 table("ks_table", eval_ks_json(c)));
	if (strcmp(name, "confusion_matrix") == 0)
		return table(name, cut_table(c, matrix, ARRAY_LEN(matrix)));
	if (strcmp(name, "biclass_precision_table") == 0)
		return table(name, cut_table(c, &p, 1));
	if (strcmp(name, "biclass_recall_table") == 0)
		return table(name, cut_table(c, &r, 1));
	if (strcmp(name, "biclass_accuracy_table") == 0)
		return table(name, cut_table(c, &a, 1));
	return table(name, cut_table(c, &f, 1));
}

static json_t *multi_value(const char *name, const double *predict, const double *label, size_t n)
{
	struct eval_multi m;

	eval_multi(predict, label, n, &m);
	if (str_ends(name, "precision"))
		return value(name, m.precision);
	if (str_ends(name, "recall"))
		return value(name, m.recall);
	return value(name, m.accuracy); /* micro-averaged F1 equals the accuracy */
}

static json_t *regression_value(const char *name, const double *predict, const double *label,
				size_t n)
{
	struct eval_regression r;

	eval_regression(predict, label, n, &r);
	if (strcmp(name, "mse") == 0)
		return value(name, r.mse);
	if (strcmp(name, "rmse") == 0)
		return value(name, r.rmse);
	if (strcmp(name, "mae") == 0)
		return value(name, r.mae);
	return value(name, r.r2);
}

static const struct {
	const char *name;
	enum { BINARY, TABLE, MULTI, REGRESSION } kind;
} metrics[] = {
    {"auc", BINARY},
    {"ks", TABLE},
    {"accuracy", BINARY},
    {"precision", BINARY},
    {"recall", BINARY},
    {"f1_score", BINARY},
    {"binary_accuracy", BINARY},
    {"binary_precision", BINARY},
    {"binary_recall", BINARY},
    {"binary_f1_score", BINARY},
    {"confusion_matrix", TABLE},
    {"biclass_precision_table", TABLE},
    {"biclass_recall_table", TABLE},
    {"biclass_accuracy_table", TABLE},
    {"fscore_table", TABLE},
    {"multi_accuracy", MULTI},
    {"multi_precision", MULTI},
    {"multi_recall", MULTI},
    {"multi_f1_score", MULTI},
    {"mse", REGRESSION},
    {"rmse", REGRESSION},
    {"mae", REGRESSION},
    {"r2_score", REGRESSION},
};

static int find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(metrics); i++)
		if (str_eq(metrics[i].name, name))
			return (int)i;
	return -1;
}

bool eval_metric_known(const char *name)
{
	return find(name) >= 0;
}

bool eval_metric_binary(const char *name)
{
	int i = find(name);

	return i >= 0 && (metrics[i].kind == BINARY || metrics[i].kind == TABLE);
}

json_t *eval_metric(const char *name, const struct eval_curve *c, const double *predict,
		    const double *label, size_t n)
{
	int i = find(name);

	if (i < 0 || (c == NULL && eval_metric_binary(name)))
		return json_null();
	switch (metrics[i].kind) {
	case BINARY:
		return binary_value(name, c);
	case TABLE:
		return binary_table(name, c);
	case MULTI:
		return multi_value(name, predict, label, n);
	case REGRESSION:
		break;
	}
	return regression_value(name, predict, label, n);
}
