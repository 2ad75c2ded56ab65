#include "config.h"

#include "component/scale.h"

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RANGE_MIN 1e-6 /* a narrower column counts as constant */

void scaler_free(struct scaler *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		free(s->columns[i].name);
	free(s->columns);
	memset(s, 0, sizeof *s);
}

static struct norn_column *numeric_column(const struct norn_frame *f, const char *name,
					  struct err *e)
{
	struct norn_column *c = norn_frame_column(f, name);

	if (c == NULL)
		err_set(e, ERR_COMPONENT_OUTPUT, "the table has no column %.60s", name);
	else if (c->num == NULL)
		err_set(e, ERR_COMPONENT_OUTPUT, "column %.60s is text, not numbers", name);
	else
		return c;
	return NULL;
}

/* Mean and deviation (of a sample: divided by n - 1), in two passes for accuracy. */
static void fit_standard(struct scale_column *s, const double *v, size_t n)
{
	double sum = 0, squares = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += v[i];
	s->mean = sum / (double)n;
	for (i = 0; i < n; i++)
		squares += (v[i] - s->mean) * (v[i] - s->mean);
	s->std = n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
	if (!(s->std > 0))
		s->std = 1; /* a constant column becomes 0 */
}

static void fit_min_max(struct scale_column *s, const double *v, size_t n)
{
	double low = v[0], high = v[0], range;
	size_t i;

	for (i = 1; i < n; i++) {
		low = fmin(low, v[i]);
		high = fmax(high, v[i]);
	}
	range = high - low < RANGE_MIN ? 1 : high - low;
	s->scale = (s->high - s->low) / range;
	s->scale_min = low * s->scale;
}

bool scaler_fit(struct scaler *s, const struct norn_frame *f, struct err *e)
{
	const struct norn_column *c;
	size_t i;

	if (f->n_rows == 0)
		return err_set(e, ERR_COMPONENT_OUTPUT, "the table has no rows");
	for (i = 0; i < s->n; i++) {
		c = numeric_column(f, s->columns[i].name, e);
		if (c == NULL)
			return false;
		if (s->method == SCALE_STANDARD)
			fit_standard(&s->columns[i], c->num, f->n_rows);
		else
			fit_min_max(&s->columns[i], c->num, f->n_rows);
	}
	return true;
}

bool scaler_apply(const struct scaler *s, struct norn_frame *f, struct err *e)
{
	const struct scale_column *k;
	struct norn_column *c;
	size_t i, row;
	double v;

	for (i = 0; i < s->n; i++) {
		k = &s->columns[i];
		c = numeric_column(f, k->name, e);
		if (c == NULL)
			return false;
		c->dtype = NORN_FLOAT64;
		for (row = 0; row < f->n_rows; row++) {
			if (s->method == SCALE_STANDARD) {
				c->num[row] = (c->num[row] - k->mean) / k->std;
				continue;
			}
			v = c->num[row] * k->scale - k->scale_min + k->low;
			c->num[row] = s->strict ? fmin(fmax(v, k->low), k->high) : v;
		}
	}
	return true;
}

/* Members of the model: one map from column to number each. */
static const struct {
	const char *name, *dtype;
	enum scale_method method;
	size_t offset;
} members[] = {
    {"mean", "mean_dtype", SCALE_STANDARD, offsetof(struct scale_column, mean)},
    {"std", "std_dtype", SCALE_STANDARD, offsetof(struct scale_column, std)},
    {"scale", "scale_dtype", SCALE_MIN_MAX, offsetof(struct scale_column, scale)},
    {"scale_min", "scale_min_dtype", SCALE_MIN_MAX, offsetof(struct scale_column, scale_min)},
    {"range_min", "range_min_dtype", SCALE_MIN_MAX, offsetof(struct scale_column, low)},
    {"range_max", "range_max_dtype", SCALE_MIN_MAX, offsetof(struct scale_column, high)},
};

json_t *scaler_to_json(const struct scaler *s)
{
	json_t *info = json_object(), *names = json_array(), *map;
	size_t i, m;
	double v;

	for (m = 0; m < ARRAY_LEN(members); m++) {
		if (members[m].method != s->method)
			continue;
		map = json_object();
		for (i = 0; i < s->n; i++) {
			memcpy(&v, (const char *)&s->columns[i] + members[m].offset, sizeof v);
			json_object_set_new(map, s->columns[i].name, json_real(v));
		}
		json_object_set_new(info, members[m].name, map);
		json_object_set_new(info, members[m].dtype, json_string("float64"));
	}
	for (i = 0; i < s->n; i++)
		json_array_append_new(names, json_string(s->columns[i].name));
	json_object_set_new(info, "select_col", names);
	if (s->method == SCALE_MIN_MAX)
		json_object_set_new(info, "strict_range", json_boolean(s->strict));
	return json_pack("{s:{s:o},s:{s:s,s:s}}", "data", "scaler_info", info, "meta", "method",
			 s->method == SCALE_STANDARD ? "standard" : "min_max", "model_type",
			 "feature_scale");
}

static bool read_column(const json_t *info, const struct scaler *s, struct scale_column *c)
{
	const json_t *v;
	size_t m;
	double x;

	for (m = 0; m < ARRAY_LEN(members); m++) {
		if (members[m].method != s->method)
			continue;
		v = json_object_get(json_object_get(info, members[m].name), c->name);
		x = json_number_value(v);
		if (!json_is_number(v) || !isfinite(x))
			return false;
		memcpy((char *)c + members[m].offset, &x, sizeof x);
	}
	return s->method == SCALE_MIN_MAX || c->std > 0;
}

bool scaler_from_json(const json_t *v, struct scaler *s, struct err *e)
{
	const json_t *info = js_get(v, "data.scaler_info"), *names = js_get(info, "select_col");
	const char *method = js_str(js_get(v, "meta"), "method", ""), *name;
	size_t i;
	bool ok = json_is_array(names) && (str_eq(method, "standard") || str_eq(method, "min_max"));

	memset(s, 0, sizeof *s);
	s->method = str_eq(method, "standard") ? SCALE_STANDARD : SCALE_MIN_MAX;
	s->strict = js_bool(info, "strict_range", true);
	s->columns = mem_array(json_array_size(names) + 1, sizeof *s->columns);
	for (i = 0; i < json_array_size(names) && ok; i++) {
		name = json_string_value(json_array_get(names, i));
		ok = name != NULL;
		if (!ok)
			break;
		s->columns[s->n].name = mem_strdup(name);
		ok = read_column(info, s, &s->columns[s->n++]);
	}
	if (ok)
		return true;
	scaler_free(s);
	return err_set(e, ERR_COMPONENT_OUTPUT, "the input model is not one of feature_scale");
}
