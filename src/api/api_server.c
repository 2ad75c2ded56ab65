/* /v2/server, /v2/component, /v2/provider, and what monitoring asks: /livez, /readyz, /metrics. */
#include "api/api.h"
#include "api/reply.h"
#include "api/requests.h"

#include "base/clock.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/catalog.h"
#include "store/phases.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fateflow(struct http_req *r, void *arg)
{
	const struct node *n = request_node(r);
	struct db_batch *b = one_statement(r, Q_API_FATEFLOW);

	db_text(b, n->id);
	db_int(b, n->http_port);
	pass_data(r, b, ERR_OK, NULL);
}

static void nodes(struct http_req *r, void *arg)
{
	pass_data(r, one_statement(r, Q_API_NODES), ERR_OK, NULL);
}

static void resources(struct http_req *r, void *arg)
{
	pass_data(r, one_statement(r, Q_API_RESOURCES), ERR_OK, NULL);
}

static const struct param provider_params[] = {
    {"name", P_STR, false, NULL},
    {"device", P_STR, false, NULL},
    {"version", P_STR, false, NULL},
    {"provider_name", P_STR, false, NULL},
};
static const char *const provider_names[] = {"name", "device", "version", "provider_name"};

static void provider_query(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	if (json_object_size(p) == 0) {
		reply_ok(r, json_array());
	} else {
		struct db_batch *b = one_statement(r, Q_API_PROVIDERS);
		bind_texts(b, p, provider_names, ARRAY_LEN(provider_names));
		pass_data(r, b, ERR_OK, NULL);
	}
	json_decref(p);
}

/* ---- registering ---- */

#define BUILT_IN          "norn"
#define PROVIDER_NAME_MAX 50
#define PROVIDER_PATH_MAX 4000

/* A path of the metadata: absent, or absolute and there with this kind of access. */
static bool path_fits(const char *key, const char *path, int mode, struct err *e)
{
	if (path == NULL)
		return true;
	if (path[0] != '/' || strlen(path) > PROVIDER_PATH_MAX)
		return err_set(e, ERR_PROVIDER_PARAMS, "metadata.%s must be an absolute path", key);
	if (access(path, mode) != 0)
		return err_set(e, ERR_FILE_NOT_FOUND, "No found file or dir: metadata.%s[%s]: %s",
			       key, path, strerror(errno));
	return true;
}

/* Directories with ':' between them, as PYTHONPATH has them. */
static bool search_path_fits(const char *text, struct err *e)
{
	while (text != NULL && *text != '\0') {
		size_t n = strcspn(text, ":");
		char *one = mem_strndup(text, n);
		bool fits = path_fits("path", one, R_OK | X_OK, e);
		free(one);
		if (!fits)
			return false;
		text += n + (text[n] == ':');
	}
	return true;
}

/* The letters of a dotted module name only: it becomes an argument of an interpreter. */
static bool is_module(const char *s)
{
	return str_is_name(s, 200) &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") ==
		   strlen(s);
}

static bool metadata_fits(const json_t *m, struct err *e)
{
	static const char *const keys[] = {"path", "venv", "program", "module"};
	const char *program = js_str(m, "program", NULL);
	const char *module = js_str(m, "module", NULL);
	const char *path = js_str(m, "path", NULL);

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const json_t *v = json_object_get(m, keys[i]);
		if (v != NULL && !json_is_null(v) && !json_is_string(v))
			return err_set(e, ERR_PROVIDER_PARAMS, "metadata.%s must be a text",
				       keys[i]);
	}
	if (program == NULL && module == NULL && path == NULL)
		return err_set(e, ERR_PROVIDER_PARAMS,
			       "metadata needs path (FATE itself), module (a native component in "
			       "Python) or program (any native component)");
	if (module != NULL && !is_module(module))
		return err_set(e, ERR_PROVIDER_PARAMS,
			       "metadata.module must be the name of a Python module");
	return path_fits("program", program, X_OK, e) &&
	       path_fits("venv", js_str(m, "venv", NULL), X_OK, e) && search_path_fits(path, e);
}

static bool components_fit(json_t *all, struct err *e)
{
	const char *name;
	json_t *desc;

	json_object_foreach (all, name, desc) {
		if (!str_is_name(name, PROVIDER_NAME_MAX))
			return err_set(e, ERR_PROVIDER_PARAMS,
				       "components_description: '%.60s' is no name for a component",
				       name);
		if (!json_is_object(desc))
			return err_set(e, ERR_PROVIDER_PARAMS,
				       "components_description.%s must be a map", name);
	}
	return true;
}

