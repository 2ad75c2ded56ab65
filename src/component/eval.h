/* Measures of predictions. */
#ifndef NORN_COMPONENT_EVAL_H
#define NORN_COMPONENT_EVAL_H

#include "base/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Binary: rows by falling score. at[i] counts the rows whose score is at least that of the i-th
 * distinct score.
 */
struct eval_step {
	double score;
	size_t tp, fp;
};
struct eval_curve {
	struct eval_step *at;
	size_t n;
	size_t pos, neg;
};

/* label: 1 is positive, everything else negative; both must occur. */
MUST_CHECK bool eval_curve_make(const double *score, const double *label, size_t n,
				struct eval_curve *c, struct err *e);
void eval_curve_free(struct eval_curve *c);

double eval_auc(const struct eval_curve *c); /* ties count half */
double eval_ks(const struct eval_curve *c);  /* largest tp rate - fp rate */

struct eval_counts {
	size_t tp, fp, tn, fn;
};
/* Positive when score > threshold. */
struct eval_counts eval_count(const struct eval_curve *c, double threshold);
double eval_accuracy(const struct eval_counts *k);
double eval_precision(const struct eval_counts *k); /* 0 when nothing is predicted positive */
double eval_recall(const struct eval_counts *k);
double eval_f1(const struct eval_counts *k);

/* Multi-class, averaged over the classes that occur in label or prediction (macro). */
struct eval_multi {
	double accuracy, precision, recall;
};
void eval_multi(const double *predict, const double *label, size_t n, struct eval_multi *out);

struct eval_regression {
	double mse, rmse, mae, r2;
};
void eval_regression(const double *predict, const double *label, size_t n,
		     struct eval_regression *out);

/*
 * The named metric as FATE reports it: {metric, val}, or a list of them when it comes with a table.
 * The names are those of eval_metric_names. Which curve, or plain numbers, a metric uses follows
 * from its name; c may be NULL when no binary metric is asked for.
 */
json_t *eval_metric(const char *name, const struct eval_curve *c, const double *predict,
		    const double *label, size_t n);
bool eval_metric_known(const char *name);
bool eval_metric_binary(const char *name);

/* {fpr, tpr, threshold} with at most `points` points, and {tpr, fpr, threshold, cuts}. */
json_t *eval_roc_json(const struct eval_curve *c, size_t points);
json_t *eval_ks_json(const struct eval_curve *c);

#endif
