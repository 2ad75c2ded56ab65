/* evaluation: measures predictions against labels, for each input and data set. */
#include "config.h"

#include "component/builtin.h"

#include "base/mem.h"
#include "base/str.h"
#include "component/eval.h"
#include "component/task.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROC_POINTS 200
#define SETS_MAX   64 /* data sets in one input */

static const char *const binary_metrics[] = {"auc",
					     "ks",
					     "confusion_matrix",
					     "binary_accuracy",
					     "binary_precision",
					     "binary_recall",
					     "binary_f1_score",
					     "biclass_precision_table",
					     "biclass_recall_table",
					     "biclass_accuracy_table",
					     "fscore_table",
					     NULL};
static const char *const multi_metrics[] = {"multi_accuracy", "multi_precision", "multi_recall",
					    NULL};
static const char *const regression_metrics[] = {"rmse", "mae", "mse", "r2_score", NULL};

/* The metric names to compute, a new array of strings; NULL on error. */
static json_t *chosen_metrics(const struct norn_task *t, struct err *e)
{
	const json_t *given = norn_param(t, "metrics");
	const char *setting = norn_param_str(t, "default_eval_setting"), *name;
	const char *const *list = str_eq(setting, "multi")        ? multi_metrics
				  : str_eq(setting, "regression") ? regression_metrics
								  : binary_metrics;
	json_t *out = json_array();
	size_t i;

	if (json_is_null(given)) {
		for (i = 0; list[i] != NULL; i++)
			json_array_append_new(out, json_string(list[i]));
		return out;
	}
	for (i = 0; i < json_array_size(given); i++) {
		name = json_string_value(json_array_get(given, i));
		if (name == NULL || !eval_metric_known(name)) {
			err_set(e, ERR_JOB_PARAMS, "parameter metrics: '%.60s' is not supported",
				name ? name : "?");
			json_decref(out);
			return NULL;
		}
		json_array_append_new(out, json_string(name));
	}
	if (json_array_size(out) > 0)
		return out;
	json_decref(out);
	err_set(e, ERR_JOB_PARAMS, "parameter metrics: the list is empty");
	return NULL;
}

static const double *numbers(const struct norn_frame *f, const char *name, bool label,
			     struct err *e)
{
	const struct norn_column *c = norn_frame_column(f, name);

	if (c == NULL && label && f->label != NULL &&
	    (strcmp(f->label->name, name) == 0 || strcmp(name, "label") == 0))
		c = f->label;
	if (c == NULL)
		err_set(e, ERR_COMPONENT_OUTPUT, "the table has no column %.60s", name);
	else if (c->num == NULL)
		err_set(e, ERR_COMPONENT_OUTPUT, "column %.60s is text, not numbers", name);
	else
		return c->num;
	return NULL;
}

static bool check_binary(const double *label, size_t n, struct err *e)
{
	bool zero = false, minus = false;
	size_t i;

	for (i = 0; i < n; i++) {
		bool is_zero = fabs(label[i]) < 1e-9, is_minus = fabs(label[i] + 1) < 1e-9;

		zero |= is_zero;
		minus |= is_minus;
		if ((!is_zero && !is_minus && fabs(label[i] - 1) > 1e-9) || (zero && minus))
			return err_set(e, ERR_COMPONENT_OUTPUT,
				       "the label is not binary: row %zu has %g; use "
				       "default_eval_setting multi or regression",
				       i + 1, label[i]);
	}
	return true;
}

/* What is measured at once: the rows of one data set of one input. */
struct subject {
	struct norn_task *t;
	const char *source, *set;
	const json_t *metrics;
	double *predict, *label;
	size_t n;
};

static json_t *measure(const struct subject *s, struct err *e)
{
	json_t *out = json_array();
	struct eval_curve curve = {0};
	const char *groups[2] = {s->source, s->set}, *name;
	bool binary = false, ok = true;
	size_t i;

	for (i = 0; i < json_array_size(s->metrics); i++)
		binary |= eval_metric_binary(json_string_value(json_array_get(s->metrics, i)));
	if (binary)
		ok = check_binary(s->label, s->n, e) &&
		     eval_curve_make(s->predict, s->label, s->n, &curve, e);
	for (i = 0; i < json_array_size(s->metrics) && ok; i++) {
		name = json_string_value(json_array_get(s->metrics, i));
		json_array_append_new(
		    out, eval_metric(name, binary ? &curve : NULL, s->predict, s->label, s->n));
	}
	if (ok && binary) {
		norn_metric(s->t, "roc", "roc", groups, 2, eval_roc_json(&curve, ROC_POINTS));
		norn_metric(s->t, "ks", "ks", groups, 2, eval_ks_json(&curve));
		norn_say(s->t, "%s %s: %zu rows, auc %.6f, ks %.6f", s->source, s->set, s->n,
			 eval_auc(&curve), eval_ks(&curve));
	} else if (ok) {
		norn_say(s->t, "%s %s: %zu rows", s->source, s->set, s->n);
	}
	eval_curve_free(&curve);
	if (ok)
		return out;
	json_decref(out);
	return NULL;
}

