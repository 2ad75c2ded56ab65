#include "config.h"

#include "component/lr_io.h"

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "component/paillier.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool same(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

/* The two label values: 0 and 1, or -1 and 1; both must occur. */
static bool take_labels(const struct norn_frame *f, struct lr_table *t, struct err *e)
{
	double v;
	size_t i;
	bool low = false, high = false, zero = false;

	if (f->label == NULL || f->label->num == NULL)
		return err_set(e, ERR_COMPONENT_OUTPUT, "the guest's table has no label column");
	t->y = mem_array(f->n_rows + 1, sizeof *t->y);
	for (i = 0; i < f->n_rows; i++) {
		v = f->label->num[i];
		if (!same(v, 0) && !same(v, 1) && !same(v, -1))
			return err_set(e, ERR_COMPONENT_OUTPUT,
				       "row %zu: label %g is neither 0 nor 1 (nor -1 and 1): only "
				       "binary labels are supported",
				       i + 1, v);
		zero |= same(v, 0);
		low |= same(v, -1);
		high |= same(v, 1);
		t->y[i] = same(v, 1) ? 1 : -1;
	}
	if (zero && low)
		return err_set(e, ERR_COMPONENT_OUTPUT,
			       "the label has three values (-1, 0, 1): "
			       "only binary labels are supported");
	if (!high || (!zero && !low))
		return err_set(e, ERR_COMPONENT_OUTPUT, "all rows have the same label");
	t->labels[0] = low ? -1 : 0;
	t->labels[1] = 1;
	t->d.y = t->y;
	t->d.weight = f->weight != NULL ? f->weight->num : NULL;
	return true;
}

static const struct norn_column *feature(const struct norn_frame *f, const json_t *header, size_t j,
					 struct err *e)
{
	const char *name = header ? json_string_value(json_array_get(header, j)) : NULL;
	const struct norn_column *c = header ? NULL : &f->columns[j];

	if (header != NULL && (name == NULL || (c = norn_frame_column(f, name)) == NULL)) {
		err_set(e, ERR_COMPONENT_OUTPUT, "the table lacks the model's column %.60s",
			name ? name : "?");
		return NULL;
	}
	if (c->num == NULL) {
		err_set(e, ERR_COMPONENT_OUTPUT, "column %.60s is text, not numbers", c->name);
		return NULL;
	}
	return c;
}

bool lr_table_from_frame(const struct norn_frame *f, const json_t *header, bool with_label,
			 struct lr_table *t, struct err *e)
{
	const struct norn_column *c;
	size_t m = f->n_columns, i, j;

	memset(t, 0, sizeof *t);
	if (header != NULL && json_array_size(header) != m)
		return err_set(e, ERR_COMPONENT_OUTPUT,
			       "the model has %zu columns and the table %zu",
			       json_array_size(header), m);
	t->x = mem_array(f->n_rows * m + 1, sizeof *t->x);
	for (j = 0; j < m; j++) {
		c = feature(f, header, j, e);
		if (c == NULL)
			return false;
		for (i = 0; i < f->n_rows; i++)
			t->x[i * m + j] = c->num[i];
	}
	t->d = (struct lr_data){.n = f->n_rows, .m = m, .x = t->x, .ids_hash = t->ids_hash};
	return frame_ids_hash(f, t->ids_hash, e) && (!with_label || take_labels(f, t, e));
}

void lr_table_free(struct lr_table *t)
{
	free(t->x);
	free(t->y);
	memset(t, 0, sizeof *t);
}

static const struct norn_param he_keys[] = {
    {"kind", NORN_P_STR, "\"paillier\"", 0, 0, "paillier", 0, NULL},
    {"key_length", NORN_P_INT, "2048", PAILLIER_BITS_MIN, PAILLIER_BITS_MAX, NULL, 0, NULL},
};
static const struct norn_param init_keys[] = {
    {"method", NORN_P_STR, "\"random_uniform\"", 0, 0, "zeros|ones|consts|random|random_uniform", 0,
     NULL},
    {"fill_val", NORN_P_NUM, "0", -1e6, 1e6, NULL, 0, NULL},
    {"fit_intercept", NORN_P_BOOL, "true", 0, 0, NULL, 0, NULL},
    {"random_state", NORN_P_INT, "null", 0, 9e15, NULL, 0, NULL},
};

