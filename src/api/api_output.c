/* /v2/output: metrics, models and data of a task. All take job_id, role, party_id and task_name. */
#include "api/api.h"
#include "api/archive.h"
#include "api/files.h"
#include "api/reply.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/gc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_SHOWN_MAX (64 << 20) /* bytes of the models of one task in one answer */
#define NO_TASK         "No found task: job_id[%s],role[%s],party_id[%s],task_name[%s]"
#define NO_MODEL        "No found output model: job_id[%s],role[%s],party_id[%s],task_name[%s]"
#define FOUR(p)                                                                                    \
	js_str(p, "job_id", ""), js_str(p, "role", ""), js_str(p, "party_id", ""),                 \
	    js_str(p, "task_name", "")

#define TASK_PARAMS                                                                                \
	{"job_id", P_STR, true, NULL}, {"role", P_STR, true, NULL},                                \
	    {"party_id", P_STR, true, NULL},                                                       \
	{                                                                                          \
		"task_name", P_STR, true, NULL                                                     \
	}

static const struct param task_params[] = {TASK_PARAMS};
static const char *const task_names[] = {"job_id", "role", "party_id", "task_name", "output_key"};

/* One statement whose row is the answer. */
static void simple(struct http_req *r, enum db_stmt stmt, bool bare)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct db_batch *b = one_statement(r, stmt);
	bind_texts(b, p, task_names, ARRAY_LEN(task_params));
	if (bare)
		pass_bare(r, b, ERR_TASK_NOT_FOUND, NO_TASK, FOUR(p));
	else
		pass_data(r, b, ERR_TASK_NOT_FOUND, NO_TASK, FOUR(p));
	json_decref(p);
}

static void metric_keys(struct http_req *r, void *arg)
{
	simple(r, Q_API_METRIC_KEYS, false);
}

static void metric_query(struct http_req *r, void *arg)
{
	simple(r, Q_API_METRIC_QUERY, false);
}

static void metric_delete(struct http_req *r, void *arg)
{
	simple(r, Q_API_METRIC_DELETE, false);
}

static void data_table(struct http_req *r, void *arg)
{
	simple(r, Q_API_OUTPUT_TABLES, true);
}

static void data_display(struct http_req *r, void *arg)
{
	simple(r, Q_API_OUTPUT_DISPLAY, true);
}

/* ---- routes that read files ---- */

struct output {
	struct http_req *r;
	json_t *p;
};

static void output_free(struct output *o)
{
	json_decref(o->p);
	free(o);
}

static void start(struct http_req *r, json_t *p, enum db_stmt stmt, size_t n_binds, db_cb *cb)
{
	struct output *o = mem_zalloc(sizeof(*o));
	struct db_batch *b = one_statement(r, stmt);

	o->r = r;
	o->p = p;
	bind_texts(b, p, task_names, n_binds);
	db_submit(b, cb, o);
}

/* Answers errors and unknown tasks; column `key` is null when the task has left nothing of the
 * kind. */
static bool has_rows(struct output *o, const struct db_result *res, const char *key,
		     enum err_code none, const char *none_text)
{
	if (db_error(res) != NULL)
		reply_db_err(o->r, res);
	else if (db_rows(res, 0) == 0)
		refuse(o->r, ERR_TASK_NOT_FOUND, NO_TASK, FOUR(o->p));
	else if (db_is_null(res, 0, 0, key))
		refuse(o->r, none, "%s: job_id[%s],role[%s],party_id[%s],task_name[%s]", none_text,
		       FOUR(o->p));
	else
		return true;
	return false;
}

/* The model of one row; *room counts what may still be read. NULL: e says why. */
static json_t *load_model(const struct node *n, const char *rel, size_t *room, struct err *e)
{
	struct js_limits lim = js_limits_default;
	struct buf path = {0};
	struct buf text = {0};
	json_t *v = NULL;

	lim.max_bytes = *room;
	lim.max_nodes = 20000000;
	if (str_ends(rel, ".tar")) {
		err_set(e, ERR_UNSUPPORTED,
			"it was saved as an archive, which can only be downloaded");
		return NULL;
	}
	if (files_model_path(n, rel, &path, e) && fs_read(buf_str(&path), *room, &text, e)) {
		v = js_parse(buf_str(&text), text.len, &lim, e);
		*room -= text.len;
	}
	buf_free(&path);
	buf_free(&text);
	return v;
}

static void on_models(struct db_result *res, void *arg)
{
	struct output *o = arg;
	json_t *all = NULL;
	size_t room = MODEL_SHOWN_MAX;
	struct err e;

	if (!has_rows(o, res, "output_key", ERR_MODEL_NOT_FOUND, "No found output model")) {
		output_free(o);
		return;
	}
	all = json_object();
	for (int i = 0; i < db_rows(res, 0); i++) {
		const char *key = db_get(res, 0, i, "output_key");
		json_t *model =
		    load_model(request_node(o->r), db_get(res, 0, i, "path"), &room, &e);
		json_t *there = json_object_get(all, key);
		if (model == NULL) {
			refuse(o->r, e.code, "model %s of task %s: %s", key,
			       js_str(o->p, "task_name", ""), e.msg);
			json_decref(all);
			output_free(o);
			return;
		}
		bool multi =
		    i + 1 < db_rows(res, 0) && str_eq(key, db_get(res, 0, i + 1, "output_key"));
		if (there != NULL)
			json_array_append_new(there, model);
		else if (multi || db_get_int(res, 0, i, "output_index") > 0)
			json_object_set_new(all, key, json_pack("[o]", model));
		else
			json_object_set_new(all, key, model);
	}
	reply_ok(o->r, all);
	output_free(o);
}

