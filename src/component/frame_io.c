/* Cells, schema and CSV text of data frames. */
#include "config.h"

#include "component/frame.h"

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const dtype_names[] = {
    [NORN_INT32] = "int32",     [NORN_INT64] = "int64", [NORN_FLOAT32] = "float32",
    [NORN_FLOAT64] = "float64", [NORN_BOOL] = "bool",   [NORN_STRING] = "np_object",
};

const char *dtype_name(enum norn_dtype t)
{
	return dtype_names[t];
}

bool dtype_parse(const char *name, enum norn_dtype *out)
{
	static const struct {
		const char *name;
		enum norn_dtype t;
	} also[] = {{"int", NORN_INT64},  {"float", NORN_FLOAT32}, {"double", NORN_FLOAT64},
		    {"str", NORN_STRING}, {"index", NORN_STRING},  {"object", NORN_STRING},
		    {"long", NORN_INT64}};
	size_t i;

	for (i = 0; i < ARRAY_LEN(dtype_names); i++) {
		if (strcmp(name, dtype_names[i]) == 0) {
			*out = (enum norn_dtype)i;
			return true;
		}
	}
	for (i = 0; i < ARRAY_LEN(also); i++) {
		if (strcmp(name, also[i].name) == 0) {
			*out = also[i].t;
			return true;
		}
	}
	return false;
}

/* Whole numbers may be written as floats ("1.0"), as tools often export labels that way. */
static bool parse_int(const char *text, double max, double *out, const char **why)
{
	double v;

	if (!str_to_double(text, &v) || v != floor(v)) {
		*why = "not a whole number";
		return false;
	}
	if (v > max || v < -max - (max < 4e15 ? 1 : 0)) {
		*why = "out of range";
		return false;
	}
	*out = v;
	return true;
}

bool cell_parse(const char *text, enum norn_dtype t, double *out, const char **why)
{
	switch (t) {
	case NORN_INT32:
		return parse_int(text, 2147483647.0, out, why);
	case NORN_INT64:
		return parse_int(text, 9007199254740992.0, out, why);
	case NORN_BOOL:
		if (strcmp(text, "1") == 0 || strcmp(text, "true") == 0 ||
		    strcmp(text, "True") == 0)
			*out = 1;
		else if (strcmp(text, "0") == 0 || strcmp(text, "false") == 0 ||
			 strcmp(text, "False") == 0)
			*out = 0;
		else {
			*why = "not true, false, 1 or 0";
			return false;
		}
		return true;
	case NORN_FLOAT32:
	case NORN_FLOAT64:
		if (!str_to_double(text, out)) {
			*why = *text ? "not a finite number" : "empty";
			return false;
		}
		if (t == NORN_FLOAT32) {
			if (fabs(*out) > FLT_MAX) {
				*why = "out of range";
				return false;
			}
			*out = (double)(float)*out;
		}
		return true;
	case NORN_STRING:
		break;
	}
	*why = "not a number type";
	return false;
}

void cell_format(struct buf *out, enum norn_dtype t, double v)
{
	char text[40];
	int digits = t == NORN_FLOAT32 ? 6 : 15, most = t == NORN_FLOAT32 ? 9 : 17;

	if (t == NORN_INT32 || t == NORN_INT64 || t == NORN_BOOL) {
		buf_printf(out, "%lld", (long long)v);
		return;
	}
	/* The shortest text that reads back as the same number. */
	for (; digits <= most; digits++) {
		double back;

		snprintf(text, sizeof text, "%.*g", digits, v);
		back = strtod(text, NULL);
		if (t == NORN_FLOAT32 ? (float)back == (float)v : back >= v && back <= v)
			break;
	}
	buf_adds(out, text);
}

static json_t *field_json(const char *name, const char *property, const char *dtype,
			  const char *anonymous)
{
	json_t *o = json_object();
	bool id = strcmp(dtype, "index") == 0;

	json_object_set_new(o, "name", json_string(name));
	json_object_set_new(o, "property", json_string(property));
	json_object_set_new(o, "dtype", json_string(dtype));
	json_object_set_new(o, "should_compress", json_boolean(!id));
	if (anonymous != NULL)
		json_object_set_new(o, "anonymous_name", json_string(anonymous));
	return o;
}

static json_t *column_json(const struct norn_column *c, const char *property)
{
	return field_json(c->name, property, dtype_name(c->dtype), c->anonymous_name);
}