static bool parse_he(const json_t *given, struct lr_params *p, struct err *e)
{
	json_t *v = params_check_map(he_keys, ARRAY_LEN(he_keys), given, "he_param", e);

	if (v == NULL)
		return false;
	p->key_bits = (int)js_int(v, "key_length", 0);
	json_decref(v);
	return p->key_bits % 64 == 0 ||
	       err_set(e, ERR_JOB_PARAMS, "parameter he_param.key_length must be a multiple of 64");
}

static bool parse_init(const json_t *given, struct lr_params *p, struct err *e)
{
	static const char *const names[] = {
	    [LR_INIT_ZEROS] = "zeros",
	    [LR_INIT_ONES] = "ones",
	    [LR_INIT_CONSTS] = "consts",
	    [LR_INIT_RANDOM] = "random",
	    [LR_INIT_UNIFORM] = "random_uniform",
	};
	json_t *v = params_check_map(init_keys, ARRAY_LEN(init_keys), given, "init_param", e);
	size_t i;

	if (v == NULL)
		return false;
	for (i = 0; i < ARRAY_LEN(names); i++)
		if (str_eq(names[i], js_str(v, "method", "")))
			p->init = (enum lr_init)i;
	p->fill_val = js_num(v, "fill_val", 0);
	p->fit_intercept = js_bool(v, "fit_intercept", true);
	p->seeded = json_is_integer(json_object_get(v, "random_state"));
	p->seed = (uint64_t)js_int(v, "random_state", 0);
	json_decref(v);
	return true;
}

bool lr_params_from_task(const struct norn_task *t, struct lr_params *p, struct err *e)
{
	const char *stop = norn_param_str(t, "early_stop");

	memset(p, 0, sizeof *p);
	p->epochs = (int)norn_param_int(t, "epochs", 20);
	p->batch_size = (size_t)norn_param_int(t, "batch_size", 0);
	p->early_stop = str_eq(stop, "weight_diff") ? LR_STOP_WEIGHT_DIFF
			: str_eq(stop, "abs")       ? LR_STOP_ABS
						    : LR_STOP_DIFF;
	p->tol = norn_param_num(t, "tol", 0);
	p->threshold = norn_param_num(t, "threshold", 0.5);
	p->x_bits = (int)norn_param_int(t, "floating_point_precision", 23);
	return optim_parse(norn_param(t, "optimizer"), &p->optim, e) &&
	       schedule_parse(norn_param(t, "learning_rate_scheduler"), &p->schedule, e) &&
	       parse_he(norn_param(t, "he_param"), p, e) &&
	       parse_init(norn_param(t, "init_param"), p, e);
}

static json_t *coefficients(const struct lr_model *m, bool intercept)
{
	json_t *coef = json_array(), *param = json_object();
	size_t n = m->n - intercept, i;

	for (i = 0; i < n; i++)
		json_array_append_new(coef, json_pack("[f]", m->w[i]));
	json_object_set_new(param, "coef_", coef);
	json_object_set_new(param, "intercept_",
			    intercept ? json_pack("[f]", m->w[n]) : json_null());
	json_object_set_new(param, "dtype", json_string("float64"));
	return param;
}

static json_t *copy_param(const struct norn_task *t, const char *name)
{
	return json_deep_copy(norn_param(t, name));
}

