/* Numbers and curves of metric records. See metrics.h. */
#include "config.h"
#include "cli/metrics.h"
#include "base/attr.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEPTH_MAX   12
#define SCALARS_MAX 10000
#define CURVES_MAX  1000

/* Columns that are the horizontal axis when they stand beside others, the best first. */
static const char *const x_names[] = {"fpr",  "step",     "x",         "cuts",       "cut",
				      "bins", "quantile", "threshold", "thresholds", "recall"};

static void add_scalar(struct metric_set *set, const char *name, const json_t *v)
{
	struct metric_scalar *s;

	if (set->n_scalars == SCALARS_MAX)
		return;
	set->scalars = mem_resize(set->scalars, set->n_scalars + 1, sizeof(*set->scalars));
	s = &set->scalars[set->n_scalars++];
	s->name = text_clean_line(name);
	if (json_is_real(v))
		s->value = mem_printf("%.6g", json_real_value(v));
	else if (json_is_string(v))
		s->value = text_clean_line(json_string_value(v));
	else
		s->value = js_dump_str(v);
}

static struct metric_curve *curve(struct metric_set *set, const char *name, const char *x_label,
				  const char *y_label)
{
	struct metric_curve *c;
	char *clean = text_clean_line(name);

	for (size_t i = 0; i < set->n_curves; i++) {
		if (str_eq(set->curves[i].name, clean)) {
			free(clean);
			return &set->curves[i];
		}
	}
	if (set->n_curves == CURVES_MAX) {
		free(clean);
		return NULL;
	}
	set->curves = mem_resize(set->curves, set->n_curves + 1, sizeof(*set->curves));
	c = &set->curves[set->n_curves++];
	*c = (struct metric_curve){.name = clean,
				   .x_label = text_clean_line(x_label),
				   .y_label = text_clean_line(y_label)};
	return c;
}

static void add_point(struct metric_curve *c, double x, double y, double y2)
{
	if (c == NULL || c->n == METRICS_POINTS_MAX)
		return;
	if (c->n == c->cap) {
		c->cap = c->cap == 0 ? 64 : c->cap * 2;
		c->x = mem_resize(c->x, c->cap, sizeof(*c->x));
		c->y = mem_resize(c->y, c->cap, sizeof(*c->y));
		c->y2 = mem_resize(c->y2, c->cap, sizeof(*c->y2));
	}
	c->x[c->n] = x;
	c->y2[c->n] = y2;
	c->y[c->n++] = y;
}

static bool is_number_list(const json_t *v)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(v) || json_array_size(v) < 2)
		return false;
	json_array_foreach (v, i, item)
		if (!json_is_number(item))
			return false;
	return true;
}

static const json_t *column(const json_t *obj, const char *key, size_t len)
{
	const json_t *v = key != NULL ? json_object_get(obj, key) : NULL;

	return is_number_list(v) && json_array_size(v) == len ? v : NULL;
}

/* The column to draw the others over; NULL: their index. */
static const char *find_x(const char *name, const json_t *obj, size_t len)
{
	/* Both rates over the cuts make a KS chart. */
	bool ks = strcasestr(name, "ks") != NULL;

	for (size_t i = 0; i < ARRAY_LEN(x_names); i++)
		if (column(obj, x_names[i], len) != NULL && !(ks && str_eq(x_names[i], "fpr")))
			return x_names[i];
	return NULL;
}

/* Columns that only place the others; the first and the last of the list are worth a curve. */
static bool is_x_name(const char *key)
{
	for (size_t i = 1; i + 1 < ARRAY_LEN(x_names); i++)
		if (str_eq(x_names[i], key))
			return true;
	return false;
}

static void add_column(struct metric_set *set, const char *name, const json_t *obj,
		       const char *x_key, const char *y_key, const char *y2_key, size_t len,
		       bool detail)
{
	const json_t *x = column(obj, x_key, len), *y = column(obj, y_key, len),
		     *y2 = column(obj, y2_key, len);
	char *label = y2 != NULL ? mem_printf("%s, %s", y_key, y2_key) : mem_strdup(y_key);
	char *full = y2 != NULL ? mem_strdup(name) : mem_printf("%s/%s", name, y_key);
	struct metric_curve *c = curve(set, full, x != NULL ? x_key : "index", label);

	for (size_t i = 0; i < len; i++)
		add_point(c, x != NULL ? json_number_value(json_array_get(x, i)) : (double)i,
			  json_number_value(json_array_get(y, i)),
			  y2 != NULL ? json_number_value(json_array_get(y2, i)) : 0);
	if (c != NULL) {
		c->two_lines = y2 != NULL;
		c->detail = detail;
	}
	free(label);
	free(full);
}