json_t *frame_schema(const struct norn_frame *f)
{
	json_t *fields = json_array(), *meta = json_object(), *schema = json_object();
	size_t i;

	json_array_append_new(fields, field_json(f->sample_id_name, "sample_id", "index", NULL));
	json_array_append_new(fields, field_json(f->match_id_name, "match_id", "index", NULL));
	if (f->label != NULL)
		json_array_append_new(fields, column_json(f->label, "label"));
	if (f->weight != NULL)
		json_array_append_new(fields, column_json(f->weight, "weight"));
	for (i = 0; i < f->n_columns; i++)
		json_array_append_new(fields, column_json(&f->columns[i], "column"));
	json_object_set_new(meta, "fields", fields);
	json_object_set_new(meta, "anonymous_summary",
			    json_pack("{s:I,s:s?}", "column_len", (json_int_t)f->n_columns,
				      "site_name", f->site_name));
	json_object_set_new(schema, "type", json_string("fate.arch.dataframe"));
	json_object_set_new(schema, "schema_meta", meta);
	json_object_set_new(schema, "partition_order_mappings", json_object());
	return schema;
}

static void add_cell(struct buf *b, const struct norn_column *c, size_t row)
{
	buf_addc(b, ',');
	if (c->str != NULL)
		csv_add(b, c->str[row] ? c->str[row] : "", ',');
	else
		cell_format(b, c->dtype, c->num[row]);
}

static void add_name(struct buf *b, const char *name)
{
	buf_addc(b, ',');
	csv_add(b, name, ',');
}

bool frame_write_csv(const struct norn_frame *f, FILE *out, struct err *e)
{
	struct buf b = {0};
	size_t row, i;
	bool ok = true;

	csv_add(&b, f->sample_id_name, ',');
	add_name(&b, f->match_id_name);
	if (f->label != NULL)
		add_name(&b, f->label->name);
	if (f->weight != NULL)
		add_name(&b, f->weight->name);
	for (i = 0; i < f->n_columns; i++)
		add_name(&b, f->columns[i].name);
	buf_addc(&b, '\n');
	for (row = 0; row < f->n_rows && ok; row++) {
		csv_add(&b, f->sample_id[row], ',');
		add_name(&b, f->match_id[row]);
		if (f->label != NULL)
			add_cell(&b, f->label, row);
		if (f->weight != NULL)
			add_cell(&b, f->weight, row);
		for (i = 0; i < f->n_columns; i++)
			add_cell(&b, &f->columns[i], row);
		buf_addc(&b, '\n');
		if (b.len > 65536) {
			ok = fwrite(b.data, 1, b.len, out) == b.len;
			buf_reset(&b);
		}
	}
	if (ok && b.len > 0)
		ok = fwrite(b.data, 1, b.len, out) == b.len;
	buf_free(&b);
	return ok || err_set(e, ERR_IO, "cannot write the table: %s", strerror(errno));
}

static json_t *cell_json(const struct norn_column *c, size_t row)
{
	if (c->str != NULL)
		return json_string(c->str[row] ? c->str[row] : "");
	if (c->dtype == NORN_FLOAT32 || c->dtype == NORN_FLOAT64)
		return json_real(c->num[row]);
	return json_integer((json_int_t)c->num[row]);
}

json_t *frame_row(const struct norn_frame *f, size_t row)
{
	json_t *a = json_array();
	size_t i;

	json_array_append_new(a, json_string(f->sample_id[row]));
	json_array_append_new(a, json_string(f->match_id[row]));
	if (f->label != NULL)
		json_array_append_new(a, cell_json(f->label, row));
	if (f->weight != NULL)
		json_array_append_new(a, cell_json(f->weight, row));
	for (i = 0; i < f->n_columns; i++)
		json_array_append_new(a, cell_json(&f->columns[i], row));
	return a;
}

/* Where the cells of one CSV field go. */
struct target {
	char **ids;
	enum { TO_IDS, TO_LABEL, TO_WEIGHT, TO_COLUMN } kind;
	size_t column;
};

