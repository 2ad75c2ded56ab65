/* /v2/site: who we are, and the ways to other sites. */
#include "api/api.h"
#include "api/reply.h"

#include "base/clock.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX_LEN   300
#define PARTY_MAX_LEN 50
#define CLOCK_OFF_MS  5000 /* more is reported as wrong */

static void site_info(struct http_req *r, void *arg)
{
	reply_ok(r, json_pack("{s:s}", "party_id", node_conf_own_party(request_node(r)->conf)));
}

/* ---- routes ---- */

static void on_routes(struct db_result *res, void *arg)
{
	struct http_req *r = arg;
	size_t i;
	json_t *party;

	if (db_error(res) != NULL) {
		reply_db_err(r, res);
		return;
	}
	json_t *own = json_array();
	json_t *others = db_get_json(res, 0, 0, "data");
	json_array_foreach (request_node(r)->conf->site_parties, i, party)
		json_array_append_new(own, json_pack("{s:O, s:s, s:b, s:n, s:n, s:n}", "party_id",
						     party, "url", "", "local", 1, "last_ok_ms",
						     "last_error", "last_error_ms"));
	json_array_extend(own, others);
	json_decref(others);
	reply_ok(r, own);
}

static void route_list(struct http_req *r, void *arg)
{
	db_submit(one_statement(r, Q_API_ROUTE_LIST), on_routes, r);
}

