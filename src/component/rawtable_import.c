/* A user's CSV file into a raw table. */
#include "config.h"

#include "component/rawtable.h"

#include "base/js.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "component/artifact.h"
#include "component/task.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SID_NAME "extend_sid"
#define ROWS_MAX INT32_MAX

static const struct norn_param meta_keys[] = {
    {"sample_id_name", NORN_P_STR, "null", 0, 0, NULL, 0, NULL},
    {"match_id_name", NORN_P_STR, "null", 0, 0, NULL, 0, NULL},
    {"match_id_list", NORN_P_LIST, "null", 0, 0, NULL, 0, NULL},
    {"match_id_range", NORN_P_INT, "0", 0, 0, NULL, 0, NULL},
    {"label_name", NORN_P_STR, "null", 0, 0, NULL, 0, NULL},
    {"label_type", NORN_P_STR, "\"int32\"", 0, 0, NULL, 0, NULL},
    {"weight_name", NORN_P_STR, "null", 0, 0, NULL, 0, NULL},
    {"weight_type", NORN_P_STR, "\"float32\"", 0, 0, NULL, 0, NULL},
    {"header", NORN_P_STR, "null", 0, 0, NULL, 0, NULL},
    {"delimiter", NORN_P_STR, "\",\"", 0, 0, NULL, 0, NULL},
    {"dtype", NORN_P_ANY, "\"float32\"", 0, 0, NULL, 0, NULL},
    {"na_values", NORN_P_ANY, "null", 0, 0, NULL, 0, NULL},
    {"input_format", NORN_P_STR, "\"dense\"", 0, 0, "dense", 0, NULL},
    {"tag_with_value", NORN_P_BOOL, "false", 0, 0, NULL, 0, NULL},
    {"tag_value_delimiter", NORN_P_STR, "\":\"", 0, 0, NULL, 0, NULL},
};

static bool check_types(const json_t *meta, struct err *e)
{
	static const char *const keys[] = {"label_type", "weight_type"};
	const json_t *dtype = json_object_get(meta, "dtype");
	enum norn_dtype t;
	size_t i;

	for (i = 0; i < ARRAY_LEN(keys); i++)
		if (!dtype_parse(js_str(meta, keys[i], ""), &t))
			return err_set(e, ERR_JOB_PARAMS, "meta.%s: unknown type '%.40s'", keys[i],
				       js_str(meta, keys[i], ""));
	if (json_is_string(dtype) && !dtype_parse(json_string_value(dtype), &t))
		return err_set(e, ERR_JOB_PARAMS, "meta.dtype: unknown type '%.40s'",
			       json_string_value(dtype));
	if (!json_is_string(dtype) && !json_is_object(dtype))
		return err_set(e, ERR_JOB_PARAMS,
			       "meta.dtype is neither a type nor a map of "
			       "column names to types");
	return true;
}

json_t *rawtable_check_meta(const json_t *given, struct err *e)
{
	json_t *meta = params_check_map(meta_keys, ARRAY_LEN(meta_keys), given, "meta", e);
	void *tmp;
	const char *key;
	json_t *v;

	if (meta == NULL)
		return NULL;
	json_object_foreach_safe(meta, tmp, key, v)
	{
		if (json_is_null(v))
			json_object_del(meta, key);
	}
	if (json_object_get(meta, "na_values") != NULL)
		err_set(e, ERR_JOB_PARAMS, "meta.na_values: missing values are not supported");
	else if (json_is_true(json_object_get(meta, "tag_with_value")) ||
		 json_array_size(json_object_get(meta, "match_id_list")) > 0 ||
		 js_int(meta, "match_id_range", 0) != 0)
		err_set(e, ERR_JOB_PARAMS,
			"meta: tag_with_value, match_id_list and match_id_range "
			"are not supported");
	else if (strlen(js_str(meta, "delimiter", "")) != 1)
		err_set(e, ERR_JOB_PARAMS, "meta.delimiter must be one character");
	else if (check_types(meta, e))
		return meta;
	json_decref(meta);
	return NULL;
}

struct import {
	const struct raw_source *src;
	struct csv_reader csv;
	char **names;
	size_t n_names;
	size_t id;        /* column of the sample id, when not made */
	struct map *seen; /* sample id -> line */
	struct buf row;
	FILE *out;
	json_t *samples;
	size_t count;
};

static void free_names(struct import *im)
{
	size_t i;

	for (i = 0; i < im->n_names; i++)
		free(im->names[i]);
	free(im->names);
}

static void take_names(struct import *im)
{
	size_t i;

	im->n_names = im->csv.n_fields;
	im->names = mem_array(im->n_names ? im->n_names : 1, sizeof *im->names);
	for (i = 0; i < im->n_names; i++)
		im->names[i] = mem_strdup(csv_field(&im->csv, i));
}

/* meta.header instead of a header line: read by the same rules. */
static bool names_from_meta(struct import *im, struct err *e)
{
	const char *header = js_str(im->src->meta, "header", NULL);
	FILE *in;
	struct csv_reader file = im->csv;
	bool ok;

	if (header == NULL || *header == '\0')
		return err_set(e, ERR_JOB_PARAMS,
			       "head is false, so meta.header must name the "
			       "columns");
	in = fmemopen((void *)(uintptr_t)header, strlen(header), "r");
	if (in == NULL)
		return err_set(e, ERR_IO, "cannot read meta.header: %s", strerror(errno));
	ok =
	    csv_reader_init(&im->csv, in, file.delimiter, e) && csv_read(&im->csv, e) == CSV_RECORD;
	if (ok)
		take_names(im);
	csv_reader_free(&im->csv);
	im->csv = file;
	fclose(in);
	return ok || err_prefix(e, "meta.header");
}

