/* A raw table into a data frame. */
#include "config.h"

#include "component/rawtable.h"

#include "base/js.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

struct convert {
	struct csv_reader csv;
	const json_t *schema;
	struct norn_frame *f;
	/* What each CSV field becomes; MATCH_TOO: sample and match id at once. */
	enum { SAMPLE, SAMPLE_AND_MATCH, MATCH, LABEL, WEIGHT, COLUMN } * kind;
	size_t *column;
	size_t n;
};

/* The type of one column: its own, or the table's. */
static bool column_dtype(const struct convert *c, const char *name, enum norn_dtype *t,
			 struct err *e)
{
	const json_t *dtype = json_object_get(c->schema, "dtype");
	const char *text = json_is_object(dtype) ? js_str(dtype, name, "float32")
						 : js_str(c->schema, "dtype", "float32");

	return dtype_parse(text, t) || err_set(e, ERR_JOB_PARAMS,
					       "column %.60s: unknown type "
					       "'%.40s'",
					       name, text);
}

static bool add_special(struct convert *c, const char *name, bool label, struct err *e)
{
	const char *key = label ? "label_type" : "weight_type";
	const char *type = js_str(c->schema, key, label ? "int32" : "float32");
	enum norn_dtype t;

	if (!dtype_parse(type, &t) || t == NORN_STRING)
		return err_set(e, ERR_JOB_PARAMS, "%s: '%.40s' is not a number type", key, type);
	if (label)
		norn_frame_set_label(c->f, name, t);
	else
		norn_frame_set_weight(c->f, name, t);
	return true;
}

static bool plan_field(struct convert *c, size_t i, const char *name, struct err *e)
{
	const char *sample = js_str(c->schema, "sample_id_name", "");
	const char *match = js_str(c->schema, "match_id_name", sample);
	enum norn_dtype t;

	if (strcmp(name, sample) == 0) {
		c->kind[i] = strcmp(name, match) == 0 ? SAMPLE_AND_MATCH : SAMPLE;
		return true;
	}
	if (strcmp(name, match) == 0) {
		c->kind[i] = MATCH;
		return true;
	}
	if (strcmp(name, js_str(c->schema, "label_name", "")) == 0) {
		c->kind[i] = LABEL;
		return add_special(c, name, true, e);
	}
	if (strcmp(name, js_str(c->schema, "weight_name", "")) == 0) {
		c->kind[i] = WEIGHT;
		return add_special(c, name, false, e);
	}
	if (!column_dtype(c, name, &t, e))
		return false;
	c->kind[i] = COLUMN;
	c->column[i] = c->f->n_columns;
	norn_frame_add_column(c->f, name, t);
	return true;
}

static void set_anonymous(struct norn_frame *f, const char *site)
{
	const char *prefix = site ? site : "AnonymousRole_AnonymousPartyId";
	size_t i;

	f->site_name = mem_strdup(site);
	if (f->label != NULL)
		f->label->anonymous_name = mem_printf("%s_y", prefix);
	if (f->weight != NULL)
		f->weight->anonymous_name = mem_printf("%s_weight", prefix);
	for (i = 0; i < f->n_columns; i++)
		f->columns[i].anonymous_name = mem_printf("%s_x%zu", prefix, i);
}

/* Every name in the description must be a column of the table. */
static bool check_found(const struct convert *c, struct err *e)
{
	static const struct {
		const char *key;
		int kind, or_kind;
	} want[] = {{"sample_id_name", SAMPLE, SAMPLE_AND_MATCH},
		    {"match_id_name", MATCH, SAMPLE_AND_MATCH},
		    {"label_name", LABEL, LABEL},
		    {"weight_name", WEIGHT, WEIGHT}};
	const char *name;
	size_t i, j;

	for (i = 0; i < ARRAY_LEN(want); i++) {
		name = js_str(c->schema, want[i].key, NULL);
		if (name == NULL)
			continue;
		for (j = 0; j < c->n; j++)
			if ((int)c->kind[j] == want[i].kind || (int)c->kind[j] == want[i].or_kind)
				break;
		if (j == c->n)
			return err_set(e, ERR_PARSE, "the table has no column %.60s (meta.%s)",
				       name, want[i].key);
	}
	return true;
}

