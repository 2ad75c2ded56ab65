/* /v2/server: servers and services that clients register for each other, as FATE keeps them, and
 * what this site is configured to. Norn itself calls none of them. */
#include "api/api.h"
#include "api/reply.h"

#include "base/conf.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NAME_LEN 100
#define URI_LEN  1000
#define NO_SERVER(p)                                                                               \
	ERR_SERVER_NOT_FOUND, "No found server: server_name[%.100s]", js_str(p, "server_name", "")

/* Server names are kept in capitals. False: answered. */
static bool names_fit(struct http_req *r, json_t *p)
{
	static const char *const names[] = {"server_name", "service_name", "protocol", "method"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *v = js_str(p, names[i], NULL);
		if (v == NULL || str_is_name(v, NAME_LEN))
			continue;
		refuse(r, ERR_API_PARAMETER, "Invalid parameter: %s: '%.100s' is not a name",
		       names[i], v);
		return false;
	}
	char *upper = mem_strdup(js_str(p, "server_name", ""));
	for (char *c = upper; *c != '\0'; c++)
		*c = (char)toupper((unsigned char)*c);
	json_object_set_new(p, "server_name", json_string(upper));
	free(upper);
	return true;
}

static json_t *read_params(struct http_req *r)
{
	json_t *p = request_args(r);

	if (p == NULL || names_fit(r, p))
		return p;
	json_decref(p);
	return NULL;
}

/* ---- servers ---- */

static const struct param server_query_params[] = {{"server_name", P_STR, true, NULL}};

static void server_query(struct http_req *r, void *arg)
{
	json_t *p = read_params(r);

	if (p == NULL)
		return;
	struct db_batch *b = one_statement(r, Q_API_SERVER_QUERY);
	db_text(b, js_str(p, "server_name", ""));
	pass_data(r, b, NO_SERVER(p));
	json_decref(p);
}

static bool host_fits(const char *host)
{
	size_t n = strlen(host);

	return n > 0 && n <= 255 &&
	       strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "0123456789.-_:[]") == n;
}

static const struct param server_registry_params[] = {
    {"server_name", P_STR, true, NULL},
    {"host", P_STR, true, NULL},
    {"port", P_INT, true, NULL, .min = 1, .max = 65535},
    {"protocol", P_STR, false, "\"http\""},
};

static void server_registry(struct http_req *r, void *arg)
{
	json_t *p = read_params(r);

	if (p == NULL)
		return;
	int64_t port = js_int(p, "port", 0);
	if (!host_fits(js_str(p, "host", ""))) {
		refuse(r, ERR_API_PARAMETER, "Invalid parameter: host: '%.100s' is no host",
		       js_str(p, "host", ""));
	} else {
		struct db_batch *b = one_statement(r, Q_API_SERVER_SET);
		db_text(b, js_str(p, "server_name", ""));
		db_text(b, js_str(p, "host", ""));
		db_int(b, port);
		db_text(b, js_str(p, "protocol", ""));
		pass_data(r, b, ERR_OK, NULL);
	}
	json_decref(p);
}

/* FATE says by the message whether there was something to delete. */
static void on_deleted(struct db_result *res, void *arg)
{
	struct http_req *r = arg;

	if (db_error(res) != NULL)
		reply_db_err(r, res);
	else
		http_reply_json(
		    r, 200,
		    node_envelope(ERR_OK, db_affected(res, 0) > 0 ? "success" : "failed", NULL));
}

static const struct param server_delete_params[] = {{"server_name", P_STR, true, NULL}};

static void server_delete(struct http_req *r, void *arg)
{
	json_t *p = read_params(r);

	if (p == NULL)
		return;
	struct db_batch *b = one_statement(r, Q_API_SERVER_DELETE);
	db_text(b, js_str(p, "server_name", ""));
	db_submit(b, on_deleted, r);
	json_decref(p);
}

/* ---- the configuration, without what is secret ---- */

static json_t *option_value(const struct conf_opt *o, const void *conf)
{
	const char *at = (const char *)conf + o->offset;
	char *text;
	int64_t number;
	bool flag;
	json_t *list;

	switch (o->type) {
	case CONF_STR:
	case CONF_PATH:
		memcpy(&text, at, sizeof(text));
		return text != NULL ? json_string(text) : json_null();
	case CONF_INT:
		memcpy(&number, at, sizeof(number));
		return json_integer(number);
	case CONF_BOOL:
		memcpy(&flag, at, sizeof(flag));
		return json_boolean(flag);
	case CONF_STR_LIST:
		memcpy(&list, at, sizeof(list));
		return json_incref(list);
	}
	return json_null();
}

static void add_option(json_t *all, const struct conf_opt *o, const void *conf)
{
	size_t n = strcspn(o->path, ".");
	char *section = mem_strndup(o->path, n);

	if (o->path[n] == '.' && !str_eq(o->path, "database.url")) {
		for (char *c = section; *c != '\0'; c++)
			*c = (char)toupper((unsigned char)*c);
		if (json_object_get(all, section) == NULL)
			json_object_set_new(all, section, json_object());
		json_object_set_new(json_object_get(all, section), o->path + n + 1,
				    option_value(o, conf));
	}
	free(section);
}