static bool check_names(struct import *im, struct err *e)
{
	const char *id = js_str(im->src->meta, "sample_id_name", NULL);
	struct map *seen;
	size_t i;
	bool ok = true;

	if (im->n_names > FRAME_COLUMNS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d columns", FRAME_COLUMNS_MAX);
	seen = map_new();
	for (i = 0; i < im->n_names && ok; i++) {
		if (im->names[i][0] == '\0')
			ok = err_set(e, ERR_PARSE, "header: column %zu has no name", i + 1);
		else if (map_set(seen, im->names[i], im) != NULL ||
			 (im->src->extend_sid && strcmp(im->names[i], SID_NAME) == 0))
			ok = err_set(e, ERR_PARSE, "header: column %.60s appears twice",
				     im->names[i]);
	}
	map_free(seen, NULL);
	if (!ok || im->src->extend_sid)
		return ok;
	for (i = 0; id != NULL && i < im->n_names; i++)
		if (strcmp(im->names[i], id) == 0)
			break;
	if (id != NULL && i == im->n_names)
		return err_set(e, ERR_PARSE,
			       "header: there is no column %.60s "
			       "(meta.sample_id_name)",
			       id);
	im->id = id ? i : 0;
	return true;
}

/* "a,b,c" from id and the other fields; rest_at is where the part after the id begins. */
static void build_row(struct import *im, const char *id, char *const *names, size_t *rest_at)
{
	bool made = im->src->extend_sid, first = true;
	size_t i;

	buf_reset(&im->row);
	csv_add(&im->row, id, ',');
	*rest_at = im->row.len;
	for (i = 0; i < im->n_names; i++) {
		if (!made && i == im->id)
			continue;
		buf_addc(&im->row, ',');
		if (first)
			*rest_at = im->row.len;
		first = false;
		csv_add(&im->row, names ? names[i] : csv_field(&im->csv, i), ',');
	}
}

static bool check_id(struct import *im, const char *id, struct err *e)
{
	uintptr_t before;

	if (*id == '\0')
		return err_set(e, ERR_PARSE, "line %lld: the sample id (column %.60s) is empty",
			       (long long)im->csv.line, im->names[im->id]);
	before = (uintptr_t)map_set(im->seen, id, (void *)(uintptr_t)im->csv.line);
	if (before != 0)
		return err_set(e, ERR_PARSE,
			       "line %lld: the sample id (column %.60s) was already on line %llu",
			       (long long)im->csv.line, im->names[im->id],
			       (unsigned long long)before);
	return true;
}

static bool put_row(struct import *im, struct err *e)
{
	buf_addc(&im->row, '\n');
	return fwrite(im->row.data, 1, im->row.len, im->out) == im->row.len ||
	       err_set(e, ERR_IO, "cannot write the table: %s", strerror(errno));
}

static bool import_rows(struct import *im, struct err *e)
{
	char prefix[33], made[64];
	const char *id;
	enum csv_result got;
	size_t rest;

	str_random_hex(prefix, 16);
	while ((got = csv_read(&im->csv, e)) == CSV_RECORD) {
		if (im->csv.n_fields != im->n_names)
			return err_set(e, ERR_PARSE,
				       "line %lld: %zu fields, but the header has %zu",
				       (long long)im->csv.line, im->csv.n_fields, im->n_names);
		if (im->count == ROWS_MAX)
			return err_set(e, ERR_LIMIT, "more than %d rows", ROWS_MAX);
		if (im->src->extend_sid) {
			snprintf(made, sizeof made, "%s%zu", prefix, im->count);
			id = made;
		} else {
			id = csv_field(&im->csv, im->id);
			if (!check_id(im, id, e))
				return false;
		}
		build_row(im, id, NULL, &rest);
		if (im->count < ARTIFACT_SAMPLES)
			json_array_append_new(im->samples,
					      json_pack("[s,s]", id, im->row.data + rest));
		if (!put_row(im, e))
			return false;
		im->count++;
	}
	if (got == CSV_ERROR)
		return false;
	return im->count > 0 || err_set(e, ERR_PARSE, "the file has no rows");
}

static bool import_all(struct import *im, json_t **schema, struct err *e)
{
	enum csv_result got;
	const char *id_name;
	size_t rest;

	if (im->src->head) {
		got = csv_read(&im->csv, e);
		if (got == CSV_END)
			err_set(e, ERR_PARSE, "the file is empty");
		if (got != CSV_RECORD)
			return false;
		take_names(im);
	} else if (!names_from_meta(im, e)) {
		return false;
	}
	if (!check_names(im, e))
		return false;
	id_name = im->src->extend_sid ? SID_NAME : im->names[im->id];
	build_row(im, id_name, im->names, &rest);
	*schema = json_deep_copy(im->src->meta);
	json_object_set_new(*schema, "sample_id_name", json_string(id_name));
	json_object_set_new(*schema, "header", json_string(buf_str(&im->row)));
	json_object_set_new(*schema, "delimiter", json_string(","));
	return put_row(im, e) && import_rows(im, e);
}

bool rawtable_import(const struct raw_source *src, FILE *out, json_t **schema, size_t *count,
		     json_t **samples, struct err *e)
{
	struct import im = {.src = src, .out = out};
	bool ok;

	*schema = NULL;
	im.samples = json_array();
	im.seen = map_new();
	ok = csv_reader_init(&im.csv, src->in, *js_str(src->meta, "delimiter", ","), e) &&
	     import_all(&im, schema, e);
	csv_reader_free(&im.csv);
	map_free(im.seen, NULL);
	free_names(&im);
	buf_free(&im.row);
	*count = im.count;
	*samples = im.samples;
	if (!ok) {
		json_decref(*schema);
		json_decref(*samples);
		*schema = *samples = NULL;
	}
	return ok;
}