/* https://host:port without path, and nothing that could end or forge a request line. */
static bool url_fits(const char *url)
{
	static const char scheme[] = "https://";
	const char *host = url + sizeof(scheme) - 1;
	int64_t port;

	if (!str_starts(url, scheme) || strlen(url) > URL_MAX_LEN)
		return false;
	const char *colon = strrchr(host, ':');
	if (colon == NULL || colon == host || !str_to_i64(colon + 1, &port) || port < 1 ||
	    port > 65535 || colon[1] == '+')
		return false;
	size_t len = (size_t)(colon - host);
	bool bracketed = host[0] == '[' && len > 2 && host[len - 1] == ']';
	for (size_t i = bracketed ? 1 : 0; i < len - (bracketed ? 1 : 0); i++) {
		char c = host[i];
		bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			     (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '_' ||
			     (bracketed && (c == ':' || c == '%'));
		if (!plain)
			return false;
	}
	return true;
}

static const struct param route_add_params[] = {{"party_id", P_STR, true, NULL},
						{"url", P_STR, true, NULL}};

static void route_add(struct http_req *r, void *arg)
{
	static const char *const names[] = {"party_id", "url"};
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	const char *party = js_str(p, "party_id", "");
	if (!str_is_name(party, PARTY_MAX_LEN) || str_eq(party, "0")) {
		refuse(r, ERR_API_PARAMETER,
		       "party_id: '%.100s' is not a party id (1-50 letters, digits, '_', '.', "
		       "'-'; not \"0\")",
		       party);
	} else if (node_serves(request_node(r), party)) {
		refuse(r, ERR_API_PARAMETER,
		       "party_id: %s is served by this site and needs no route", party);
	} else if (!url_fits(js_str(p, "url", ""))) {
		refuse(r, ERR_API_PARAMETER, "url: '%.200s' is not of the form https://HOST:PORT",
		       js_str(p, "url", ""));
	} else {
		struct db_batch *b = one_statement(r, Q_ROUTE_SET);
		bind_texts(b, p, names, ARRAY_LEN(names));
		pass_done(r, b);
	}
	json_decref(p);
}

static void on_removed(struct db_result *res, void *arg)
{
	struct http_req *r = arg;

	if (db_error(res) != NULL)
		reply_db_err(r, res);
	else if (db_affected(res, 0) == 0)
		refuse(r, ERR_API_PARAMETER, "party_id: there is no route to that party");
	else
		reply_ok(r, NULL);
}

static const struct param route_remove_params[] = {{"party_id", P_STR, true, NULL}};

static void route_remove(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct db_batch *b = one_statement(r, Q_ROUTE_DELETE);
	db_text(b, js_str(p, "party_id", ""));
	db_submit(b, on_removed, r);
	json_decref(p);
}

/* ---- check ---- */

struct check {
	struct http_req *r;
	char party[PARTY_MAX_LEN + 1];
	char url[URL_MAX_LEN + 1];
	json_t *steps;
	bool ok;
	int64_t started_us;
	bool again; /* the second call, on the open connection */
};

static void add_step(struct check *c, const char *name, bool ok, int64_t us, const char *fmt, ...)
    PRINTF_LIKE(5, 6);

/* us < 0: not measured by itself. */
static void add_step(struct check *c, const char *name, bool ok, int64_t us, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->ok = c->ok && ok;
	json_array_append_new(
	    c->steps, json_pack("{s:s, s:b, s:s, s:o}", "name", name, "ok", (int)ok, "detail", text,
				"ms", us < 0 ? json_null() : json_integer((us + 500) / 1000)));
}

static void finish(struct check *c)
{
	reply_ok(c->r, json_pack("{s:s, s:s, s:b, s:o}", "party_id", c->party, "url", c->url, "ok",
				 (int)c->ok, "steps", c->steps));
	free(c);
}

static void remember(struct check *c, const char *error)
{
	struct db_batch *b = one_statement(c->r, Q_API_ROUTE_CHECKED);

	db_text(b, c->party);
	db_text(b, error);
	db_submit(b, NULL, NULL);
}

/* The steps up to the one that a failed call did not get past, by its error. */
static void failed_steps(struct check *c, const struct err *e, int64_t us)
{
	bool dns = strstr(e->msg, "cannot find the host") != NULL;
	bool tls = e->code == ERR_TLS;
	bool tcp = e->code == ERR_CONNECT || e->code == ERR_TIMEOUT;

	remember(c, e->msg);
	if (dns) {
		add_step(c, "dns", false, us, "%s", e->msg);
		return;
	}
	add_step(c, "dns", true, -1, "the host has an address");
	if (tcp) {
		add_step(c, "tcp", false, us, "%s", e->msg);
		return;
	}
	add_step(c, "tcp", true, -1, "connected");
	if (tls) {
		add_step(c, "tls", false, us, "%s", e->msg);
		return;
	}
	add_step(c, "tls", true, -1, "certificates accepted on both sides");
	add_step(c, "version", false, us, "%s", e->msg);
}

static void party_step(struct check *c, const struct tls_identity *peer)
{
	struct buf list = {0};

	for (size_t i = 0; i < peer->n_parties; i++)
		buf_printf(&list, "%s%s", i > 0 ? ", " : "", peer->parties[i]);
	bool named = tls_identity_has(peer, c->party);
	add_step(c, "party ids", named, -1,
		 named ? "its certificate names %s" : "its certificate names only: %s",
		 buf_str(&list));
	buf_free(&list);
}

static void clock_step(struct check *c, const json_t *data, int64_t us)
{
	int64_t now_ms = clock_wall_ms();
	int64_t off_ms = js_int(data, "now_ms", now_ms) - (now_ms - us / 2000);
	int64_t far_ms = off_ms < 0 ? -off_ms : off_ms;

	add_step(c, "clock", far_ms <= CLOCK_OFF_MS, -1, "its clock is %lld ms %s ours%s",
		 (long long)far_ms, off_ms < 0 ? "behind" : "ahead of",
		 far_ms <= CLOCK_OFF_MS ? "" : "; certificates and time limits may go wrong");
}

static void call(struct check *c);

static void on_ping(const struct http_response *res, void *arg)
{
	struct check *c = arg;
	int64_t us = clock_mono_us() - c->started_us;
	const json_t *data = json_object_get(res->json, "data");

	if (c->again) {
		if (res->error != NULL)
			add_step(c, "round trip", false, us, "%s", res->error->msg);
		else
			add_step(c, "round trip", true, us, "a request on the open connection");
		finish(c);
		return;
	}
	if (res->error != NULL) {
		failed_steps(c, res->error, us);
		finish(c);
		return;
	}
	add_step(c, "dns", true, -1, "the host has an address");
	add_step(c, "tcp", true, -1, "connected");
	if (res->peer == NULL) {
		add_step(c, "tls", false, -1, "the connection is not protected");
		finish(c);
		return;
	}
	add_step(c, "tls", true, us, "certificates accepted on both sides: %s", res->peer->subject);
	party_step(c, res->peer);
	if (res->status != 200 || js_int(res->json, "code", -1) != ERR_OK ||
	    !json_is_object(data)) {
		add_step(c, "version", false, -1, "HTTP %d without an answer of Norn", res->status);
		finish(c);
		return;
	}
	add_step(c, "version", true, -1, "Norn %s", js_str(data, "version", "of unknown version"));
	clock_step(c, data, us);
	remember(c, c->ok ? NULL : "the last check has found something wrong");
	c->again = true;
	call(c);
}

static void call(struct check *c)
{
	struct node *n = request_node(c->r);
	char *url = mem_printf("%s/v2/partner/ping", c->url);
	const char *headers[] = {"dest-party-id", c->party, "X-Norn-Src-Party",
				 node_conf_own_party(n->conf), NULL};
	const struct http_call in = {.method = "GET",
				     .url = url,
				     .headers = headers,
				     .timeout_ms = (int)n->conf->peer_timeout_ms,
				     .max_body_bytes = 64 * 1024};

	c->started_us = clock_mono_us();
	http_call_start(n->http, &in, on_ping, c);
	free(url);
}

static void on_route(struct db_result *res, void *arg)
{
	struct check *c = arg;

	if (db_error(res) != NULL) {
		reply_db_err(c->r, res);
		json_decref(c->steps);
		free(c);
		return;
	}
	if (db_rows(res, 0) == 0) {
		add_step(c, "route", false, -1,
			 "there is no route to party %s: `norn site add %s https://HOST:PORT`",
			 c->party, c->party);
		finish(c);
		return;
	}
	str_copy(c->url, sizeof(c->url), db_get(res, 0, 0, "url"));
	add_step(c, "route", true, -1, "%s", c->url);
	if (request_node(c->r)->tls == NULL) {
		add_step(
		    c, "tls", false, -1,
		    "this node has no certificate: peer.ca, peer.cert and peer.key are not set");
		finish(c);
		return;
	}
	call(c);
}

static const struct param site_check_params[] = {{"party_id", P_STR, true, NULL}};

static void site_check(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct check *c = mem_zalloc(sizeof(*c));
	c->r = r;
	bool fits = str_copy(c->party, sizeof(c->party), js_str(p, "party_id", "")) &&
		    str_is_name(c->party, PARTY_MAX_LEN);
	json_decref(p);
	if (!fits) {
		refuse(r, ERR_API_PARAMETER, "party_id: not a party id");
		free(c);
		return;
	}
	c->steps = json_array();
	c->ok = true;
	if (node_serves(request_node(r), c->party)) {
		add_step(c, "route", true, -1, "party %s is served by this site", c->party);
		finish(c);
		return;
	}
	struct db_batch *b = one_statement(r, Q_ROUTE_GET);
	db_text(b, c->party);
	db_submit(b, on_route, c);
}

const struct http_route api_site_routes[] = {
    {"GET", "/v2/site/info/query", site_info, 0, 0, "The party id of this site",
     DOC(.data = "{party_id:string}")},
    {"GET", "/v2/site/route/list", route_list, 0, 0, "Routes to other sites",
     DOC(.data = "Route[]")},
    {"POST", "/v2/site/route/add", route_add, 0, 0, "Set the route to a party",
     DOC(TAKES_JSON(route_add_params))},
    {"POST", "/v2/site/route/remove", route_remove, 0, 0, "Remove the route to a party",
     DOC(TAKES_JSON(route_remove_params))},
    {"GET", "/v2/site/check", site_check, 0, 0, "Try the way to a party step by step",
     DOC(TAKES_QUERY(site_check_params), .data = "RouteCheck")},
};
const size_t api_site_n_routes = ARRAY_LEN(api_site_routes);