static void on_all(struct db_result *res, void *arg)
{
	struct http_req *r = arg;

	if (db_error(res) != NULL) {
		reply_db_err(r, res);
		return;
	}
	json_t *all = db_get_json(res, 0, 0, "data");
	for (size_t i = 0; i < node_conf_n_opts; i++)
		add_option(all, &node_conf_opts[i], request_node(r)->conf);
	reply_ok(r, all);
}

static void server_query_all(struct http_req *r, void *arg)
{
	db_submit(one_statement(r, Q_API_SERVER_ALL), on_all, r);
}

/* ---- services ---- */

static const struct param service_query_params[] = {{"server_name", P_STR, true, NULL},
						    {"service_name", P_STR, true, NULL}};

static void service_query(struct http_req *r, void *arg)
{
	static const char *const names[] = {"server_name", "service_name"};
	json_t *p = read_params(r);

	if (p == NULL)
		return;
	struct db_batch *b = one_statement(r, Q_API_SERVICE_QUERY);
	bind_texts(b, p, names, ARRAY_LEN(names));
	pass_data(r, b, NO_SERVER(p));
	json_decref(p);
}

struct registering {
	struct http_req *r;
	json_t *p;
};

static void on_service(struct db_result *res, void *arg)
{
	struct registering *g = arg;

	if (db_error(res) != NULL)
		reply_db_err(g->r, res);
	else if (db_affected(res, 0) == 0)
		refuse(g->r, NO_SERVER(g->p));
	else
		reply_ok(g->r, NULL);
	json_decref(g->p);
	free(g);
}

static const struct param service_registry_params[] = {
    {"server_name", P_STR, true, NULL}, {"service_name", P_STR, true, NULL},
    {"uri", P_STR, true, NULL},         {"method", P_STR, false, "\"POST\""},
    {"params", P_DICT, false, "{}"},    {"data", P_DICT, false, "{}"},
    {"headers", P_DICT, false, "{}"},   {"protocol", P_STR, false, "\"http\""},
};

static void service_registry(struct http_req *r, void *arg)
{
	static const char *const names[] = {"server_name", "service_name", "uri", "method",
					    "protocol"};
	json_t *p = read_params(r);

	if (p == NULL)
		return;
	if (strlen(js_str(p, "uri", "")) > URI_LEN) {
		refuse(r, ERR_API_PARAMETER, "Invalid parameter: uri: at most %d bytes", URI_LEN);
		json_decref(p);
		return;
	}
	struct registering *g = mem_zalloc(sizeof(*g));
	g->r = r;
	g->p = p;
	struct db_batch *b = one_statement(r, Q_API_SERVICE_SET);
	bind_texts(b, p, names, ARRAY_LEN(names));
	db_json(b, json_object_get(p, "params"));
	db_json(b, json_object_get(p, "data"));
	db_json(b, json_object_get(p, "headers"));
	db_submit(b, on_service, g);
}

static const struct param service_delete_params[] = {{"server_name", P_STR, true, NULL},
						     {"service_name", P_STR, true, NULL}};

static void service_delete(struct http_req *r, void *arg)
{
	static const char *const names[] = {"server_name", "service_name"};
	json_t *p = read_params(r);

	if (p == NULL)
		return;
	struct db_batch *b = one_statement(r, Q_API_SERVICE_DELETE);
	bind_texts(b, p, names, ARRAY_LEN(names));
	db_submit(b, on_deleted, r);
	json_decref(p);
}

const struct http_route api_registry_routes[] = {
    {"GET", "/v2/server/query/all", server_query_all, 0, 0,
     "The configuration without secrets, and registered servers", DOC(.data = "any{}")},
    {"GET", "/v2/server/query", server_query, 0, 0, "A registered server",
     DOC(TAKES_QUERY(server_query_params), .data = "Server")},
    {"POST", "/v2/server/registry", server_registry, 0, 0, "Register a server",
     DOC(TAKES_JSON(server_registry_params),
	 .data = "{server_name:string host:string port:integer protocol:string}")},
    {"POST", "/v2/server/delete", server_delete, 0, 0, "Forget a server and its services",
     DOC(TAKES_JSON(server_delete_params))},
    {"GET", "/v2/server/service/query", service_query, 0, 0, "A service of a registered server",
     DOC(TAKES_QUERY(service_query_params), .data = "Service")},
    {"POST", "/v2/server/service/registry", service_registry, 0, 0,
     "Register a service of a server", DOC(TAKES_JSON(service_registry_params))},
    {"POST", "/v2/server/service/delete", service_delete, 0, 0, "Forget a service",
     DOC(TAKES_JSON(service_delete_params))},
};
const size_t api_registry_n_routes = ARRAY_LEN(api_registry_routes);
