#include "auth/gate.h"

#include "auth/browser.h"
#include "auth/request.h"
#include "auth/signature.h"
#include "base/clock.h"
#include "base/js.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define APP_ID_MAX 64
#define USER_MAX   200 /* bytes of a user's name that are kept */
#define OBJECT_MAX 500
/* A signature is good until its time and the window have passed, by the slowest node's clock. */
#define KEEP_S (3 * SIGNATURE_WINDOW_MS / 1000)

const char *const gate_roles[] = {"client", "super_client", "site", NULL};

/* A request that waits for the database. */
struct gate {
	struct http_req *r;
	const struct http_route *route;
	char app_id[APP_ID_MAX + 1]; /* "": authentication is off */
	char signature[SIGNATURE_LEN + 1];
};

/* An app of this role may everything, also what else an option must allow. */
#define SUPER "super_client"

/* A change that was let in, until it is answered. */
struct change {
	struct node *node;
	int64_t audit_no;
};

static bool is_change(const struct http_req *r)
{
	return !str_eq(http_req_method(r), "GET") && !str_eq(http_req_method(r), "HEAD");
}

const char *gate_app(const struct http_req *r)
{
	return http_req_user(r)[0] != '\0' ? http_req_user(r) : NULL;
}

bool gate_is_off(struct http_req *r, const char *func)
{
	if (request_node(r)->conf->auth_client)
		return false;
	reply_code(r, ERR_RESTRICTED,
		   "func %s, function restricted: auth.client is off at this site", func);
	return true;
}

bool gate_role_allows(const char *role, const char *path)
{
	if (str_eq(role, SUPER))
		return true;
	return str_eq(role, "client") && !str_starts(path, "/v2/permission/") &&
	       !str_starts(path, "/v2/app/") && !str_eq(path, "/v2/server/audit");
}

/* ---- audit ---- */

static void on_audited(struct db_result *res, void *arg)
{
	if (db_error(res) != NULL)
		log_error(LOG_CTX_NONE, "the audit row of a change stays without its result: %s",
			  db_error(res)->msg);
}

static void on_answer(int status, const json_t *body, void *arg)
{
	struct change *c = arg;
	struct db_batch *b;

	if (c->node->db == NULL) { /* answered into the void, on the way down */
		free(c);
		return;
	}
	b = db_batch_new(c->node->db);
	db_add(b, Q_AUDIT_END);
	db_int(b, c->audit_no);
	db_int(b, body != NULL ? js_int(body, "code", 0) : status == 200 ? 0 : status);
	db_text(b, js_str(body, "job_id", NULL));
	db_submit(b, on_audited, NULL);
	free(c);
}

static void go_on(struct gate *g, int64_t audit_no)
{
	struct http_req *r = g->r;
	const struct http_route *route = g->route;

	if (is_change(r)) {
		struct change *c = mem_zalloc(sizeof(*c));
		c->node = request_node(r);
		c->audit_no = audit_no;
		http_req_on_answer(r, on_answer, c);
	}
	free(g);
	route->handler(r, http_req_arg(r));
}

/* What the change is about: the parameters that name things, none that could be a secret. */
static void describe(const struct http_req *r, struct buf *out)
{
	static const char *const names[] = {
	    "job_id",    "task_name", "role",          "party_id",    "app_id",
	    "app_name",  "namespace", "name",          "model_id",    "model_version",
	    "component", "url",       "provider_name", "server_name", "service_name",
	};
	const json_t *body = http_req_json(r);

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *v = js_str(body, names[i], http_req_query(r, names[i]));
		if (v == NULL || out->len + strlen(v) > OBJECT_MAX)
			continue;
		buf_printf(out, "%s%s[", out->len > 0 ? "," : "", names[i]);
		str_vis(out, v, strlen(v));
		buf_addc(out, ']');
	}
}