static bool add_field(struct norn_frame *f, const json_t *field, struct target *to, struct err *e)
{
	const char *name = js_str(field, "name", NULL), *prop = js_str(field, "property", NULL);
	const char *anonymous = js_str(field, "anonymous_name", NULL);
	struct norn_column *c;
	enum norn_dtype t;

	if (name == NULL || prop == NULL)
		return err_set(e, ERR_PARSE,
			       "a field of the table's schema has no name or no "
			       "property");
	memset(to, 0, sizeof *to);
	if (strcmp(prop, "sample_id") == 0 || strcmp(prop, "match_id") == 0) {
		bool sample = strcmp(prop, "sample_id") == 0;
		char **slot = sample ? &f->sample_id_name : &f->match_id_name;

		if (*slot != NULL)
			return err_set(e, ERR_PARSE, "the schema has two fields of property %s",
				       prop);
		*slot = mem_strdup(name);
		to->kind = TO_IDS;
		to->ids = sample ? f->sample_id : f->match_id;
		return true;
	}
	if (!dtype_parse(js_str(field, "dtype", ""), &t))
		return err_set(e, ERR_PARSE, "field %s: unknown type '%s'", name,
			       js_str(field, "dtype", ""));
	if (strcmp(prop, "label") == 0 && f->label == NULL) {
		norn_frame_set_label(f, name, t);
		to->kind = TO_LABEL;
		c = f->label;
	} else if (strcmp(prop, "weight") == 0 && f->weight == NULL) {
		norn_frame_set_weight(f, name, t);
		to->kind = TO_WEIGHT;
		c = f->weight;
	} else if (strcmp(prop, "column") == 0) {
		to->kind = TO_COLUMN;
		to->column = f->n_columns;
		c = norn_frame_add_column(f, name, t);
	} else {
		return err_set(e, ERR_PARSE, "field %s: unexpected property '%s'", name, prop);
	}
	c->anonymous_name = mem_strdup(anonymous);
	return true;
}

static bool set_cell(struct norn_frame *f, const struct target *to, size_t row, const char *text,
		     int64_t line, struct err *e)
{
	struct norn_column *c;
	const char *why = NULL;

	if (to->kind == TO_IDS) {
		to->ids[row] = mem_strdup(text);
		return true;
	}
	c = to->kind == TO_LABEL    ? f->label
	    : to->kind == TO_WEIGHT ? f->weight
				    : &f->columns[to->column];
	if (c->str != NULL)
		c->str[row] = mem_strdup(text);
	else if (!cell_parse(text, c->dtype, &c->num[row], &why))
		return err_set(e, ERR_PARSE, "line %lld, column %s: '%.60s' is %s", (long long)line,
			       c->name, text, why);
	return true;
}

static bool read_rows(struct csv_reader *r, struct norn_frame *f, const struct target *targets,
		      size_t n_targets, struct err *e)
{
	enum csv_result got;
	size_t row, i;

	for (row = 0; row <= f->n_rows; row++) {
		got = csv_read(r, e);
		if (got == CSV_ERROR)
			return false;
		if (got == CSV_END)
			break;
		if (row == f->n_rows)
			return err_set(e, ERR_PARSE, "the table has more rows than it says");
		if (r->n_fields != n_targets)
			return err_set(e, ERR_PARSE, "line %lld: %zu fields instead of %zu",
				       (long long)r->line, r->n_fields, n_targets);
		for (i = 0; i < n_targets; i++)
			if (!set_cell(f, &targets[i], row, csv_field(r, i), r->line, e))
				return false;
	}
	return row == f->n_rows || err_set(e, ERR_PARSE, "the table has fewer rows than it says");
}

struct norn_frame *frame_read_csv(struct csv_reader *r, const json_t *schema, size_t n_rows,
				  struct err *e)
{
	json_t *fields = js_get(schema, "schema_meta.fields"), *field;
	const char *site = NULL;
	struct norn_frame *f = norn_frame_new(n_rows, NULL, NULL);
	struct target *targets = NULL;
	size_t n = json_array_size(fields), i;
	enum csv_result got;

	if (n < 2 || n > FRAME_COLUMNS_MAX + 4) {
		err_set(e, ERR_PARSE, "the table's schema has no fields, or too many");
		goto fail;
	}
	targets = mem_array(n, sizeof *targets);
	json_array_foreach (fields, i, field) {
		if (!add_field(f, field, &targets[i], e))
			goto fail;
	}
	if (f->sample_id_name == NULL || f->match_id_name == NULL) {
		err_set(e, ERR_PARSE, "the table's schema lacks a sample id or a match id");
		goto fail;
	}
	site = js_str(js_get(schema, "schema_meta.anonymous_summary"), "site_name", NULL);
	f->site_name = mem_strdup(site);
	got = csv_read(r, e);
	if (got == CSV_END)
		err_set(e, ERR_PARSE, "the table has no header line");
	if (got != CSV_RECORD || !read_rows(r, f, targets, n, e))
		goto fail;
	free(targets);
	return f;
fail:
	free(targets);
	norn_frame_free(f);
	return NULL;
}
