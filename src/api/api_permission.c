/* /v2/permission: roles of apps, and what jobs of other parties may use here. /v2/server/audit. */
#include "api/api.h"
#include "api/reply.h"

#include "auth/gate.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/catalog.h"

#include <stdlib.h>
#include <string.h>

#define DATASETS_MAX 1000
#define NAME_MAX_LEN 200

/* ---- roles ---- */

static const struct param change_role_params[] = {{"app_id", P_STR, true, NULL},
						  {"role", P_STR, true, NULL}};

static void change_role(struct http_req *r, enum db_stmt stmt, const char *func)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	if (!gate_is_off(r, func)) {
		struct db_batch *b = one_statement(r, stmt);
		db_text(b, gate_app(r));
		db_text(b, js_str(p, "app_id", ""));
		db_text(b, js_str(p, "role", ""));
		pass_data(r, b, ERR_OK, NULL);
	}
	json_decref(p);
}

static void role_grant(struct http_req *r, void *arg)
{
	change_role(r, Q_ROLE_GRANT, "grant_role_for_user");
}

static void role_delete(struct http_req *r, void *arg)
{
	change_role(r, Q_ROLE_DELETE, "delete_role_for_user");
}

struct policy {
	const char *role;
	json_t *list;
};

static void add_policy(const struct http_route *route, void *arg)
{
	struct policy *p = arg;

	if (str_starts(route->path, "/v2/") && !str_starts(route->path, "/v2/worker/") &&
	    gate_role_allows(p->role, route->path))
		json_array_append_new(p->list,
				      json_pack("[s, s, s]", p->role, route->path, route->method));
}

static void on_roles(struct db_result *res, void *arg)
{
	struct http_req *r = arg;

	if (db_error(res) != NULL) {
		reply_db_err(r, res);
		return;
	}
	json_t *all = json_object();
	for (int i = 0; i < db_rows(res, 0); i++) {
		struct policy p = {db_get(res, 0, i, "role"), json_array()};
		api_each_route(add_policy, &p);
		json_object_set_new(all, p.role, p.list);
	}
	reply_ok(r, all);
}

static const struct param role_of_app_params[] = {{"app_id", P_STR, true, NULL}};

static void role_of_app(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	if (!gate_is_off(r, "get_roles_for_user")) {
		struct db_batch *b = one_statement(r, Q_APP_ROLES);
		db_text(b, js_str(p, "app_id", ""));
		db_submit(b, on_roles, r);
	}
	json_decref(p);
}

static void role_names(struct http_req *r, void *arg)
{
	json_t *list = json_array();

	for (size_t i = 0; request_node(r)->conf->auth_client && gate_roles[i] != NULL; i++)
		json_array_append_new(list, json_string(gate_roles[i]));
	reply_ok(r, list);
}

/* ---- components and data for other parties ---- */

struct resource {
	struct http_req *r;
	json_t *p;
	bool grant;
	json_t *components; /* names */
	json_t *datasets;   /* {"name", "namespace"} */
};

static void resource_free(struct resource *q)
{
	json_decref(q->p);
	json_decref(q->components);
	json_decref(q->datasets);
	free(q);
}

static void add_values(struct resource *q, struct db_batch *b, const char *kind,
		       const json_t *values)
{
	if (json_array_size(values) == 0)
		return;
	db_add(b, q->grant ? Q_PERMISSION_ADD : Q_PERMISSION_REMOVE);
	db_text(b, js_str(q->p, "party_id", ""));
	db_text(b, kind);
	db_json(b, values);
}

static void resource_write(struct resource *q)
{
	struct db_batch *b = db_batch_new(request_node(q->r)->db);

	add_values(q, b, "component", q->components);
	add_values(q, b, "dataset", q->datasets);
	if (db_batch_count(b) > 0) {
		pass_done(q->r, b);
	} else {
		db_batch_free(b);
		reply_ok(q->r, NULL);
	}
	resource_free(q);
}

static bool is_known(json_t *providers, const char *name)
{
	const char *key;
	json_t *provider;

	json_object_foreach (providers, key, provider) {
		if (json_object_get(json_object_get(provider, "components"), name) != NULL)
			return true;
	}
	return false;
}

/* "*" stands for what is registered now: what comes later has to be granted by name. */
static void take_all(struct resource *q, json_t *providers)
{
	json_t *seen = json_object();
	const char *key, *name;
	json_t *provider, *desc;

	json_object_foreach (providers, key, provider)
		json_object_foreach (json_object_get(provider, "components"), name, desc)
			json_object_set_new(seen, name, json_true());
	json_object_foreach (seen, name, desc)
		json_array_append_new(q->components, json_string(name));
	json_decref(seen);
}

/* The components of the comma list; false: one is unknown, and the request is answered. */
static bool take_components(struct resource *q, json_t *providers)
{
	const char *list = js_str(q->p, "component", "");

	while (*list != '\0') {
		size_t n = strcspn(list, ",");
		char name[NAME_MAX_LEN + 1];
		size_t from = strspn(list, " "), to = n;
		while (to > from && list[to - 1] == ' ')
			to--;
		bool fits = to > from && to - from <= NAME_MAX_LEN;
		if (fits) {
			memcpy(name, list + from, to - from);
			name[to - from] = '\0';
		}
		if (fits && str_eq(name, "*")) {
			take_all(q, providers);
		} else if (fits && (!q->grant || is_known(providers, name))) {
			json_array_append_new(q->components, json_string(name));
		} else {
			refuse(q->r, ERR_API_PERMISSION_OPERATE,
			       "Permission Operate Error: type[component],value[['%.*s']]",
			       (int)(n < NAME_MAX_LEN ? n : NAME_MAX_LEN), list);
			return false;
		}
		list += n + (list[n] == ',');
	}
	return true;
}