static bool registration_fits(const json_t *p, struct err *e)
{
	static const char *const names[] = {"name", "version"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!str_is_name(js_str(p, names[i], ""), PROVIDER_NAME_MAX))
			return err_set(e, ERR_PROVIDER_PARAMS,
				       "%s must have 1 to %d of the characters A-Z a-z 0-9 _ . -",
				       names[i], PROVIDER_NAME_MAX);
	}
	if (str_eq(js_str(p, "name", ""), BUILT_IN))
		return err_set(e, ERR_PROVIDER_PARAMS,
			       "the name '" BUILT_IN "' is that of the built-in provider");
	if (!str_eq(js_str(p, "device", ""), "local"))
		return err_set(e, ERR_PROVIDER_DEVICE, "Device not supported: device[%.60s]",
			       js_str(p, "device", ""));
	return metadata_fits(json_object_get(p, "metadata"), e) &&
	       components_fit(json_object_get(p, "components_description"), e);
}

static void on_registered(struct db_result *res, void *arg)
{
	struct http_req *r = arg;

	if (db_error(res) != NULL) {
		reply_db_err(r, res);
		return;
	}
	catalog_forget();
	bool created = str_eq(db_get(res, 0, 0, "created"), "t");
	http_reply_json(r, 200,
			node_envelope(ERR_OK, created ? "create success" : "update success", NULL));
}

static const struct param provider_register_route_params[] = {
    {"name", P_STR, true, NULL},
    {"device", P_STR, true, NULL},
    {"version", P_STR, true, NULL},
    {"metadata", P_DICT, true, NULL},
    {"protocol", P_STR, false, "\"fate\""},
    {"components_description", P_DICT, false, NULL},
};

static void provider_register_route(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);
	struct err e = {0};

	if (p == NULL)
		return;
	if (!registration_fits(p, &e)) {
		refuse(r, e.code, "%s", e.msg);
		json_decref(p);
		return;
	}
	char *full = mem_printf("%s:%s@%s", js_str(p, "name", ""), js_str(p, "version", ""),
				js_str(p, "device", ""));
	struct db_batch *b = one_statement(r, Q_API_PROVIDER_REGISTER);
	db_text(b, full);
	db_text(b, js_str(p, "name", ""));
	db_text(b, js_str(p, "version", ""));
	db_text(b, js_str(p, "device", ""));
	db_json(b, json_object_get(p, "metadata"));
	if (json_object_get(p, "components_description") != NULL)
		db_json(b, json_object_get(p, "components_description"));
	else
		db_null(b);
	db_submit(b, on_registered, r);
	free(full);
	json_decref(p);
}

static void on_deleted(struct db_result *res, void *arg)
{
	struct http_req *r = arg;

	if (db_error(res) != NULL) {
		reply_db_err(r, res);
		return;
	}
	catalog_forget();
	reply_text(r, db_get(res, 0, 0, "data"));
}

static void provider_delete(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	if (json_object_size(p) == 0) {
		refuse(r, ERR_API_PARAMETER,
		       "Invalid parameter: give name, device, version or provider_name");
	} else {
		struct db_batch *b = one_statement(r, Q_API_PROVIDER_DELETE);
		bind_texts(b, p, provider_names, ARRAY_LEN(provider_names));
		db_submit(b, on_deleted, r);
	}
	json_decref(p);
}

/* Of all providers; where two have the same component, that of the default provider. */
static void on_catalog(json_t *providers, const struct err *e, void *arg)
{
	struct http_req *r = arg;
	const char *preferred = request_node(r)->conf->default_provider;
	json_t *all;
	const char *name;
	json_t *p;

	if (providers == NULL) {
		refuse(r, e->code, "%s", e->msg);
		return;
	}
	all = json_object();
	json_object_foreach (providers, name, p) {
		if (str_eq(name, preferred))
			json_object_update(all, json_object_get(p, "components"));
		else
			json_object_update_missing(all, json_object_get(p, "components"));
	}
	reply_ok(r, all);
}

static void component_list(struct http_req *r, void *arg)
{
	catalog_get(request_node(r), on_catalog, r);
}

/* ---- monitoring ---- */

static void reply_plain(struct http_req *r, int status, const char *text)
{
	http_reply(r, status, "text/plain; charset=utf-8", text, strlen(text));
}

static void livez(struct http_req *r, void *arg)
{
	reply_plain(r, 200, "ok\n");
}

static void on_ping(struct db_result *res, void *arg)
{
	struct http_req *r = arg;
	const struct node *n = request_node(r);
	struct buf text = {0};
	bool lease = clock_mono_ms() - n->beat_ms <= n->conf->lease_ms;

	if (db_error(res) != NULL)
		buf_printf(&text, "database: %s\n", db_error(res)->msg);
	else
		buf_adds(&text, "database: ok\n");
	buf_printf(&text, "node: %s\n",
		   n->stopping ? "going down"
		   : lease     ? "ok"
			       : "its lease has passed, it is registering anew");
	reply_plain(r, db_error(res) == NULL && lease && !n->stopping ? 200 : 503, buf_str(&text));
	buf_free(&text);
}

