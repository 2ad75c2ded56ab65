/* feature_scale: learn the scaling of columns from training rows, apply it there and to others. */
#include "config.h"

#include "component/builtin.h"

#include "base/mem.h"
#include "component/scale.h"
#include "component/task.h"
#include <stdlib.h>
#include <string.h>

static bool add_column(struct scaler *s, const char *name, struct err *e)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->columns[i].name, name) == 0)
			return err_set(e, ERR_JOB_PARAMS, "column %.60s is named twice", name);
	s->columns[s->n].name = mem_strdup(name);
	s->columns[s->n].low = 0;
	s->columns[s->n++].high = 1;
	return true;
}

/* The real name of a column given by name or by anonymous name. */
static const char *column_named(const struct norn_frame *f, const char *name, bool anonymous)
{
	size_t i;

	for (i = 0; i < f->n_columns; i++) {
		const char *n = anonymous ? f->columns[i].anonymous_name : f->columns[i].name;

		if (n != NULL && strcmp(n, name) == 0)
			return f->columns[i].name;
	}
	return NULL;
}

static bool by_name(const struct norn_task *t, const struct norn_frame *f, const json_t *names,
		    struct scaler *s, struct err *e)
{
	const char *given, *name;
	size_t i;

	for (i = 0; i < json_array_size(names); i++) {
		given = json_string_value(json_array_get(names, i));
		if (given == NULL)
			return err_set(e, ERR_JOB_PARAMS,
				       "parameter scale_col: not a list of names");
		name = column_named(f, given, norn_param_bool(t, "use_anonymous"));
		if (name == NULL)
			return err_set(e, ERR_JOB_PARAMS,
				       "parameter scale_col: there is no column "
				       "%.60s",
				       given);
		if (!add_column(s, name, e))
			return false;
	}
	return true;
}

static bool by_index(const struct norn_frame *f, const json_t *list, struct scaler *s,
		     struct err *e)
{
	const json_t *v;
	size_t i;

	for (i = 0; i < json_array_size(list); i++) {
		v = json_array_get(list, i);
		if (!json_is_integer(v) || json_integer_value(v) < 0 ||
		    (size_t)json_integer_value(v) >= f->n_columns)
			return err_set(e, ERR_JOB_PARAMS,
				       "parameter scale_idx: entry %zu is not "
				       "the number of a column",
				       i + 1);
		if (!add_column(s, f->columns[json_integer_value(v)].name, e))
			return false;
	}
	return true;
}

static bool select_columns(const struct norn_task *t, const struct norn_frame *f, struct scaler *s,
			   struct err *e)
{
	const json_t *names = norn_param(t, "scale_col"), *list = norn_param(t, "scale_idx");
	size_t i, n = f->n_columns + json_array_size(names) + json_array_size(list);

	s->columns = mem_array(n + 1, sizeof *s->columns);
	if (!json_is_null(names) && !json_is_null(list))
		return err_set(e, ERR_JOB_PARAMS, "give scale_col or scale_idx, not both");
	if (!json_is_null(names))
		return by_name(t, f, names, s, e);
	if (!json_is_null(list))
		return by_index(f, list, s, e);
	for (i = 0; i < f->n_columns; i++)
		if (!add_column(s, f->columns[i].name, e))
			return false;
	return true;
}

static bool read_range(const json_t *v, struct scale_column *c, struct err *e)
{
	const json_t *low = json_array_get(v, 0), *high = json_array_get(v, 1);

	c->low = json_number_value(low);
	c->high = json_number_value(high);
	if (json_array_size(v) != 2 || !json_is_number(low) || !json_is_number(high) ||
	    c->low >= c->high)
		return err_set(e, ERR_JOB_PARAMS,
			       "parameter feature_range: not [min, max] with min "
			       "below max");
	return true;
}

static bool read_ranges(const struct norn_task *t, const struct norn_frame *f, struct scaler *s,
			struct err *e)
{
	const json_t *v = norn_param(t, "feature_range"), *one;
	const char *key;
	json_t *each;
	size_t i;