json_t *lr_model_to_json(const struct norn_task *t, const struct lr_params *p,
			 const struct lr_model *m, const struct norn_frame *f, const double *labels)
{
	bool intercept = labels != NULL && p->fit_intercept;
	json_t *est =
	    json_pack("{s:i,s:b}", "end_epoch", m->end_epoch, "is_converged", m->converged);
	json_t *meta = json_pack("{s:i,s:b,s:f,s:i,s:s}", "epochs", p->epochs, "ovr", 0,
				 "threshold", p->threshold, "floating_point_precision", p->x_bits,
				 "model_type", "coordinated_lr"),
	       *header;
	size_t i;

	if (f != NULL) {
		header = json_array();
		for (i = 0; i < f->n_columns; i++)
			json_array_append_new(header, json_string(f->columns[i].name));
		json_object_set_new(est, "header", header);
		json_object_set_new(est, "param", coefficients(m, intercept));
		json_object_set_new(est, "fit_intercept", json_boolean(intercept));
	}
	json_object_set_new(est, "optimizer", copy_param(t, "optimizer"));
	json_object_set_new(est, "lr_scheduler", copy_param(t, "learning_rate_scheduler"));
	json_object_set_new(meta, "batch_size", copy_param(t, "batch_size"));
	json_object_set_new(meta, "optimizer_param", copy_param(t, "optimizer"));
	json_object_set_new(meta, "learning_rate_param", copy_param(t, "learning_rate_scheduler"));
	json_object_set_new(meta, "init_param", copy_param(t, "init_param"));
	json_object_set_new(meta, "early_stop", copy_param(t, "early_stop"));
	json_object_set_new(meta, "tol", copy_param(t, "tol"));
	if (labels != NULL)
		json_object_set_new(meta, "labels",
				    json_pack("[i,i]", (int)labels[0], (int)labels[1]));
	return json_pack("{s:{s:o},s:o}", "data", "estimator", est, "meta", meta);
}

json_t *lr_model_header(const json_t *v)
{
	return js_get(v, "data.estimator.header");
}

static bool number_at(const json_t *v, double *out)
{
	const json_t *x = json_is_array(v) ? json_array_get(v, 0) : v;

	*out = json_number_value(x);
	return json_is_number(x) && isfinite(*out);
}

bool lr_model_from_json(const json_t *v, struct lr_model *m, bool *intercept, struct err *e)
{
	const json_t *est = js_get(v, "data.estimator"), *coef = js_get(est, "param.coef_");
	size_t n = json_array_size(coef), i;
	bool ok;

	memset(m, 0, sizeof *m);
	*intercept = js_bool(est, "fit_intercept", false);
	ok = json_is_array(coef) && json_array_size(lr_model_header(v)) == n;
	m->n = n + *intercept;
	m->w = mem_array(m->n + 1, sizeof *m->w);
	for (i = 0; i < n && ok; i++)
		ok = number_at(json_array_get(coef, i), &m->w[i]);
	if (ok && *intercept)
		ok = number_at(js_get(est, "param.intercept_"), &m->w[n]);
	if (ok)
		return true;
	lr_model_free(m);
	return err_set(e, ERR_COMPONENT_OUTPUT, "the input model is not one of coordinated_lr");
}

struct norn_frame *lr_predictions(const struct norn_frame *f, const double *score,
				  const double *labels, double threshold, const char *type)
{
	struct norn_frame *g = norn_frame_new(f->n_rows, f->sample_id_name, f->match_id_name);
	size_t i;

	g->site_name = mem_strdup(f->site_name);
	if (f->label != NULL && f->label->num != NULL) {
		norn_frame_set_label(g, "label", f->label->dtype);
		g->label->anonymous_name = mem_strdup(f->label->anonymous_name);
		memcpy(g->label->num, f->label->num, f->n_rows * sizeof *f->label->num);
	}
	norn_frame_add_column(g, "predict_score", NORN_FLOAT64);
	norn_frame_add_column(g, "predict_result", NORN_INT32);
	norn_frame_add_column(g, "predict_detail", NORN_STRING);
	norn_frame_add_column(g, "type", NORN_STRING);
	for (i = 0; i < f->n_rows; i++) {
		g->sample_id[i] = mem_strdup(f->sample_id[i]);
		g->match_id[i] = mem_strdup(f->match_id[i]);
		g->columns[0].num[i] = score[i];
		g->columns[1].num[i] = score[i] > threshold ? labels[1] : labels[0];
		g->columns[2].str[i] = mem_printf("{'%d': %.17g, '%d': %.17g}", (int)labels[0],
						  1 - score[i], (int)labels[1], score[i]);
		g->columns[3].str[i] = mem_strdup(type);
	}
	return g;
}
