/* /v2/app: the apps that may call this site, and what other sites have given us for calling them.
 */
#include "api/api.h"
#include "api/reply.h"

#include "auth/gate.h"
#include "auth/signature.h"
#include "base/js.h"
#include "base/str.h"

#include <string.h>

#define NAME_MAX_LEN 100
#define TOKEN_LEN    16

/* The parameters, when apps can be used at all and each text fits. NULL: answered. */
static json_t *app_params(struct http_req *r, const char *func)
{
	const struct http_doc *doc = http_req_route(r)->doc;
	json_t *p = request_args(r);

	if (p == NULL)
		return NULL;
	if (gate_is_off(r, func)) {
		json_decref(p);
		return NULL;
	}
	for (size_t i = 0; i < doc->n_params; i++) {
		const char *v = js_str(p, doc->params[i].name, NULL);
		if (v == NULL || (v[0] != '\0' && strlen(v) <= NAME_MAX_LEN))
			continue;
		refuse(r, ERR_API_PARAMETER, "Invalid parameter: %s has 1 to %d bytes",
		       doc->params[i].name, NAME_MAX_LEN);
		json_decref(p);
		return NULL;
	}
	return p;
}

static const struct param by_app[] = {{"app_id", P_STR, true, NULL}};
static const struct param by_party[] = {{"party_id", P_STR, true, NULL}};

/* One statement with the texts of the parameters; takes p. */
static void run(struct http_req *r, json_t *p, enum db_stmt stmt, const struct param *params,
		size_t n)
{
	struct db_batch *b;

	if (p == NULL)
		return;
	b = one_statement(r, stmt);
	for (size_t i = 0; i < n; i++)
		db_text(b, js_str(p, params[i].name, NULL));
	pass_data(r, b, ERR_OK, NULL);
	json_decref(p);
}

/* ---- clients ---- */

static const struct param client_create_params[] = {{"app_name", P_STR, true, NULL}};

static void client_create(struct http_req *r, void *arg)
{
	json_t *p = app_params(r, "create_app");
	char token[TOKEN_LEN + 1];

	if (p == NULL)
		return;
	signature_random(token, TOKEN_LEN);
	struct db_batch *b = one_statement(r, Q_APP_CREATE);
	db_text(b, js_str(p, "app_name", ""));
	db_text(b, "client");
	db_text(b, token);
	db_null(b);
	pass_data(r, b, ERR_OK, NULL);
	json_decref(p);
}

static void client_delete(struct http_req *r, void *arg)
{
	json_t *p = app_params(r, "delete_app");

	if (p == NULL)
		return;
	struct db_batch *b = one_statement(r, Q_APP_DELETE);
	db_text(b, gate_app(r));
	db_text(b, js_str(p, "app_id", ""));
	pass_data(r, b, ERR_OK, NULL);
	json_decref(p);
}

static void query_apps(struct http_req *r, json_t *p, const char *type, const char *name)
{
	if (p == NULL)
		return;
	struct db_batch *b = one_statement(r, Q_APP_QUERY);
	db_text(b, type);
	db_text(b, js_str(p, "app_id", NULL));
	db_text(b, js_str(p, name, NULL));
	pass_data(r, b, ERR_OK, NULL);
	json_decref(p);
}

static const struct param client_query_params[] = {{"app_id", P_STR, false, NULL},
						   {"app_name", P_STR, false, NULL}};

static void client_query(struct http_req *r, void *arg)
{
	query_apps(r, app_params(r, "query_app"), "client", "app_name");
}

static void app_list(struct http_req *r, void *arg)
{
	if (!gate_is_off(r, "query_app"))
		pass_data(r, one_statement(r, Q_APP_LIST), ERR_OK, NULL);
}

/* ---- sites ---- */

static void site_create(struct http_req *r, void *arg)
{
	json_t *p = app_params(r, "create_app");
	char token[TOKEN_LEN + 1];

	if (p == NULL)
		return;
	signature_random(token, TOKEN_LEN);
	struct db_batch *b = one_statement(r, Q_APP_SITE_CREATE);
	db_text(b, js_str(p, "party_id", ""));
	db_text(b, token);
	pass_data(r, b, ERR_OK, NULL);
	json_decref(p);
}

static void site_delete(struct http_req *r, void *arg)
{
	run(r, app_params(r, "delete_app"), Q_APP_SITE_DELETE, by_party, ARRAY_LEN(by_party));
}

static void site_query(struct http_req *r, void *arg)
{
	query_apps(r, app_params(r, "query_app"), "site", "party_id");
}

/* ---- what other sites have given us ---- */

static const struct param partner_create_params[] = {{"party_id", P_STR, true, NULL},
						     {"app_id", P_STR, true, NULL},
						     {"app_token", P_STR, true, NULL}};

static void partner_create(struct http_req *r, void *arg)
{
	run(r, app_params(r, "create_partner_app"), Q_PARTNER_APP_CREATE, partner_create_params,
	    ARRAY_LEN(partner_create_params));
}

static void partner_delete(struct http_req *r, void *arg)
{
	run(r, app_params(r, "delete_partner_app"), Q_PARTNER_APP_DELETE, by_party,
	    ARRAY_LEN(by_party));
}

static const struct param partner_query_params[] = {{"party_id", P_STR, false, NULL}};

static void partner_query(struct http_req *r, void *arg)
{
	run(r, app_params(r, "query_partner_app"), Q_PARTNER_APP_QUERY, partner_query_params,
	    ARRAY_LEN(partner_query_params));
}

const struct http_route api_app_routes[] = {
    {"POST", "/v2/app/client/create", client_create, 0, 0, "A new client app",
     DOC(TAKES_JSON(client_create_params), .data = "App")},
    {"POST", "/v2/app/client/delete", client_delete, 0, 0, "Delete a client app",
     DOC(TAKES_JSON(by_app), .data = "{status:boolean}")},
    {"GET", "/v2/app/client/query", client_query, 0, 0, "Client apps by id or name",
     DOC(TAKES_QUERY(client_query_params), .data = "App[]")},
    {"POST", "/v2/app/site/create", site_create, 0, 0, "The app of another site",
     DOC(TAKES_JSON(by_party), .data = "App")},
    {"POST", "/v2/app/site/delete", site_delete, 0, 0, "Delete the app of another site",
     DOC(TAKES_JSON(by_party), .data = "{status:boolean}")},
    {"GET", "/v2/app/site/query", site_query, 0, 0, "The app of another site",
     DOC(TAKES_QUERY(by_party), .data = "App[]")},
    {"POST", "/v2/app/partner/create", partner_create, 0, 0,
     "Keep the app that another site has given us",
     DOC(TAKES_JSON(partner_create_params),
	 .data = "{party_id?:string app_id?:string app_token?:string}")},
    {"POST", "/v2/app/partner/delete", partner_delete, 0, 0,
     "Forget the app that another site has given us",
     DOC(TAKES_JSON(by_party), .data = "{status:boolean}")},
    {"GET", "/v2/app/partner/query", partner_query, 0, 0, "The app that another site has given us",
     DOC(TAKES_QUERY(partner_query_params), .data = "PartnerApp[]")},
    {"GET", "/v2/app/list", app_list, 0, 0, "All apps and their roles, without tokens",
     DOC(.data = "AppListed[]")},
};
const size_t api_app_n_routes = ARRAY_LEN(api_app_routes);