/* request id, app, user, address, method, path, object */
static void bind_audit(struct db_batch *b, const struct gate *g)
{
	const char *user = http_req_header(g->r, "userName");
	struct buf name = {0};
	struct buf object = {0};

	if (user == NULL)
		user = http_req_header(g->r, "user_name");
	if (user != NULL)
		str_vis(&name, user, strnlen(user, USER_MAX));
	describe(g->r, &object);
	db_text(b, http_req_id(g->r));
	db_text(b, g->app_id[0] != '\0' ? g->app_id : NULL);
	db_text(b, buf_str(&name));
	db_text(b, http_req_remote(g->r));
	db_text(b, http_req_method(g->r));
	db_text(b, g->route->path);
	db_text(b, buf_str(&object));
	buf_free(&name);
	buf_free(&object);
}

static void on_begun(struct db_result *res, void *arg)
{
	struct gate *g = arg;

	if (db_error(res) != NULL) {
		reply_db_err(g->r, res);
		free(g);
		return;
	}
	go_on(g, db_get_int(res, 0, 0, "audit_no"));
}

/* ---- who calls ---- */

static void refuse_caller(struct gate *g, enum err_code code, const char *text)
{
	const struct log_ctx ctx = {.request_id = http_req_id(g->r), .attempt = -1};

	log_warn(&ctx, "refused %s %s from %s, app '%s': %s", http_req_method(g->r), g->route->path,
		 http_req_remote(g->r), g->app_id, text);
	reply_code(g->r, code, "%s", text);
	free(g);
}

static void on_taken(struct db_result *res, void *arg)
{
	struct gate *g = arg;

	if (db_error(res) != NULL) {
		reply_db_err(g->r, res);
		free(g);
	} else if (!db_get_bool(res, 0, 0, "fresh")) {
		refuse_caller(g, ERR_API_EXPIRED,
			      "Request has expired: this signature was used before; sign every "
			      "request with a new Nonce or Timestamp");
	} else {
		go_on(g, db_get_int(res, 0, 0, "audit_no"));
	}
}

/* Why a provider may not be registered or deleted; NULL when that is not the question, or it may.
 */
static const char *refused_provider(const struct http_req *r, const struct http_route *route)
{
	if (request_node(r)->conf->allow_register ||
	    (!str_eq(route->path, "/v2/provider/register") &&
	     !str_eq(route->path, "/v2/provider/delete")))
		return NULL;
	return "No Permission: providers are programs that this site runs: "
	       "components.allow_register "
	       "lets every client register and delete them, without it only an app with the role "
	       "super_client may (auth.client)";
}

static bool is_super(const struct db_result *res)
{
	json_t *roles = db_get_json(res, 0, 0, "roles");
	bool found = false;
	size_t i;
	json_t *role;

	json_array_foreach (roles, i, role)
		found |= str_eq(json_string_value(role), SUPER);
	json_decref(roles);
	return found;
}

static bool allowed(const struct gate *g, const struct db_result *res)
{
	json_t *roles = db_get_json(res, 0, 0, "roles");
	bool ok = false;
	size_t i;
	json_t *role;

	json_array_foreach (roles, i, role)
		ok |= gate_role_allows(json_string_value(role), g->route->path);
	json_decref(roles);
	return ok;
}

/* "" when the digest is right, else why not. */
static enum err_code verify(struct gate *g, const char *token, const char **why)
{
	const char *user = http_req_header(g->r, "userName");
	char want[SIGNATURE_LEN + 1];
	struct err e;

	if (user == NULL) {
		*why = "TypeError: the header userName is missing (it may be empty)";
		return ERR_SERVER;
	}
	if (!signature_make(g->app_id, user, http_req_header(g->r, "Nonce"),
			    http_req_header(g->r, "Timestamp"), token, want, &e)) {
		*why = "the server cannot compute signatures; its log has the details";
		log_error(LOG_CTX_NONE, "%s", e.msg);
		return ERR_SERVER;
	}
	*why = "varify failed!";
	return signature_same(g->signature, want) ? ERR_OK : ERR_API_VERIFY;
}

static void on_app(struct db_result *res, void *arg)
{
	struct gate *g = arg;
	const char *why;

	if (db_error(res) != NULL) {
		reply_db_err(g->r, res);
		free(g);
		return;
	}
	if (db_rows(res, 0) == 0) {
		refuse_caller(g, ERR_API_PERMISSION, "No Permission");
		return;
	}
	enum err_code code = verify(g, db_get(res, 0, 0, "app_token"), &why);
	if (code != ERR_OK) {
		refuse_caller(g, code, why);
	} else if (!allowed(g, res)) {
		refuse_caller(g, ERR_API_AUTH, "Authentication Failed");
	} else if ((why = refused_provider(g->r, g->route)) != NULL && !is_super(res)) {
		refuse_caller(g, ERR_API_PERMISSION, why);
	} else {
		struct http_req *r = g->r;
		http_req_set_user(r, g->app_id);
		free(g);
		http_req_admit(r);
	}
}

