/*
 * /v2/model: models as a whole, by model id and version. Norn keeps a model from the moment its
 * task has ended, and predicts from where it is kept, so load, store and restore have nothing to
 * move: they say whether the model is there. Export and import read and write files in a thread.
 */
#include "api/api.h"
#include "api/model_file.h"
#include "api/reply.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/gc.h"
#include "store/offload.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_MODEL   "No found output model"
#define IMPORT_MAX (4ULL << 30) /* bytes of a request */

static const char *const keys[] = {"model_id", "model_version", "role",
				   "party_id", "task_name",     "output_key"};

static void refuse_unknown(struct http_req *r, const json_t *p)
{
	struct buf given = {0};

	add_given(&given, p, keys, ARRAY_LEN(keys));
	refuse(r, ERR_MODEL_NOT_FOUND, NO_MODEL "%s", buf_str(&given));
	buf_free(&given);
}

/* ---- export, and migrate, which is an export into a directory ---- */

struct exporting {
	struct http_req *r;
	json_t *p;
	struct model_export job;
};

static void export_free(struct exporting *x)
{
	json_decref(x->job.rows);
	free(x->job.path);
	json_decref(x->p);
	free(x);
}

static void export_work(void *arg)
{
	struct exporting *x = arg;

	x->job.ok = model_export(&x->job, &x->job.error);
}

static void export_done(void *arg)
{
	struct exporting *x = arg;

	if (x->job.ok)
		reply_ok(x->r, NULL);
	else
		refuse(x->r, x->job.error.code, "%s", x->job.error.msg);
	export_free(x);
}

static void on_rows(struct db_result *res, void *arg)
{
	struct exporting *x = arg;

	if (db_error(res) != NULL) {
		reply_db_err(x->r, res);
		export_free(x);
		return;
	}
	if (db_rows(res, 0) == 0) {
		refuse_unknown(x->r, x->p);
		export_free(x);
		return;
	}
	x->job.rows = json_array();
	for (int i = 0; i < db_rows(res, 0); i++) {
		json_t *row = json_pack(
		    "{s:s, s:s, s:s, s:s}", "task_name", db_get(res, 0, i, "task_name"),
		    "output_key", db_get(res, 0, i, "output_key"), "path",
		    db_get(res, 0, i, "path"), "type_name", db_get(res, 0, i, "type_name"));
		json_object_set_new(row, "metadata", db_get_json(res, 0, i, "metadata"));
		json_object_set_new(row, "index",
				    json_integer(db_get_int(res, 0, i, "output_index")));
		json_array_append_new(x->job.rows, row);
	}
	offload(request_node(x->r)->base, OFFLOAD_EXPORTS, export_work, export_done, x);
}

/* Whether the ids can stand in the name of a file. Answers if not. */
static bool names_fit(struct http_req *r, const json_t *p)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const char *v = js_str(p, keys[i], NULL);
		if (v == NULL || str_is_name(v, 100))
			continue;
		refuse(r, ERR_API_PARAMETER,
		       "Invalid parameter: %s: '%.100s' is not a name (letters, digits, '_', '-' "
		       "and '.')",
		       keys[i], v);
		return false;
	}
	return true;
}

/* Of a path at or below a directory, what comes after it ("" or "/.."); NULL: it is elsewhere. */
static const char *below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	while (len > 0 && dir[len - 1] == '/')
		len--;
	if (strncmp(path, dir, len) != 0 || (path[len] != '/' && path[len] != '\0'))
		return NULL;
	return path + len;
}

/* Where a client may have a file of this name written: in dir, as far as that is allowed. Takes
 * file. */
static char *export_path(const struct node_conf *c, const char *dir, char *file, struct err *e)
{
	char *first = json_array_size(c->export_dirs) > 0
			  ? mem_strdup(json_string_value(json_array_get(c->export_dirs, 0)))
			  : mem_printf("%s/export", c->data_dir);
	struct buf out = {0};
	const char *rest = dir[0] == '/' ? below(dir, first) : NULL;
	size_t i;
	json_t *v;

	json_array_foreach (c->export_dirs, i, v) {
		if (dir[0] == '/' && rest == NULL)
			rest = below(dir, json_string_value(v));
	}
	if (dir[0] == '/' && (rest == NULL || !fs_path_is_plain(dir)))
		(void)err_set(e, ERR_API_PARAMETER,
			      "Invalid parameter: '%.200s' is not below %s, where models may be "
			      "written: give a path relative to that, or list the directory in "
			      "dirs.export",
			      dir, first);
	else if (dir[0] == '/')
		buf_printf(&out, "%s/%s", dir, file);
	else if (fs_join(first, dir, &out, e))
		buf_printf(&out, "/%s", file);
	free(file);
	free(first);
	return out.len > 0 ? buf_take(&out) : NULL;
}

