/*
 * /v2/worker: what running components tell and ask their own site. A call brings the token of its
 * task (worker.h).
 */
#include "api/api.h"
#include "api/archive.h"
#include "api/files.h"
#include "api/reply.h"
#include "api/worker.h"

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "exec/exec.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define METRICS_MAX     10000             /* records in one call */
#define MODEL_MAX_BYTES ((size_t)1 << 30) /* of one saved model */

/* One call of a component: the token is checked first, then `go` adds its statements. */
struct call {
	struct http_req *r;
	json_t *p;
	char *execution_id;
	void (*go)(struct call *c, struct db_batch *b, int64_t run_no);
	bool late_is_ok; /* of a task that is over: answered with success, and nothing changes */
};

static void call_free(struct call *c)
{
	json_decref(c->p);
	free(c->execution_id);
	free(c);
}

static void on_done(struct db_result *res, void *arg)
{
	struct call *c = arg;

	if (db_error(res) != NULL)
		reply_db_err(c->r, res);
	else if (db_affected(res, 0) == 0)
		refuse(c->r, ERR_TASK_UPDATE,
		       "Update task status does not take effect: execution_id[%s] is over",
		       c->execution_id);
	else
		reply_ok(c->r, NULL);
	call_free(c);
}

static void on_run(struct db_result *res, void *arg)
{
	struct call *c = arg;

	if (db_error(res) != NULL) {
		reply_db_err(c->r, res);
	} else if (db_rows(res, 0) == 0) {
		refuse(c->r, ERR_TASK_NOT_FOUND, "No found task: execution_id[%s]",
		       c->execution_id);
	} else if (db_is_null(res, 0, 0, "token_hash") ||
		   !str_eq(db_get(res, 0, 0, "party_status"), "running")) {
		if (c->late_is_ok)
			reply_ok(c->r, NULL);
		else
			refuse(c->r, ERR_TASK_UPDATE,
			       "Update task status does not take effect: execution_id[%s] is %s",
			       c->execution_id, db_get(res, 0, 0, "party_status"));
	} else if (worker_token_fits(c->r, db_get(res, 0, 0, "token_hash"))) {
		struct db_batch *b = db_batch_new(request_node(c->r)->db);
		c->go(c, b, db_get_int(res, 0, 0, "run_no"));
		if (db_batch_count(b) > 0) {
			db_submit(b, on_done, c);
			return;
		}
		db_batch_free(b);
		reply_ok(c->r, NULL);
	}
	call_free(c);
}

static void add_status(struct call *c, struct db_batch *b, int64_t run_no);

/* Takes p. */
static void authorised(struct http_req *r, json_t *p, const char *execution_id,
		       void (*go)(struct call *c, struct db_batch *b, int64_t run_no))
{
	const char *cut = strchr(execution_id, '_');

	if (cut == NULL || cut == execution_id || strlen(execution_id) > 300) {
		refuse(r, ERR_TASK_NOT_FOUND, "No found task: execution_id[%.300s]", execution_id);
		json_decref(p);
		return;
	}
	struct call *c = mem_zalloc(sizeof(*c));
	c->r = r;
	c->p = p;
	c->execution_id = mem_strdup(execution_id);
	c->go = go;
	c->late_is_ok = go == add_status;
	struct db_batch *b = one_statement(r, Q_API_WORKER_RUN);
	db_textn(b, execution_id, (size_t)(cut - execution_id));
	db_text(b, execution_id);
	db_submit(b, on_run, c);
}

/* ---- metrics ---- */

static void add_metrics(struct call *c, struct db_batch *b, int64_t run_no)
{
	db_add(b, Q_API_WORKER_METRICS);
	db_int(b, run_no);
	db_json(b, json_object_get(c->p, "data"));
}

static bool text_or_null(const json_t *v)
{
	return v == NULL || json_is_null(v) || json_is_string(v);
}

static bool metrics_fit(struct http_req *r, const json_t *list)
{
	size_t i;
	json_t *m;

	if (json_array_size(list) == 0 || json_array_size(list) > METRICS_MAX) {
		refuse(r, ERR_COMPONENT_OUTPUT, "Request uri %s failed: data has 1 to %d metrics",
		       http_req_path(r), METRICS_MAX);
		return false;
	}
	json_array_foreach (list, i, m) {
		const char *name = js_str(m, "name", "");
		const json_t *groups = json_object_get(m, "groups");
		if (name[0] != '\0' && strlen(name) <= 200 &&
		    text_or_null(json_object_get(m, "type")) &&
		    text_or_null(json_object_get(m, "step_axis")) &&
		    (groups == NULL || json_is_null(groups) || json_is_array(groups)))
			continue;
		refuse(r, ERR_COMPONENT_OUTPUT,
		       "Request uri %s failed: data[%zu] is no metric {name, type, groups, "
		       "step_axis, data}",
		       http_req_path(r), i);
		return false;
	}
	return true;
}

static const struct param metric_save_params[] = {{"execution_id", P_STR, true, NULL},
						  {"data", P_LIST, false, "[]"}};