/* Measure each data set (by the column "type", when there is one) into out. */
static bool measure_sets(struct subject *s, const struct norn_frame *f, const double *predict,
			 const double *label, json_t *out, struct err *e)
{
	const struct norn_column *type = norn_frame_column(f, "type");
	bool *done = mem_array(f->n_rows + 1, sizeof *done), ok = true;
	json_t *one;
	size_t i, j;

	for (i = 0; i < f->n_rows && ok; i++) {
		if (done[i])
			continue;
		s->set = type != NULL && type->str != NULL ? type->str[i] : "origin";
		s->n = 0;
		for (j = i; j < f->n_rows; j++) {
			if (type != NULL && type->str != NULL && strcmp(type->str[j], s->set) != 0)
				continue;
			done[j] = true;
			s->predict[s->n] = predict[j];
			s->label[s->n++] = label[j];
		}
		if (json_object_size(out) == SETS_MAX) {
			ok = err_set(e, ERR_LIMIT, "more than %d values in the column type",
				     SETS_MAX);
			break;
		}
		one = measure(s, e);
		ok = one != NULL;
		if (ok)
			json_object_set_new(out, s->set, one);
	}
	free(done);
	return ok;
}

static json_t *evaluate_input(struct norn_task *t, size_t i, const json_t *metrics, struct err *e)
{
	bool multi = str_eq(norn_param_str(t, "default_eval_setting"), "multi") &&
		     json_is_null(norn_param(t, "metrics"));
	const char *predict_name = norn_param_str(t, "predict_column_name");
	const char *label_name = norn_param_str(t, "label_column_name");
	struct norn_frame *f = norn_read_frame(t, "input_datas", i, e);
	struct subject s = {.t = t, .metrics = metrics};
	const double *predict, *label;
	json_t *out = NULL;
	bool ok = false;

	if (f == NULL)
		return NULL;
	s.source = norn_input_source(t, "input_datas", i);
	if (predict_name == NULL)
		predict_name = multi ? "predict_result" : "predict_score";
	predict = numbers(f, predict_name, false, e);
	label = predict ? numbers(f, label_name ? label_name : "label", true, e) : NULL;
	if (label != NULL && f->n_rows == 0)
		err_set(e, ERR_COMPONENT_OUTPUT, "the table has no rows");
	else if (label != NULL) {
		s.predict = mem_array(f->n_rows, sizeof *s.predict);
		s.label = mem_array(f->n_rows, sizeof *s.label);
		out = json_object();
		ok = measure_sets(&s, f, predict, label, out, e);
	}
	if (!ok) {
		err_prefix(e, "input %s", s.source);
		json_decref(out);
		out = NULL;
	}
	free(s.predict);
	free(s.label);
	norn_frame_free(f);
	return out;
}

static bool run_evaluation(struct norn_task *t, struct err *e)
{
	json_t *metrics = chosen_metrics(t, e), *all, *one;
	size_t n = norn_input_count(t, "input_datas"), i;

	if (metrics == NULL)
		return false;
	all = json_object();
	for (i = 0; i < n; i++) {
		one = evaluate_input(t, i, metrics, e);
		if (one == NULL)
			break;
		json_object_set_new(all, norn_input_source(t, "input_datas", i), one);
	}
	json_decref(metrics);
	if (i < n) {
		json_decref(all);
		return false;
	}
	norn_metric(t, "evaluation", "evaluation", NULL, 0, all);
	return true;
}

static const struct norn_param params[] = {
    {"default_eval_setting", NORN_P_STR, "\"binary\"", 0, 0, "binary|multi|regression", 0,
     "which metrics, when none are named"},
    {"metrics", NORN_P_LIST, "null", 0, 0, NULL, 0, "names of metrics"},
    {"predict_column_name", NORN_P_STR, "null", 0, 0, NULL, 0,
     "column of predictions; null: predict_score, for multi predict_result"},
    {"label_column_name", NORN_P_STR, "null", 0, 0, NULL, 0, "column of labels; null: label"},
};
static const struct norn_artifact artifacts[] = {
    {"input_datas", NORN_IN, NORN_DATAFRAME, true, false, 0, 0, "predictions with labels"},
};
const struct norn_component comp_evaluation = {
    "evaluation",
    BUILTIN_VERSION,
    "measure predictions: AUC, KS, ROC, accuracy, precision, recall and others",
    NORN_GUEST | NORN_HOST,
    NORN_DEFAULT,
    params,
    ARRAY_LEN(params),
    artifacts,
    ARRAY_LEN(artifacts),
    run_evaluation,
};