static bool read_header(struct convert *c, struct err *e)
{
	const char *sample = js_str(c->schema, "sample_id_name", NULL);
	size_t i;
	enum csv_result got = csv_read(&c->csv, e);

	if (got == CSV_END)
		return err_set(e, ERR_PARSE, "the table has no header line");
	if (got == CSV_ERROR)
		return false;
	if (sample == NULL)
		return err_set(e, ERR_PARSE, "the table's description names no sample id");
	if (c->csv.n_fields > FRAME_COLUMNS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d columns", FRAME_COLUMNS_MAX);
	c->n = c->csv.n_fields;
	c->kind = mem_array(c->n, sizeof *c->kind);
	c->column = mem_array(c->n, sizeof *c->column);
	c->f->sample_id_name = mem_strdup(sample);
	c->f->match_id_name = mem_strdup(js_str(c->schema, "match_id_name", sample));
	for (i = 0; i < c->n; i++)
		if (!plan_field(c, i, csv_field(&c->csv, i), e))
			return false;
	return check_found(c, e);
}

static bool bad_id(const struct convert *c, const char *which, const char *name, struct err *e)
{
	return err_set(e, ERR_PARSE, "line %lld, column %.60s: the %s is empty",
		       (long long)c->csv.line, name, which);
}

static bool read_cell(struct convert *c, size_t row, size_t i, struct err *e)
{
	const char *text = csv_field(&c->csv, i), *why = NULL;
	struct norn_column *col = NULL;

	switch (c->kind[i]) {
	case SAMPLE:
	case SAMPLE_AND_MATCH:
		if (*text == '\0')
			return bad_id(c, "sample id", c->f->sample_id_name, e);
		c->f->sample_id[row] = mem_strdup(text);
		if (c->kind[i] == SAMPLE_AND_MATCH)
			c->f->match_id[row] = mem_strdup(text);
		return true;
	case MATCH:
		if (*text == '\0')
			return bad_id(c, "match id", c->f->match_id_name, e);
		c->f->match_id[row] = mem_strdup(text);
		return true;
	case LABEL:
		col = c->f->label;
		break;
	case WEIGHT:
		col = c->f->weight;
		break;
	case COLUMN:
		col = &c->f->columns[c->column[i]];
		break;
	}
	if (col == NULL)
		return err_set(e, ERR_INTERNAL, "field %zu has no column", i + 1);
	if (col->str != NULL)
		col->str[row] = mem_strdup(text);
	else if (!cell_parse(text, col->dtype, &col->num[row], &why))
		return err_set(e, ERR_PARSE, "line %lld, column %.60s: '%.60s' is %s (type %s)",
			       (long long)c->csv.line, col->name, text, why,
			       dtype_name(col->dtype));
	return true;
}

static bool read_rows(struct convert *c, struct err *e)
{
	enum csv_result got;
	size_t row = 0, i;

	while ((got = csv_read(&c->csv, e)) == CSV_RECORD) {
		if (row == c->f->n_rows)
			return err_set(e, ERR_PARSE, "the table has more rows than it says");
		if (c->csv.n_fields != c->n)
			return err_set(e, ERR_PARSE,
				       "line %lld: %zu fields, but the header has %zu",
				       (long long)c->csv.line, c->csv.n_fields, c->n);
		for (i = 0; i < c->n; i++)
			if (!read_cell(c, row, i, e))
				return false;
		row++;
	}
	if (got == CSV_ERROR)
		return false;
	return row == c->f->n_rows || err_set(e, ERR_PARSE,
					      "the table has fewer rows than it "
					      "says");
}

struct norn_frame *rawtable_to_frame(FILE *data, const json_t *schema, size_t count,
				     const char *site_name, struct err *e)
{
	struct convert c = {.schema = schema};
	bool ok;

	c.f = norn_frame_new(count, NULL, NULL);
	ok = csv_reader_init(&c.csv, data, ',', e) && read_header(&c, e) && read_rows(&c, e);
	if (ok)
		set_anonymous(c.f, site_name);
	csv_reader_free(&c.csv);
	free(c.kind);
	free(c.column);
	if (ok)
		return c.f;
	norn_frame_free(c.f);
	return NULL;
}
