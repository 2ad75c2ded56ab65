/* /v2/data: tables into and out of the site. */
#include "api/api.h"
#include "api/archive.h"
#include "api/files.h"
#include "api/local_job.h"
#include "api/reply.h"
#include "api/upload.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define UPLOAD_BODY_MAX (100ULL << 30)
#define NO_TABLE        "No found table: name[%s],namespace[%s]"

static const struct param upload_params[] = {
    {"file", P_STR, true, NULL},
    {"head", P_BOOL, true, NULL},
    {"partitions", P_INT, true, NULL},
    {"meta", P_DICT, true, NULL},
    {"extend_sid", P_BOOL, false, "false"},
    {"namespace", P_STR, false, NULL},
    {"name", P_STR, false, NULL},
};

static void upload(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	const char *file = js_str(p, "file", "");
	if (!fs_path_is_plain(file)) {
		refuse(r, ERR_API_PARAMETER,
		       "file: '%.200s' is no path on the server: it is empty or has a part \"..\"",
		       file);
		json_decref(p);
		return;
	}
	char *path = file[0] == '/' ? mem_strdup(file)
				    : mem_printf("%s/%s", request_node(r)->conf->data_dir, file);
	const struct upload_job job = {
	    .file = path,
	    .head = js_bool(p, "head", true),
	    .partitions = js_int(p, "partitions", 1),
	    .meta = json_incref(json_object_get(p, "meta")),
	    .extend_sid = js_bool(p, "extend_sid", false),
	    .namespace_ = js_str(p, "namespace", NULL),
	    .name = js_str(p, "name", NULL),
	    .transform =
		json_object_get(p, "namespace") != NULL && json_object_get(p, "name") != NULL,
	};
	local_job_upload(r, &job);
	free(path);
	json_decref(p);
}

/* ---- transformer ---- */

struct transform {
	struct http_req *r;
	json_t *p;
};

static void go(struct transform *t)
{
	local_job_transform(t->r, json_object_get(t->p, "data_warehouse"),
			    js_str(t->p, "namespace", ""), js_str(t->p, "name", ""),
			    js_str(t->p, "site_name", NULL));
	json_decref(t->p);
	free(t);
}

static void on_target(struct db_result *res, void *arg)
{
	struct transform *t = arg;

	if (db_error(res) == NULL && db_rows(res, 0) == 0) {
		go(t);
		return;
	}
	if (db_error(res) != NULL)
		reply_db_err(t->r, res);
	else
		refuse(t->r, ERR_TABLE_EXISTS,
		       "Exists table: name[%s],namespace[%s],warning[it is replaced only when "
		       "the parameter "
		       "'drop' is true]",
		       js_str(t->p, "name", ""), js_str(t->p, "namespace", ""));
	json_decref(t->p);
	free(t);
}

static const struct param transformer_params[] = {
    {"data_warehouse", P_DICT, true, NULL},
    {"namespace", P_STR, true, NULL},
    {"name", P_STR, true, NULL},
    {"site_name", P_STR, false, NULL},
    {"drop", P_BOOL, false, "true"},
};

static void transformer(struct http_req *r, void *arg)
{
	static const char *const names[] = {"namespace", "name"};
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct transform *t = mem_zalloc(sizeof(*t));
	t->r = r;
	t->p = p;
	if (js_bool(p, "drop", true)) {
		go(t);
		return;
	}
	struct db_batch *b = one_statement(r, Q_API_TABLE_URI);
	bind_texts(b, p, names, ARRAY_LEN(names));
	db_submit(b, on_target, t);
}

/* ---- download ---- */

static const struct param component_download_params[] = {
    {"name", P_STR, true, NULL},
    {"namespace", P_STR, true, NULL},
    {"path", P_STR, true, NULL},
};

static void component_download(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	if (js_str(p, "path", "")[0] != '/' || !fs_path_is_plain(js_str(p, "path", "")))
		refuse(r, ERR_API_PARAMETER,
		       "path: '%.200s' is not an absolute path on the server without \"..\"",
		       js_str(p, "path", ""));
	else
		local_job_download(r, js_str(p, "namespace", ""), js_str(p, "name", ""),
				   js_str(p, "path", ""));
	json_decref(p);
}

/* A table's name as part of a file name: what could disturb a header or a path becomes '_'. */
static void add_plain(struct buf *out, const char *s)
{
	for (; *s != '\0' && out->len < 200; s++) {
		bool plain = (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') ||
			     (*s >= 'A' && *s <= 'Z') || strchr("_-.", *s) != NULL;
		buf_addc(out, plain ? *s : '_');
	}
}

static void on_table(struct db_result *res, void *arg)
{
	struct transform *t = arg;
	const char *ns = js_str(t->p, "namespace", "");
	const char *name = js_str(t->p, "name", "");
	struct err e;

	if (db_error(res) != NULL) {
		reply_db_err(t->r, res);
	} else if (db_rows(res, 0) == 0) {
		refuse(t->r, ERR_TABLE_NOT_FOUND, NO_TABLE, name, ns);
	} else {
		struct archive *a = archive_new(true);
		if (files_add_table(request_node(t->r), a, "data", 0, db_get(res, 0, 0, "uri"),
				    &e)) {
			struct buf file = {0};
			buf_adds(&file, "download_data_");
			add_plain(&file, ns);
			buf_addc(&file, '_');
			add_plain(&file, name);
			buf_adds(&file, ".tar.gz");
			archive_send(a, t->r, buf_str(&file));
			buf_free(&file);
		} else {
			archive_free(a);
			refuse(t->r, e.code, "%s", e.msg);
		}
	}
	json_decref(t->p);
	free(t);
}

static const struct param download_params[] = {{"name", P_STR, true, NULL},
					       {"namespace", P_STR, true, NULL}};

static void download(struct http_req *r, void *arg)
{
	static const char *const names[] = {"namespace", "name"};
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct transform *t = mem_zalloc(sizeof(*t));
	t->r = r;
	t->p = p;
	struct db_batch *b = one_statement(r, Q_API_TABLE_URI);
	bind_texts(b, p, names, ARRAY_LEN(names));
	db_submit(b, on_table, t);
}

const struct http_route api_data_routes[] = {
    {"POST", "/v2/data/component/upload", upload, 0, 0, "Upload a file of the server as a table",
     DOC(TAKES_JSON(upload_params), .data = "{name:string? namespace:string?}",
	 .has_job_id = true)},
    {"POST", "/v2/data/component/upload/file", api_upload_file, HTTP_SPOOL_BODY,
     (size_t)UPLOAD_BODY_MAX, "Upload a file of the client as a table", &api_upload_doc},
    {"POST", "/v2/data/component/dataframe/transformer", transformer, 0, 0,
     "Turn a raw table into a data frame",
     DOC(TAKES_JSON(transformer_params), .data = "{name:string namespace:string}",
	 .has_job_id = true)},
    {"POST", "/v2/data/component/download", component_download, 0, 0,
     "Write a table to a file of the server",
     DOC(TAKES_JSON(component_download_params),
	 .data = "{name:string namespace:string path:string}", .has_job_id = true)},
    {"GET", "/v2/data/download", download, 0, 0, "A table as tar.gz",
     DOC(TAKES_QUERY(download_params), .media = "application/gzip")},
};
const size_t api_data_n_routes = ARRAY_LEN(api_data_routes);
