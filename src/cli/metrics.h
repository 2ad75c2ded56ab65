/*
 * What metric records (api-v2.md: name, type, groups, step_axis, data) show: numbers and curves.
 * A record with a step axis gives points of a curve; any other is searched for numbers, for
 * {"metric": name, "val": ...} pairs, and for columns of numbers (ROC and KS points; both rates of
 * KS are one curve with two lines).
 */
#ifndef NORN_CLI_METRICS_H
#define NORN_CLI_METRICS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define METRICS_POINTS_MAX 200000

struct metric_scalar {
	char *name; /* "lr_0/train_set/auc" */
	char *value;
};

struct metric_curve {
	char *name;
	char *x_label, *y_label;
	double *x, *y, *y2; /* y2: a second line of the same chart */
	size_t n, cap;
	bool two_lines;
	bool detail; /* one of the tables inside a value: shown when asked for */
};

struct metric_set {
	struct metric_scalar *scalars;
	size_t n_scalars;
	struct metric_curve *curves;
	size_t n_curves;
};

/* Adds what a list of records shows. Values of unexpected shape are left out. */
void metric_set_add(struct metric_set *set, const json_t *records);
void metric_set_free(struct metric_set *set);

#endif