/* The first header that is missing or malformed; NULL when all are there. */
static const char *wrong_header(const struct http_req *r, int64_t *timestamp_ms)
{
	const char *app_id = http_req_header(r, "appId");
	const char *timestamp = http_req_header(r, "Timestamp");
	const char *nonce = http_req_header(r, "Nonce");
	const char *signature = http_req_header(r, "Signature");

	if (app_id == NULL || app_id[0] == '\0' || strlen(app_id) > APP_ID_MAX)
		return "appId";
	if (!str_is_utf8(app_id, strlen(app_id)))
		return "appId";
	if (timestamp == NULL || !str_to_i64(timestamp, timestamp_ms) || *timestamp_ms < 0)
		return "Timestamp";
	if (nonce == NULL || strlen(nonce) != SIGNATURE_NONCE_LEN)
		return "Nonce";
	return signature == NULL || signature[0] == '\0' ? "Signature" : NULL;
}

static void check_caller(struct gate *g)
{
	int64_t timestamp_ms = 0;
	int64_t now_ms = clock_wall_ms();
	const char *wrong = wrong_header(g->r, &timestamp_ms);

	if (wrong != NULL) {
		char *text = mem_printf("Invalid parameter: name[%s]", wrong);
		refuse_caller(g, ERR_API_PARAMETER, text);
		free(text);
		return;
	}
	str_copy(g->app_id, sizeof(g->app_id), http_req_header(g->r, "appId"));
	if (timestamp_ms < now_ms - SIGNATURE_WINDOW_MS ||
	    timestamp_ms > now_ms + SIGNATURE_WINDOW_MS) {
		refuse_caller(g, ERR_API_EXPIRED,
			      "Request has expired: Timestamp is more than 60 s from this node's "
			      "clock");
		return;
	}
	struct db_batch *b = db_batch_new(request_node(g->r)->db);
	db_add(b, Q_AUTH_APP);
	db_text(b, g->app_id);
	db_submit(b, on_app, g);
}

static struct gate *gate_new(struct http_req *r, const struct http_route *route)
{
	struct gate *g = mem_zalloc(sizeof(*g));
	const char *signature = http_req_header(r, "Signature");

	g->r = r;
	g->route = route;
	str_copy(g->app_id, sizeof(g->app_id), http_req_user(r));
	if (signature != NULL)
		str_copy(g->signature, sizeof(g->signature), signature);
	return g;
}

static bool is_guarded(const struct http_route *route)
{
	return str_starts(route->path, "/v2/") && !str_starts(route->path, "/v2/worker/");
}

bool gate_admit(struct http_req *r, const struct http_route *route)
{
	if (!request_node(r)->conf->auth_client) {
		const char *why = refused_provider(r, route);
		if (!browser_admit(r, route))
			return false;
		if (why != NULL)
			refuse_caller(gate_new(r, route), ERR_API_PERMISSION, why);
		return why == NULL;
	}
	if (!is_guarded(route))
		return true;
	check_caller(gate_new(r, route));
	return false;
}

bool gate_before(struct http_req *r, const struct http_route *route)
{
	struct node *n = request_node(r);
	struct gate *g;

	if (!is_guarded(route) || (!n->conf->auth_client && !is_change(r)))
		return true;
	g = gate_new(r, route);
	struct db_batch *b = db_batch_new(n->db);
	db_add(b, n->conf->auth_client ? Q_SIGNATURE_TAKE : Q_AUDIT_BEGIN);
	bind_audit(b, g);
	if (n->conf->auth_client) {
		db_text(b, g->signature);
		db_int(b, KEEP_S);
		db_bool(b, is_change(r));
	}
	db_submit(b, n->conf->auth_client ? on_taken : on_begun, g);
	return false;
}