/* Lists of numbers of one length side by side: one curve for each but the horizontal one. */
static bool add_columns(struct metric_set *set, const char *name, json_t *obj, bool detail)
{
	const char *key, *x_key;
	size_t len = 0, n = 0;
	bool rates;
	json_t *v;

	json_object_foreach (obj, key, v) {
		if (!is_number_list(v) || (n > 0 && json_array_size(v) != len))
			continue;
		len = json_array_size(v);
		n++;
	}
	if (n < 2)
		return false;
	x_key = find_x(name, obj, len);
	rates = column(obj, "tpr", len) != NULL && column(obj, "fpr", len) != NULL;
	if (rates) {
		bool roc = str_eq(x_key, "fpr");

		add_column(set, name, obj, x_key, "tpr", roc ? NULL : "fpr", len, detail);
	}
	json_object_foreach (obj, key, v) {
		if (str_eq(key, x_key) || column(obj, key, len) == NULL || is_x_name(key) ||
		    (rates && (str_eq(key, "tpr") || str_eq(key, "fpr"))))
			continue;
		add_column(set, name, obj, x_key, key, NULL, len, detail);
	}
	return true;
}

/* A list of objects with the same number members is the same table turned by 90 degrees. */
static bool add_rows(struct metric_set *set, const char *name, const json_t *list, bool detail)
{
	const char *key;
	json_t *columns, *v, *row;
	size_t i;
	bool ok = json_array_size(list) >= 2;

	columns = json_object();
	json_array_foreach (list, i, row) {
		ok = ok && json_is_object(row);
		if (!ok)
			break;
		json_object_foreach (row, key, v) {
			ok = ok && json_is_number(v);
			if (json_object_get(columns, key) == NULL)
				json_object_set_new(columns, key, json_array());
			json_array_append(json_object_get(columns, key), v);
		}
	}
	ok = ok && add_columns(set, name, columns, detail);
	json_decref(columns);
	return ok;
}

static void walk(struct metric_set *set, const char *name, json_t *v, bool detail, int depth)
{
	const char *key, *own = js_str(v, "metric", NULL);
	json_t *item;
	size_t i;

	if (depth > DEPTH_MAX)
		return;
	if (json_is_number(v) || json_is_boolean(v) || json_is_string(v)) {
		add_scalar(set, name, v);
	} else if (json_is_object(v) && own != NULL && json_object_get(v, "val") != NULL) {
		char *full = mem_printf("%s/%s", name, own);

		walk(set, full, json_object_get(v, "val"), true, depth + 1);
		free(full);
	} else if (json_is_object(v)) {
		bool columns = add_columns(set, name, v, detail);

		json_object_foreach (v, key, item) {
			char *full;

			if (columns && json_is_array(item))
				continue;
			full = mem_printf("%s/%s", name, key);
			walk(set, full, item, detail, depth + 1);
			free(full);
		}
	} else if (json_is_array(v) && !add_rows(set, name, v, detail)) {
		json_array_foreach (v, i, item) {
			if (json_is_object(item) || json_is_array(item))
				walk(set, name, item, detail, depth + 1);
		}
	}
}

/* {metric, step, timestamp} points. */
static bool add_steps(struct metric_set *set, const char *name, const json_t *record)
{
	const json_t *data = json_object_get(record, "data"), *p;
	const char *axis = js_str(record, "step_axis", "step");
	size_t i;

	json_array_foreach (data, i, p)
		if (!json_is_number(json_object_get(p, "metric")) ||
		    !json_is_number(json_object_get(p, "step")))
			return false;
	if (json_array_size(data) == 0)
		return false;
	json_array_foreach (data, i, p)
		add_point(curve(set, name, axis, js_str(record, "name", "value")),
			  js_num(p, "step", 0), js_num(p, "metric", 0), 0);
	return true;
}

void metric_set_add(struct metric_set *set, const json_t *records)
{
	const json_t *r, *g;
	size_t i, k;

	json_array_foreach (records, i, r) {
		struct buf name = {0};

		json_array_foreach (json_object_get(r, "groups"), k, g) {
			const char *group = js_str(g, "name", "default");

			if (!str_eq(group, "default"))
				buf_printf(&name, "%s/", group);
		}
		buf_adds(&name, js_str(r, "name", "metric"));
		if (!add_steps(set, buf_str(&name), r))
			walk(set, buf_str(&name), json_object_get(r, "data"), false, 0);
		buf_free(&name);
	}
}

void metric_set_free(struct metric_set *set)
{
	for (size_t i = 0; i < set->n_scalars; i++) {
		free(set->scalars[i].name);
		free(set->scalars[i].value);
	}
	for (size_t i = 0; i < set->n_curves; i++) {
		free(set->curves[i].name);
		free(set->curves[i].x_label);
		free(set->curves[i].y_label);
		free(set->curves[i].x);
		free(set->curves[i].y);
		free(set->curves[i].y2);
	}
	free(set->scalars);
	free(set->curves);
	*set = (struct metric_set){0};
}