/* Takes p. dir: where on the server. */
static void export_to(struct http_req *r, json_t *p, const char *dir)
{
	const struct node *n = request_node(r);
	const char *ids[MODEL_IDS];
	struct err e;

	if (!names_fit(r, p)) {
		json_decref(p);
		return;
	}
	for (size_t i = 0; i < MODEL_IDS; i++)
		ids[i] = js_str(p, keys[i], "");
	char *path = export_path(n->conf, dir,
				 mem_printf("%s_%s_%s_%s.zip", ids[0], ids[1], ids[2], ids[3]), &e);
	if (path == NULL) {
		refuse(r, e.code, "%s", e.msg);
		json_decref(p);
		return;
	}
	struct exporting *x = mem_zalloc(sizeof(*x));
	x->r = r;
	x->p = p;
	x->job.data_dir = n->conf->data_dir;
	memcpy(x->job.ids, ids, sizeof(ids));
	x->job.path = path;
	struct db_batch *b = one_statement(r, Q_API_MODEL_FILES);
	bind_texts(b, p, keys, MODEL_IDS);
	db_submit(b, on_rows, x);
}

static const struct param model_export_route_params[] = {
    {"model_id", P_STR, true, NULL}, {"model_version", P_STR, true, NULL},
    {"party_id", P_STR, true, NULL}, {"role", P_STR, true, NULL},
    {"path", P_STR, true, NULL},
};

static void model_export_route(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p != NULL)
		export_to(r, p, js_str(p, "path", ""));
}

static const struct param model_migrate_params[] = {
    {"model_id", P_STR, false, NULL}, {"model_version", P_STR, false, NULL},
    {"party_id", P_STR, false, NULL}, {"role", P_STR, false, NULL},
    {"dir_path", P_STR, false, NULL},
};

/* The client sends its arguments in the query; without any there is nothing to do. */
static void model_migrate(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	if (json_object_size(p) == 0) {
		json_decref(p);
		reply_ok(r, NULL);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(model_migrate_params); i++) {
		if (json_object_get(p, model_migrate_params[i].name) != NULL)
			continue;
		refuse(r, ERR_API_PARAMETER,
		       "Invalid parameter: %s is missing: migrating writes the model of one party "
		       "into dir_path",
		       model_migrate_params[i].name);
		json_decref(p);
		return;
	}
	export_to(r, p, js_str(p, "dir_path", ""));
}

/* ---- load, store, restore ---- */

struct asking {
	struct http_req *r;
	json_t *p;
};

static void on_there(struct db_result *res, void *arg)
{
	struct asking *a = arg;

	if (db_error(res) != NULL)
		reply_db_err(a->r, res);
	else if (db_rows(res, 0) == 0)
		refuse_unknown(a->r, a->p);
	else
		reply_ok(a->r, NULL);
	json_decref(a->p);
	free(a);
}

static const struct param model_there_params[] = {
    {"model_id", P_STR, false, NULL},
    {"model_version", P_STR, false, NULL},
    {"role", P_STR, false, NULL},
    {"party_id", P_STR, false, NULL},
};

static void model_there(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	if (json_object_get(p, "model_id") == NULL) {
		json_decref(p);
		reply_ok(r, NULL);
		return;
	}
	struct asking *a = mem_zalloc(sizeof(*a));
	a->r = r;
	a->p = p;
	struct db_batch *b = one_statement(r, Q_API_MODEL_THERE);
	bind_texts(b, p, keys, MODEL_IDS);
	db_submit(b, on_there, a);
}

/* ---- delete ---- */

static void on_deleted(struct db_result *res, void *arg)
{
	struct asking *a = arg;

	if (db_error(res) != NULL) {
		reply_db_err(a->r, res);
	} else if (!db_get_bool(res, 0, 0, "found")) {
		refuse_unknown(a->r, a->p);
	} else {
		gc_sweep(request_node(a->r));
		reply_ok(a->r, json_pack("{s:b}", "count", 1));
	}
	json_decref(a->p);
	free(a);
}

static const struct param model_delete_params[] = {
    {"model_id", P_STR, true, NULL},   {"model_version", P_STR, true, NULL},
    {"role", P_STR, false, NULL},      {"party_id", P_STR, false, NULL},
    {"task_name", P_STR, false, NULL}, {"output_key", P_STR, false, NULL},
};

static void model_delete(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct asking *a = mem_zalloc(sizeof(*a));
	a->r = r;
	a->p = p;
	struct db_batch *b = one_statement(r, Q_API_MODELS_DELETE);
	bind_texts(b, p, keys, ARRAY_LEN(keys));
	db_submit(b, on_deleted, a);
}

/* ---- import ---- */