	if (json_is_array(v)) {
		for (i = 0; i < s->n; i++)
			if (!read_range(v, &s->columns[i], e))
				return false;
		return true;
	}
	if (!json_is_object(v))
		return err_set(e, ERR_JOB_PARAMS,
			       "parameter feature_range: neither [min, max] nor "
			       "a map of columns to such lists");
	json_object_foreach ((json_t *)(uintptr_t)v, key, each) {
		if (norn_frame_column(f, key) == NULL)
			return err_set(e, ERR_JOB_PARAMS,
				       "parameter feature_range: there is no column %.60s", key);
	}
	for (i = 0; i < s->n; i++) {
		one = json_object_get(v, s->columns[i].name);
		if (one != NULL && !read_range(one, &s->columns[i], e))
			return false;
	}
	return true;
}

static bool train(struct norn_task *t, struct norn_frame *f, struct scaler *s, struct err *e)
{
	json_t *model;
	bool ok;

	s->method =
	    strcmp(norn_param_str(t, "method"), "standard") == 0 ? SCALE_STANDARD : SCALE_MIN_MAX;
	s->strict = norn_param_bool(t, "strict_range");
	if (!select_columns(t, f, s, e) ||
	    (s->method == SCALE_MIN_MAX && !read_ranges(t, f, s, e)) || !scaler_fit(s, f, e))
		return false;
	model = scaler_to_json(s);
	ok = norn_write_model(t, "output_model", model, e);
	json_decref(model);
	return ok && scaler_apply(s, f, e) &&
	       norn_write_frame(t, "train_output_data", f, NULL, NULL, e);
}

static bool predict(struct norn_task *t, struct norn_frame *f, struct scaler *s, struct err *e)
{
	json_t *model = norn_read_model(t, "input_model", e);
	bool ok = model != NULL && scaler_from_json(model, s, e) && scaler_apply(s, f, e) &&
		  norn_write_frame(t, "test_output_data", f, NULL, NULL, e);

	json_decref(model);
	return ok;
}

static bool run_scale(struct norn_task *t, struct err *e)
{
	bool training = t->stage == NORN_TRAIN, ok;
	struct norn_frame *f = norn_read_frame(t, training ? "train_data" : "test_data", 0, e);
	struct scaler s = {0};

	if (f == NULL)
		return false;
	ok = training ? train(t, f, &s, e) : predict(t, f, &s, e);
	if (ok)
		norn_say(t, "%zu columns scaled", s.n);
	scaler_free(&s);
	norn_frame_free(f);
	return ok;
}

static const struct norn_param params[] = {
    {"method", NORN_P_STR, "\"standard\"", 0, 0, "standard|min_max", NORN_TRAIN, "how to scale"},
    {"feature_range", NORN_P_ANY, "[0, 1]", 0, 0, NULL, NORN_TRAIN,
     "min_max: [min, max], or a map of columns to it"},
    {"scale_col", NORN_P_LIST, "null", 0, 0, NULL, NORN_TRAIN, "names of columns; null: all"},
    {"scale_idx", NORN_P_LIST, "null", 0, 0, NULL, NORN_TRAIN, "numbers of columns, from 0"},
    {"strict_range", NORN_P_BOOL, "true", 0, 0, NULL, NORN_TRAIN,
     "min_max: keep other rows within the range, too"},
    {"use_anonymous", NORN_P_BOOL, "false", 0, 0, NULL, NORN_TRAIN,
     "scale_col holds anonymous names"},
};
static const struct norn_artifact artifacts[] = {
    {"train_data", NORN_IN, NORN_DATAFRAME, false, false, NORN_TRAIN, 0, "rows to learn from"},
    {"train_output_data", NORN_OUT, NORN_DATAFRAME, false, false, NORN_TRAIN, 0, "scaled rows"},
    {"output_model", NORN_OUT, NORN_JSON_MODEL, false, false, NORN_TRAIN, 0, "the scaling"},
    {"test_data", NORN_IN, NORN_DATAFRAME, false, false, NORN_PREDICT, 0, "rows to scale"},
    {"input_model", NORN_IN, NORN_JSON_MODEL, false, false, NORN_PREDICT, 0, "the scaling"},
    {"test_output_data", NORN_OUT, NORN_DATAFRAME, false, false, NORN_PREDICT, 0, "scaled rows"},
};
const struct norn_component comp_feature_scale = {
    "feature_scale",
    BUILTIN_VERSION,
    "scale columns by mean and deviation, or onto a range",
    NORN_GUEST | NORN_HOST,
    NORN_TRAIN | NORN_PREDICT,
    params,
    ARRAY_LEN(params),
    artifacts,
    ARRAY_LEN(artifacts),
    run_scale,
};