static void metric_save(struct http_req *r, void *arg)
{
	const char *in_path = http_req_part(r, "execution_id");
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	if (!metrics_fit(r, json_object_get(p, "data")))
		json_decref(p);
	else
		authorised(r, p, in_path != NULL ? in_path : js_str(p, "execution_id", ""),
			   add_metrics);
}

/* ---- status ---- */

/* The end of the process ends the task; that the component has failed is believed even when the
 * process ends with 0. */
static void add_status(struct call *c, struct db_batch *b, int64_t run_no)
{
	const char *error = js_str(c->p, "error", "");

	if (str_eq(js_str(c->p, "status", ""), "failed"))
		exec_said_failed(request_node(c->r), run_no, error);
	if (error[0] == '\0')
		return;
	db_add(b, Q_API_WORKER_STATUS);
	db_int(b, run_no);
	db_text(b, error);
}

static const struct param task_status_params[] = {
    {"execution_id", P_STR, true, NULL},
    {"status", P_STR, true, NULL},
    {"error", P_STR, false, NULL},
};

static void task_status(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p != NULL)
		authorised(r, p, js_str(p, "execution_id", ""), add_status);
}

/* ---- data ---- */

static void add_tracking(struct call *c, struct db_batch *b, int64_t run_no)
{
	const json_t *overview = json_object_get(c->p, "overview");
	const char *uri = js_str(c->p, "uri", "");
	json_t *none = json_array();

	db_add(b, Q_API_WORKER_OUTPUT);
	db_int(b, run_no);
	db_text(b, js_str(c->p, "output_key", ""));
	db_int(b, js_int(c->p, "index", 0));
	db_text(b, js_str(c->p, "namespace", ""));
	db_text(b, js_str(c->p, "name", ""));
	db_text(b, uri);
	db_text(b, js_str(c->p, "data_type", ""));
	db_json(b, json_object_get(c->p, "meta_data"));
	if (uri[0] != '\0') {
		db_add(b, Q_API_WORKER_TABLE);
		db_text(b, js_str(c->p, "namespace", ""));
		db_text(b, js_str(c->p, "name", ""));
		db_text(b, uri);
		db_text(b, js_str(c->p, "data_type", ""));
		db_int(b, js_int(overview, "count", 0));
		db_json(b, json_object_get(c->p, "meta_data"));
		db_json(b, json_is_array(json_object_get(overview, "samples"))
			       ? json_object_get(overview, "samples")
			       : none);
		db_json(b, json_object_get(c->p, "source"));
		db_int(b, js_int(c->p, "partitions", 1));
	}
	json_decref(none);
}

static bool tracking_fits(struct http_req *r, const json_t *p)
{
	static const char *const names[] = {"namespace", "name", "uri"};
	int64_t index = js_int(p, "index", 0);
	int64_t partitions = js_int(p, "partitions", 1);

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strlen(js_str(p, names[i], "")) > (i < 2 ? 200 : 2000)) {
			refuse(r, ERR_COMPONENT_OUTPUT, "Request uri %s failed: %s is too long",
			       http_req_path(r), names[i]);
			return false;
		}
	}
	if (!str_is_name(js_str(p, "output_key", ""), 50) || index < 0 || index > 1000000 ||
	    partitions < 1 || partitions > 1000000) {
		refuse(r, ERR_COMPONENT_OUTPUT,
		       "Request uri %s failed: output_key is no name, or index or partitions "
		       "out of range",
		       http_req_path(r));
		return false;
	}
	return true;
}

static const struct param tracking_save_params[] = {
    {"execution_id", P_STR, true, NULL}, {"meta_data", P_DICT, true, NULL},
    {"uri", P_STR, true, NULL},          {"output_key", P_STR, true, NULL},
    {"namespace", P_STR, true, NULL},    {"name", P_STR, true, NULL},
    {"overview", P_DICT, true, NULL},    {"partitions", P_INT, false, "1"},
    {"source", P_DICT, true, NULL},      {"data_type", P_STR, true, NULL},
    {"index", P_INT, true, NULL},
};

static void tracking_save(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	if (!tracking_fits(r, p))
		json_decref(p);
	else
		authorised(r, p, js_str(p, "execution_id", ""), add_tracking);
}

static const struct param do_tracking_query_params[] = {
    {"job_id", P_STR, false, NULL},     {"role", P_STR, false, NULL},
    {"party_id", P_STR, false, NULL},   {"task_name", P_STR, false, NULL},
    {"output_key", P_STR, false, NULL}, {"namespace", P_STR, false, NULL},
    {"name", P_STR, false, NULL},
};