struct importing {
	struct http_req *r;
	struct node *node;
	struct model_import job;
};

static void import_free(struct importing *x)
{
	model_import_free(&x->job);
	free(x);
}

static void on_dropped(struct db_result *res, void *arg)
{
	struct importing *x = arg;

	if (db_error(res) == NULL)
		gc_sweep(x->node);
	import_free(x);
}

/* The files of an import have a directory of their own, which is marked for removal before it has
 * any content, and until there are rows that point there. */
static void mark(struct db_batch *b, enum db_stmt stmt, const struct importing *x)
{
	struct db_array roots = {0};
	struct db_array names = {0};

	db_add(b, stmt);
	db_array_text(&roots, "model");
	db_array_text(&names, x->job.dir);
	db_array(b, &roots);
	db_array(b, &names);
}

/* The files go at once, and not in a day. */
static void import_drop(struct importing *x)
{
	struct db_batch *b;

	if (x->node->db == NULL) { /* on the way down */
		import_free(x);
		return;
	}
	b = db_batch_new(x->node->db);
	mark(b, Q_GC_DIRS_LATER, x);
	db_submit(b, on_dropped, x);
}

static void on_imported(struct db_result *res, void *arg)
{
	struct importing *x = arg;

	if (db_error(res) != NULL) {
		reply_db_err(x->r, res);
		import_drop(x);
		return;
	}
	gc_sweep(x->node);
	reply_ok(x->r, NULL);
	import_free(x);
}

static void import_work(void *arg)
{
	struct importing *x = arg;

	x->job.ok = model_import(&x->job, &x->job.error);
}

static void import_done(void *arg)
{
	struct importing *x = arg;

	if (!x->job.ok) {
		refuse(x->r, x->job.error.code, "%s", x->job.error.msg);
		import_drop(x);
		return;
	}
	struct db_batch *b = one_statement(x->r, Q_API_MODEL_IMPORT);
	db_json(b, x->job.rows);
	mark(b, Q_GC_DIRS_DONE, x);
	db_submit(b, on_imported, x);
}

static void on_announced(struct db_result *res, void *arg)
{
	struct importing *x = arg;

	if (db_error(res) != NULL) {
		reply_db_err(x->r, res);
		import_free(x);
		return;
	}
	offload(x->node->base, OFFLOAD_IMPORTS, import_work, import_done, x);
}

/* The fields; model_import() checks them, in a thread of its own. */
static const struct param model_import_params[] = {{"model_id", P_STR, true, NULL},
						   {"model_version", P_STR, true, NULL}};

static void model_import_route(struct http_req *r, void *arg)
{
	int fd = http_req_body_fd(r) >= 0 ? dup(http_req_body_fd(r)) : -1;

	if (fd < 0) {
		refuse(r, ERR_API_NO_FILE, "No Found File");
		return;
	}
	struct importing *x = mem_zalloc(sizeof(*x));
	char fresh[33];
	str_random_hex(fresh, 16);
	x->r = r;
	x->node = request_node(r);
	x->job.data_dir = x->node->conf->data_dir;
	x->job.dir = mem_printf("models/imported/%s", fresh);
	x->job.body_fd = fd;
	x->job.content_type = mem_strdup(http_req_header(r, "Content-Type"));
	struct db_batch *b = one_statement(r, Q_GC_DIR_ANNOUNCE);
	db_text(b, x->job.dir);
	db_submit(b, on_announced, x);
}

const struct http_route api_model_routes[] = {
    {"POST", "/v2/model/export", model_export_route, 0, 0,
     "Write a party's model into a zip file of the server",
     DOC(TAKES_JSON(model_export_route_params))},
    {"POST", "/v2/model/import", model_import_route, HTTP_SPOOL_BODY, (size_t)IMPORT_MAX,
     "Take over a model from a zip file", DOC(TAKES_FORM(model_import_params), .has_file = true)},
    {"POST", "/v2/model/delete", model_delete, 0, 0, "Delete models by id and version",
     DOC(TAKES_JSON(model_delete_params), .data = "{count:boolean}")},
    {"POST", "/v2/model/migrate", model_migrate, 0, 0,
     "Write a party's model into a zip file in a directory of the server",
     DOC(TAKES_QUERY(model_migrate_params))},
    {"POST", "/v2/model/load", model_there, 0, 0, "Whether a model is there",
     DOC(TAKES_EITHER(model_there_params))},
    {"POST", "/v2/model/store", model_there, 0, 0, "Whether a model is there",
     DOC(TAKES_EITHER(model_there_params))},
    {"POST", "/v2/model/restore", model_there, 0, 0, "Whether a model is there",
     DOC(TAKES_EITHER(model_there_params))},
};
const size_t api_model_n_routes = ARRAY_LEN(api_model_routes);