static void model_query(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p != NULL)
		start(r, p, Q_API_OUTPUT_MODELS, ARRAY_LEN(task_params), on_models);
}

static void on_model_files(struct db_result *res, void *arg)
{
	struct output *o = arg;
	struct err e;

	if (has_rows(o, res, "output_key", ERR_MODEL_NOT_FOUND, "No found output model")) {
		const char *key = db_get(res, 0, 0, "output_key");
		struct archive *a = archive_new(false);
		bool ok = true;
		for (int i = 0;
		     ok && i < db_rows(res, 0) && str_eq(db_get(res, 0, i, "output_key"), key); i++)
			ok = files_add_model(request_node(o->r), a, res, i, &e);
		if (ok) {
			archive_send(a, o->r, key);
		} else {
			archive_free(a);
			refuse(o->r, e.code, "%s", e.msg);
		}
	}
	output_free(o);
}

static void model_download(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p != NULL)
		start(r, p, Q_API_OUTPUT_MODELS, ARRAY_LEN(task_params), on_model_files);
}

/* The rows are gone; the files follow, unless another job has taken the task over. */
static void on_models_deleted(struct db_result *res, void *arg)
{
	struct output *o = arg;

	if (db_error(res) != NULL) {
		reply_db_err(o->r, res);
	} else if (db_rows(res, 0) == 0) {
		refuse(o->r, ERR_TASK_NOT_FOUND, NO_TASK, FOUR(o->p));
	} else if (!db_get_bool(res, 0, 0, "found")) {
		refuse(o->r, ERR_MODEL_NOT_FOUND, NO_MODEL, FOUR(o->p));
	} else {
		gc_sweep(request_node(o->r));
		reply_ok(o->r, NULL);
	}
	output_free(o);
}

static void model_delete(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p != NULL)
		start(r, p, Q_API_MODEL_DELETE, ARRAY_LEN(task_params), on_models_deleted);
}

static void on_data(struct db_result *res, void *arg)
{
	struct output *o = arg;
	struct err e;

	if (has_rows(o, res, "output_key", ERR_TABLE_NOT_FOUND, "No found table")) {
		struct archive *a = archive_new(true);
		const char *key = "";
		int64_t index = 0;
		bool ok = true;
		for (int i = 0; ok && i < db_rows(res, 0); i++) {
			const char *k = db_get(res, 0, i, "output_key");
			index = str_eq(k, key) ? index + 1 : 0;
			key = k;
			ok = files_add_table(request_node(o->r), a, k, index,
					     db_get(res, 0, i, "uri"), &e);
		}
		if (ok) {
			char *name = mem_printf("%s_%s_%s_%s", FOUR(o->p));
			archive_send(a, o->r, name);
			free(name);
		} else {
			archive_free(a);
			refuse(o->r, e.code, "%s", e.msg);
		}
	}
	output_free(o);
}

static const struct param data_download_params[] = {TASK_PARAMS,
						    {"output_key", P_STR, false, NULL}};

static void data_download(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p != NULL)
		start(r, p, Q_API_OUTPUT_DATA, ARRAY_LEN(data_download_params), on_data);
}

const struct http_route api_output_routes[] = {
    {"GET", "/v2/output/metric/key/query", metric_keys, 0, 0, "Names of a task's metrics",
     DOC(TAKES_QUERY(task_params), .data = "MetricKey[]")},
    {"GET", "/v2/output/metric/query", metric_query, 0, 0, "Metrics of a task",
     DOC(TAKES_QUERY(task_params), .data = "Metric[]")},
    {"POST", "/v2/output/metric/delete", metric_delete, 0, 0, "Delete the metrics of a task",
     DOC(TAKES_JSON(task_params), .data = "boolean")},
    {"GET", "/v2/output/model/query", model_query, 0, 0, "Models of a task as JSON",
     DOC(TAKES_QUERY(task_params), .data = "any{}")},
    {"GET", "/v2/output/model/download", model_download, 0, 0, "Models of a task as tar",
     DOC(TAKES_QUERY(task_params), .media = "application/x-tar")},
    {"POST", "/v2/output/model/delete", model_delete, 0, 0, "Delete the models of a task",
     DOC(TAKES_JSON(task_params))},
    {"GET", "/v2/output/data/download", data_download, 0, 0, "Data of a task as tar.gz",
     DOC(TAKES_QUERY(data_download_params), .media = "application/gzip")},
    {"GET", "/v2/output/data/table", data_table, 0, 0, "Names of a task's tables",
     DOC(TAKES_QUERY(task_params), .data = "{namespace:string name:string}[]{}", .bare = true)},
    {"GET", "/v2/output/data/display", data_display, 0, 0, "Sample rows of a task's tables",
     DOC(TAKES_QUERY(task_params), .data = "{data:any[] metadata:object total:integer?}[]{}",
	 .bare = true)},
};
const size_t api_output_n_routes = ARRAY_LEN(api_output_routes);
