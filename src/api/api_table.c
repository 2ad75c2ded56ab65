/* /v2/table: tables by name. */
#include "api/api.h"
#include "api/files.h"
#include "api/reply.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define NO_TABLE     "No found table: name[%s],namespace[%s]"
#define NAME_MAX_LEN 200

static const char *const names[] = {"namespace", "name", "path"};

static const struct param table_query_params[] = {{"namespace", P_STR, true, NULL},
						  {"name", P_STR, true, NULL},
						  {"display", P_BOOL, false, "false"}};

static void table_query(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct db_batch *b = one_statement(r, Q_API_TABLE_QUERY);
	bind_texts(b, p, names, 2);
	db_bool(b, js_bool(p, "display", false));
	pass_data(r, b, ERR_TABLE_NOT_FOUND, NO_TABLE, js_str(p, "name", ""),
		  js_str(p, "namespace", ""));
	json_decref(p);
}

/* ---- delete ---- */

struct removal {
	struct http_req *r;
	json_t *p;
};

/* The table's directory goes too, when it is ours and nothing else stands there. */
static void remove_files(const struct node *n, const struct db_result *res)
{
	struct buf dir = {0};
	struct err e;

	if (db_get_bool(res, 0, 0, "shared") ||
	    str_eq(db_get(res, 0, 0, "data_type"), "data_directory"))
		return;
	if (files_data_dir(n, db_get(res, 0, 0, "uri"), &dir, &e)) {
		char *info = mem_printf("%s/table.json", buf_str(&dir));
		/* Whatever a component has said, only a table is removed. */
		if (fs_exists(info) && !fs_remove_tree(buf_str(&dir), &e))
			log_warn(LOG_CTX_NONE, "a deleted table's files stay: %s", e.msg);
		free(info);
	}
	buf_free(&dir);
}

static void on_deleted(struct db_result *res, void *arg)
{
	struct removal *d = arg;

	if (db_error(res) != NULL) {
		reply_db_err(d->r, res);
	} else if (db_rows(res, 0) == 0) {
		refuse(d->r, ERR_TABLE_NOT_FOUND, NO_TABLE, js_str(d->p, "name", ""),
		       js_str(d->p, "namespace", ""));
	} else {
		remove_files(request_node(d->r), res);
		reply_ok(d->r, NULL);
	}
	json_decref(d->p);
	free(d);
}

static const struct param table_delete_params[] = {{"namespace", P_STR, true, NULL},
						   {"name", P_STR, true, NULL}};

static void table_delete(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct removal *d = mem_zalloc(sizeof(*d));
	d->r = r;
	d->p = p;
	struct db_batch *b = one_statement(r, Q_API_TABLE_DELETE);
	bind_texts(b, p, names, 2);
	db_submit(b, on_deleted, d);
}

/* ---- bind ---- */

static const struct param bind_path_params[] = {
    {"namespace", P_STR, true, NULL}, {"name", P_STR, true, NULL}, {"path", P_STR, true, NULL}};

static void bind_path(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	const char *path = js_str(p, "path", "");
	if (strlen(path) > 4000 || strlen(js_str(p, "name", "")) > NAME_MAX_LEN ||
	    strlen(js_str(p, "namespace", "")) > NAME_MAX_LEN) {
		refuse(r, ERR_API_PARAMETER, "namespace and name have at most %d bytes, path 4000",
		       NAME_MAX_LEN);
	} else if (path[0] != '/' || !fs_path_is_plain(path)) {
		refuse(r, ERR_API_PARAMETER,
		       "path: '%.200s' is not an absolute path on the server without \"..\"", path);
	} else {
		char *uri = mem_printf("file://%s", path);
		struct db_batch *b = one_statement(r, Q_API_TABLE_BIND);
		bind_texts(b, p, names, 2);
		db_text(b, uri);
		pass_done(r, b);
		free(uri);
	}
	json_decref(p);
}

const struct http_route api_table_routes[] = {
    {"GET", "/v2/table/query", table_query, 0, 0, "A table's size, schema and place",
     DOC(TAKES_QUERY(table_query_params), .data = "Table")},
    {"POST", "/v2/table/delete", table_delete, 0, 0, "Delete a table",
     DOC(TAKES_JSON(table_delete_params))},
    {"POST", "/v2/table/bind/path", bind_path, 0, 0,
     "Give a directory of the server a table's name", DOC(TAKES_JSON(bind_path_params))},
};
const size_t api_table_n_routes = ARRAY_LEN(api_table_routes);