static void on_catalog(json_t *providers, const struct err *e, void *arg)
{
	struct resource *q = arg;

	if (providers == NULL) {
		reply_err(q->r, e);
		resource_free(q);
	} else if (take_components(q, providers)) {
		resource_write(q);
	} else {
		resource_free(q);
	}
}

/* Only the two keys, in one order: they are compared as a whole. */
static bool take_datasets(struct resource *q)
{
	const json_t *list = json_object_get(q->p, "dataset");
	size_t i;
	json_t *v;

	if (json_array_size(list) > DATASETS_MAX) {
		refuse(q->r, ERR_API_PARAMETER, "Invalid parameter: dataset has more than %d items",
		       DATASETS_MAX);
		return false;
	}
	json_array_foreach (list, i, v) {
		const char *name = js_str(v, "name", NULL);
		const char *space = js_str(v, "namespace", NULL);
		if (name == NULL || space == NULL || strlen(name) > NAME_MAX_LEN ||
		    strlen(space) > NAME_MAX_LEN) {
			refuse(q->r, ERR_API_PERMISSION_OPERATE,
			       "Permission Operate Error: type[dataset],value[dataset[%zu] is no "
			       "object {name, namespace}]",
			       i);
			return false;
		}
		json_array_append_new(q->datasets,
				      json_pack("{s:s, s:s}", "name", name, "namespace", space));
	}
	return true;
}

static const struct param change_resource_params[] = {{"party_id", P_STR, true, NULL},
						      {"component", P_STR, false, NULL},
						      {"dataset", P_LIST, false, NULL}};

static void change_resource(struct http_req *r, bool grant)
{
	json_t *p = request_args(r);
	struct resource *q;

	if (p == NULL)
		return;
	if (!str_is_name(js_str(p, "party_id", ""), 50)) {
		refuse(r, ERR_API_PARAMETER, "Invalid parameter: party_id[%.60s] is no party id",
		       js_str(p, "party_id", ""));
		json_decref(p);
		return;
	}
	q = mem_zalloc(sizeof(*q));
	q->r = r;
	q->p = p;
	q->grant = grant;
	q->components = json_array();
	q->datasets = json_array();
	if (take_datasets(q))
		catalog_get(request_node(r), on_catalog, q);
	else
		resource_free(q);
}

static void resource_grant(struct http_req *r, void *arg)
{
	change_resource(r, true);
}

static void resource_delete(struct http_req *r, void *arg)
{
	change_resource(r, false);
}

static const struct param resource_query_params[] = {{"party_id", P_STR, true, NULL}};

static void resource_query(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct db_batch *b = one_statement(r, Q_PERMISSION_QUERY);
	db_text(b, js_str(p, "party_id", ""));
	pass_data(r, b, ERR_OK, NULL);
	json_decref(p);
}

/* ---- audit ---- */

static const struct param audit_list_params[] = {
    {"before", P_INT, false, NULL},
    {"limit", P_INT, false, "100", .min = 1, .max = 1000},
    {"app_id", P_STR, false, NULL},
    {"contains", P_STR, false, NULL}};

static void audit_list(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct db_batch *b = one_statement(r, Q_AUDIT_LIST);
	if (json_object_get(p, "before") != NULL)
		db_int(b, js_int(p, "before", 0));
	else
		db_null(b);
	db_int(b, js_int(p, "limit", 0));
	db_text(b, js_str(p, "app_id", NULL));
	db_text(b, js_str(p, "contains", NULL));
	pass_data(r, b, ERR_OK, NULL);
	json_decref(p);
}

const struct http_route api_permission_routes[] = {
    {"POST", "/v2/permission/grant", role_grant, 0, 0, "Give an app its role",
     DOC(TAKES_JSON(change_role_params), .data = "{status:boolean}")},
    {"POST", "/v2/permission/delete", role_delete, 0, 0, "Take a role from an app",
     DOC(TAKES_JSON(change_role_params), .data = "{status:boolean}")},
    {"GET", "/v2/permission/query", role_of_app, 0, 0, "What an app may do",
     DOC(TAKES_QUERY(role_of_app_params), .data = "string[][]{}")},
    {"GET", "/v2/permission/role/query", role_names, 0, 0, "The roles there are",
     DOC(.data = "string[]")},
    {"POST", "/v2/permission/resource/grant", resource_grant, 0, 0,
     "Let jobs of a party use components and tables", DOC(TAKES_JSON(change_resource_params))},
    {"POST", "/v2/permission/resource/delete", resource_delete, 0, 0, "Let them do so no longer",
     DOC(TAKES_JSON(change_resource_params))},
    {"GET", "/v2/permission/resource/query", resource_query, 0, 0, "What jobs of a party may use",
     DOC(TAKES_QUERY(resource_query_params),
	 .data = "{component:string[] dataset:{name:string namespace:string}[]}")},
    {"GET", "/v2/server/audit", audit_list, 0, 0, "Changes made through the API, newest first",
     DOC(TAKES_QUERY(audit_list_params), .data = "AuditRow[]")},
};
const size_t api_permission_n_routes = ARRAY_LEN(api_permission_routes);
