/* Numbers and curves of metric records. See metrics.h. */
#include "config.h"
#include "cli/metrics.h"
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
static const char *const x_names[] = {"fpr",  "step", "x",    "threshold", "thresholds",
				      "cuts", "cut",  "bins", "quantile",  "recall"};

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

static void add_point(struct metric_curve *c, double x, double y)
{
	if (c == NULL || c->n == METRICS_POINTS_MAX)
		return;
	if (c->n == c->cap) {
		c->cap = c->cap == 0 ? 64 : c->cap * 2;
		c->x = mem_resize(c->x, c->cap, sizeof(*c->x));
		c->y = mem_resize(c->y, c->cap, sizeof(*c->y));
	}
	c->x[c->n] = x;
	c->y[c->n++] = y;
}

static bool is_number_list(const json_t *v)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(v) || json_array_size(v) < 2)
		return false;
	json_array_foreach(v, i, item) if (!json_is_number(item)) return false;
	return true;
}

/* Lists of numbers of one length side by side: one curve for each but the horizontal one. */
static bool add_columns(struct metric_set *set, const char *name, json_t *obj)
{
	const char *key, *x_key = NULL;
	size_t len = 0, n = 0, i;
	const json_t *x;
	json_t *v;

	json_object_foreach(obj, key, v)
	{
		if (!is_number_list(v) || (n > 0 && json_array_size(v) != len))
			continue;
		len = json_array_size(v);
		n++;
	}
	if (n < 2)
		return false;
	for (i = 0; i < sizeof(x_names) / sizeof(x_names[0]) && x_key == NULL; i++) {
		/* Both rates over the threshold make a KS chart. */
		if (str_eq(x_names[i], "fpr") && strcasestr(name, "ks") != NULL)
			continue;
		v = json_object_get(obj, x_names[i]);
		if (is_number_list(v) && json_array_size(v) == len)
			x_key = x_names[i];
	}
	x = x_key != NULL ? json_object_get(obj, x_key) : NULL;
	json_object_foreach(obj, key, v)
	{
		char *full;

		if (str_eq(key, x_key) || !is_number_list(v) || json_array_size(v) != len)
			continue;
		if (str_eq(x_key, "fpr") && !str_eq(key, "tpr") &&
		    json_object_get(obj, "tpr") != NULL)
			continue;
		full = mem_printf("%s/%s", name, key);
		for (i = 0; i < len; i++)
			add_point(curve(set, full, x_key != NULL ? x_key : "index", key),
				  x != NULL ? json_number_value(json_array_get(x, i)) : (double)i,
				  json_number_value(json_array_get(v, i)));
		free(full);
	}
	return true;
}

/* A list of objects with the same number members is the same table turned by 90 degrees. */
static bool add_rows(struct metric_set *set, const char *name, const json_t *list)
{
	const char *key;
	json_t *columns, *v, *row;
	size_t i;
	bool ok = json_array_size(list) >= 2;

	columns = json_object();
	json_array_foreach(list, i, row)
	{
		ok = ok && json_is_object(row);
		if (!ok)
			break;
		json_object_foreach(row, key, v)
		{
			ok = ok && json_is_number(v);
			if (json_object_get(columns, key) == NULL)
				json_object_set_new(columns, key, json_array());
			json_array_append(json_object_get(columns, key), v);
		}
	}
	ok = ok && add_columns(set, name, columns);
	json_decref(columns);
	return ok;
}

static void walk(struct metric_set *set, const char *name, json_t *v, int depth)
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

		walk(set, full, json_object_get(v, "val"), depth + 1);
		free(full);
	} else if (json_is_object(v)) {
		bool columns = add_columns(set, name, v);

		json_object_foreach(v, key, item)
		{
			char *full;

			if (columns && json_is_array(item))
				continue;
			full = mem_printf("%s/%s", name, key);
			walk(set, full, item, depth + 1);
			free(full);
		}
	} else if (json_is_array(v) && !add_rows(set, name, v)) {
		json_array_foreach(v, i, item) if (json_is_object(item))
		    walk(set, name, item, depth + 1);
	}
}

/* {metric, step, timestamp} points. */
static bool add_steps(struct metric_set *set, const char *name, const json_t *record)
{
	const json_t *data = json_object_get(record, "data"), *p;
	const char *axis = js_str(record, "step_axis", "step");
	size_t i;

	json_array_foreach(data, i,
			   p) if (!json_is_number(json_object_get(p, "metric")) ||
				  !json_is_number(json_object_get(p, "step"))) return false;
	if (json_array_size(data) == 0)
		return false;
	json_array_foreach(data, i, p)
	    add_point(curve(set, name, axis, js_str(record, "name", "value")), js_num(p, "step", 0),
		      js_num(p, "metric", 0));
	return true;
}

void metric_set_add(struct metric_set *set, const json_t *records)
{
	const json_t *r, *g;
	size_t i, k;

	json_array_foreach(records, i, r)
	{
		struct buf name = {0};

		json_array_foreach(json_object_get(r, "groups"), k, g)
		{
			const char *group = js_str(g, "name", "default");

			if (!str_eq(group, "default"))
				buf_printf(&name, "%s/", group);
		}
		buf_adds(&name, js_str(r, "name", "metric"));
		if (!add_steps(set, buf_str(&name), r))
			walk(set, buf_str(&name), json_object_get(r, "data"), 0);
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
	}
	free(set->scalars);
	free(set->curves);
	*set = (struct metric_set){0};
}