static void readyz(struct http_req *r, void *arg)
{
	db_submit(one_statement(r, Q_DB_PING), on_ping, r);
}

static void gauge(struct buf *out, const char *name, const char *help, double v)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %.17g\n", name, help, name, name, v);
}

static void add_state(struct buf *out, struct db_result *res)
{
	buf_adds(out, "# HELP norn_jobs Jobs scheduled here: those not over, and those submitted "
		      "in the last hour\n"
		      "# TYPE norn_jobs gauge\n");
	for (int i = 0; i < db_rows(res, 0); i++)
		buf_printf(out, "norn_jobs{status=\"%s\"} %s\n", db_get(res, 0, i, "status"),
			   db_get(res, 0, i, "n"));
	gauge(out, "norn_jobs_blocked", "Jobs waiting for resources",
	      (double)db_get_int(res, 1, 0, "blocked"));
	gauge(out, "norn_tasks_running", "Component processes of the site",
	      (double)db_get_int(res, 1, 0, "running"));
	gauge(out, "norn_tasks_queued", "Tasks waiting for an executor",
	      (double)db_get_int(res, 1, 0, "queued"));
	gauge(out, "norn_outbox_messages", "Messages to other sites not yet answered",
	      (double)db_get_int(res, 1, 0, "outbox"));
	gauge(out, "norn_outbox_age_seconds", "Age of the oldest of them",
	      db_get_double(res, 1, 0, "outbox_age_s"));
	gauge(out, "norn_nodes_alive", "Nodes of the site", (double)db_get_int(res, 1, 0, "nodes"));
	gauge(out, "norn_cores", "Cores that jobs may reserve",
	      (double)db_get_int(res, 1, 0, "cores"));
	gauge(out, "norn_cores_used", "Cores reserved",
	      (double)db_get_int(res, 1, 0, "cores_used"));
}

static void on_metrics(struct db_result *res, void *arg)
{
	struct http_req *r = arg;
	struct buf out = {0};

	gauge(&out, "norn_db_up", "Whether the database answers", db_error(res) == NULL ? 1 : 0);
	buf_printf(
	    &out,
	    "# HELP norn_http_requests_total Requests of clients and components to this node\n"
	    "# TYPE norn_http_requests_total counter\nnorn_http_requests_total %lld\n",
	    (long long)api_requests());
	phases_print(&out);
	if (db_error(res) == NULL)
		add_state(&out, res);
	http_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", out.data, out.len);
	buf_free(&out);
}

static void metrics(struct http_req *r, void *arg)
{
	struct db_batch *b = one_statement(r, Q_API_METRICS_JOBS);

	db_add(b, Q_API_METRICS_WORK);
	db_submit(b, on_metrics, r);
}

const struct http_route api_server_routes[] = {
    {"GET", "/v2/server/fateflow", fateflow, 0, 0, "The nodes that are alive, as FATE lists them",
     DOC(.data = "Instance{}")},
    {"GET", "/v2/server/nodes", nodes, 0, 0, "The nodes of the site", DOC(.data = "Node[]")},
    {"GET", "/v2/server/resources", resources, 0, 0, "Cores and memory, and who holds them",
     DOC(.data = "Engine[]")},
    {"GET", "/v2/component/list", component_list, 0, 0, "Descriptions of the registered components",
     DOC(.data = "object{}")},
    {"GET", "/v2/provider/query", provider_query, 0, 0, "Registered providers",
     DOC(TAKES_QUERY(provider_params), .data = "Provider[]")},
    {"POST", "/v2/provider/register", provider_register_route, 0, 4 << 20,
     "Tell the site of components and the program that has them",
     DOC(TAKES_JSON(provider_register_route_params))},
    {"POST", "/v2/provider/delete", provider_delete, 0, 0, "Forget providers",
     DOC(TAKES_JSON(provider_params), .data = "boolean")},
    {"GET", "/livez", livez, 0, 0, "Whether the process runs",
     DOC(.media = "text/plain; charset=utf-8")},
    {"GET", "/readyz", readyz, 0, 0, "Whether the node can work",
     DOC(.media = "text/plain; charset=utf-8", .unready = true)},
    {"GET", "/metrics", metrics, 0, 0, "Figures for Prometheus",
     DOC(.media = "text/plain; version=0.0.4", .unready = true)},
};
const size_t api_server_n_routes = ARRAY_LEN(api_server_routes);