static void do_tracking_query(struct http_req *r)
{
	static const char *const of_task[] = {"job_id", "role", "party_id", "task_name",
					      "output_key"};
	static const char *const named[] = {"namespace", "name"};
	json_t *p = request_args(r);
	struct db_batch *b;

	if (p == NULL)
		return;
	if (json_object_get(p, "namespace") != NULL || json_object_get(p, "name") != NULL) {
		b = one_statement(r, Q_API_WORKER_NAMED);
		bind_texts(b, p, named, ARRAY_LEN(named));
		pass_data(r, b, ERR_TABLE_NOT_FOUND, "No found table: name[%s],namespace[%s]",
			  js_str(p, "name", ""), js_str(p, "namespace", ""));
	} else {
		b = one_statement(r, Q_API_WORKER_TRACKED);
		bind_texts(b, p, of_task, ARRAY_LEN(of_task));
		pass_data(r, b, ERR_MODEL_NOT_FOUND, "failed");
	}
	json_decref(p);
}

/* ---- models ---- */

/* A model that came as a tar goes as the same tar. */
static void send_saved(struct http_req *r, const char *rel)
{
	struct buf path = {0};
	struct stat st;
	struct err e;
	int fd = -1;

	bool ok = files_model_path(request_node(r), rel, &path, &e);
	if (ok) {
		fd = open(buf_str(&path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		ok = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
		if (!ok)
			err_set(&e, ERR_FILE_NOT_FOUND, "No found model");
	}
	buf_free(&path);
	if (ok) {
		http_reply_header(r, "Content-Disposition", "attachment; filename=model.tar");
		http_reply_fd(r, 200, "application/x-tar", fd, (int64_t)st.st_size);
		return;
	}
	if (fd >= 0)
		close(fd);
	refuse(r, ERR_COMPONENT_OUTPUT, "Request uri %s failed: %s", http_req_path(r), e.msg);
}

static void on_model(struct db_result *res, void *arg)
{
	struct call *c = arg;
	struct err e;

	if (db_error(res) != NULL) {
		reply_db_err(c->r, res);
	} else if (db_rows(res, 0) == 0) {
		refuse(c->r, ERR_COMPONENT_OUTPUT, "Request uri %s failed: No found model",
		       http_req_path(c->r));
	} else if (db_rows(res, 0) == 1 && str_ends(db_get(res, 0, 0, "path"), ".tar")) {
		send_saved(c->r, db_get(res, 0, 0, "path"));
	} else {
		struct archive *a = archive_new(false);
		bool ok = true;
		for (int i = 0; ok && i < db_rows(res, 0); i++)
			ok = files_add_model(request_node(c->r), a, res, i, &e);
		if (ok) {
			archive_send(a, c->r, "model.tar");
		} else {
			archive_free(a);
			refuse(c->r, ERR_COMPONENT_OUTPUT, "Request uri %s failed: %s",
			       http_req_path(c->r), e.msg);
		}
	}
	call_free(c);
}

static const struct param do_model_download_params[] = {
    {"model_id", P_STR, true, NULL},  {"model_version", P_STR, true, NULL},
    {"role", P_STR, true, NULL},      {"party_id", P_STR, true, NULL},
    {"task_name", P_STR, true, NULL}, {"output_key", P_STR, true, NULL},
};

static void do_model_download(struct http_req *r)
{
	static const char *const names[] = {"model_id", "model_version", "role",
					    "party_id", "task_name",     "output_key"};
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct call *c = mem_zalloc(sizeof(*c));
	c->r = r;
	c->p = p;
	struct db_batch *b = one_statement(r, Q_API_WORKER_MODEL);
	bind_texts(b, p, names, ARRAY_LEN(names));
	db_submit(b, on_model, c);
}

/* ---- reading: for whatever task of this site ---- */

static void tracking_query(struct http_req *r, void *arg)
{
	worker_reads(r, do_tracking_query);
}

static void model_download(struct http_req *r, void *arg)
{
	worker_reads(r, do_model_download);
}

const struct http_route api_worker_routes[] = {
    {"POST", "/v2/worker/metric/save/{execution_id}", metric_save, 0, 0,
     "Metrics of a running task",
     DOC(.where = IN_JSON, .params = metric_save_params + 1, .n_params = 1)},
    {"POST", "/v2/worker/metric/save", metric_save, 0, 0, "Metrics of a running task",
     DOC(TAKES_JSON(metric_save_params))},
    {"POST", "/v2/worker/task/status", task_status, 0, 0, "What a component says of its end",
     DOC(TAKES_JSON(task_status_params))},
    {"POST", "/v2/worker/data/tracking/save", tracking_save, 0, 0,
     "Data that a running task has written", DOC(TAKES_JSON(tracking_save_params))},
    {"GET", "/v2/worker/data/tracking/query", tracking_query, 0, 0,
     "Data of a task, or a table by name",
     DOC(TAKES_QUERY(do_tracking_query_params), .data = "TrackedData[]")},
    {"POST", "/v2/worker/model/save", worker_model_save, HTTP_SPOOL_BODY, MODEL_MAX_BYTES,
     "Keep a model of a running task", &worker_model_doc},
    {"GET", "/v2/worker/model/download", model_download, 0, 0, "A model of any job as tar",
     DOC(TAKES_QUERY(do_model_download_params), .media = "application/x-tar")},
};
const size_t api_worker_n_routes = ARRAY_LEN(api_worker_routes);
