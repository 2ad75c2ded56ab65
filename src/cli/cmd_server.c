/* norn server: the nodes of this site. */
#include "config.h"
#include "cli/cmds.h"
#include "base/clock.h"
#include "base/js.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/route.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READY_PAUSE_MS 100

static int server_nodes(struct cli *c)
{
	static const char *const heads[] = {"node", "name",  "duties",  "started",
					    "seen", "alive", ">running"};
	struct err e = {0};
	json_t *nodes = call_get_data(c, "/v2/server/nodes", NULL, &e), *n, *d;
	char started[32], seen[32];
	struct table *t;
	size_t i, k;

	if (nodes == NULL)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, nodes);
	t = table_new(heads, ARRAY_LEN(heads));
	json_array_foreach (nodes, i, n) {
		struct buf duties = {0};

		json_array_foreach (json_object_get(n, "duties"), k, d)
			buf_printf(&duties, "%s%s", k > 0 ? " " : "",
				   json_is_string(d) ? json_string_value(d) : "?");
		text_time(js_int(n, "started_ms", 0), started, sizeof(started));
		text_time(js_int(n, "seen_ms", 0), seen, sizeof(seen));
		table_cell(t, js_str(n, "node_id", "?"));
		table_cell(t, js_str(n, "name", ""));
		table_cell(t, buf_str(&duties));
		table_cell(t, started);
		table_cell(t, seen);
		table_cell(t, js_bool(n, "alive", false) ? "yes" : "no");
		table_cellf(t, "%lld", (long long)js_int(n, "running", 0));
		buf_free(&duties);
	}
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
	return cmd_done(c, nodes);
}

static int server_resources(struct cli *c)
{
	static const char *const heads[] = {"engine",       ">cores used", ">of",
					    ">memory used", ">of",         ">reservations"};
	struct err e = {0};
	json_t *engines = call_get_data(c, "/v2/server/resources", NULL, &e), *g;
	struct table *t;
	size_t i;

	if (engines == NULL)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, engines);
	t = table_new(heads, ARRAY_LEN(heads));
	json_array_foreach (engines, i, g) {
		table_cell(t, js_str(g, "engine", "?"));
		table_cellf(t, "%lld", (long long)js_int(g, "cores_used", 0));
		table_cellf(t, "%lld", (long long)js_int(g, "cores", 0));
		table_cellf(t, "%lld MiB", (long long)js_int(g, "memory_mb_used", 0));
		table_cellf(t, "%lld MiB", (long long)js_int(g, "memory_mb", 0));
		table_cellf(t, "%zu", json_array_size(json_object_get(g, "reservations")));
	}
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
	return cmd_done(c, engines);
}

static int server_info(struct cli *c)
{
	struct err e = {0};
	json_t *info = call_get_data(c, "/v2/server/fateflow", NULL, &e), *site;

	if (info == NULL)
		return cli_fail(c, &e);
	site = call_get_data(c, "/v2/site/info/query", NULL, &e);
	if (site == NULL) {
		json_decref(info);
		return cli_fail(c, &e);
	}
	info = json_pack("{s:s, s:o, s:o}", "url", c->url, "site", site, "nodes", info);
	if (!c->json)
		outline_print(stdout, info, 0);
	return cmd_done(c, info);
}

/* One question. True when the node answered at all. */
static bool ask_ready(struct cli *c, bool *ready, char **said, struct err *e)
{
	struct buf body = {0};
	int status = 0;

	free(*said);
	*said = NULL;
	*ready = false;
	if (!call_text(c, "/readyz", &status, &body, e))
		return false;
	*ready = status == 200;
	*said = text_clean_line(buf_str(&body));
	buf_free(&body);
	return true;
}

static int server_ready(struct cli *c)
{
	int64_t wait_s = 0, end_ms;
	bool ready = false, answered;
	struct err e = {0};
	char *said = NULL;

	if (!cli_int(c, "--wait", 0, 86400, &wait_s, &e))
		return cli_fail(c, &e);
	end_ms = clock_mono_ms() + wait_s * 1000;
	for (;;) {
		answered = ask_ready(c, &ready, &said, &e);
		if (ready || clock_mono_ms() >= end_ms)
			break;
		usleep(READY_PAUSE_MS * 1000);
	}
	if (c->json && answered)
		(void)cmd_done(c, json_pack("{s:b, s:s}", "ready", ready ? 1 : 0, "text", said));
	else if (ready)
		printf("%s is ready\n", c->url);
	else if (answered)
		fprintf(stderr, "norn: %s is not ready: %s\n", c->url, said);
	free(said);
	if (!answered)
		return cli_fail(c, &e);
	return ready ? CLI_OK : CLI_FAILED;
}

static void print_audit(const struct cli *c, const json_t *rows)
{
	static const char *const heads[] = {"time", "app",   "user",  "from",
					    "code", "route", "object"};
	struct table *t = table_new(heads, sizeof(heads) / sizeof(heads[0]));
	char when[32];
	json_t *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		text_time(js_int(row, "at_ms", 0), when, sizeof(when));
		table_cell(t, when);
		table_cell(t, js_str(row, "app_id", "-"));
		table_cell(t, js_str(row, "user_name", ""));
		table_cell(t, js_str(row, "remote", ""));
		if (json_is_integer(json_object_get(row, "code")))
			table_cellf(t, "%lld", (long long)js_int(row, "code", 0));
		else
			table_cell(t, "-");
		table_cell(t, js_str(row, "path", ""));
		table_cell(t, js_str(row, "object", ""));
	}
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
}

static int server_audit(struct cli *c)
{
	int64_t limit = 100;
	char number[24];
	struct err e = {0};

	if (!cli_int(c, "--limit", 1, 1000, &limit, &e))
		return cli_fail(c, &e);
	snprintf(number, sizeof(number), "%lld", (long long)limit);
	const char *query[] = {"limit",    number,
			       "before",   cli_value(c, "--before"),
			       "app_id",   cli_value(c, "--app"),
			       "contains", cli_value(c, "--contains"),
			       NULL};
	json_t *data = call_get_data(c, "/v2/server/audit", query, &e);
	if (data == NULL)
		return cli_fail(c, &e);
	if (!c->json)
		print_audit(c, data);
	return cmd_done(c, data);
}

static const struct cli_opt audit_opts[] = {
    {"--limit", "N", "at most so many, the newest first (100)", false},
    {"--before", "NUMBER", "older than this audit_no", false},
    {"--app", "APP", "of this app", false},
    {"--contains", "TEXT", "whose object or route contains this", false},
    {NULL, NULL, NULL, false},
};

static const struct cli_opt ready_opts[] = {
    {"--wait", "SECONDS", "try again until then", false},
    {NULL, NULL, NULL, false},
};

/* ---- what monitoring asks ---- */

static int print_text(struct cli *c, const char *path)
{
	struct buf body = {0}, clean = {0};
	struct err e = {0};
	int status = 0;

	if (!call_text(c, path, &status, &body, &e)) {
		buf_free(&body);
		return cli_fail(c, &e);
	}
	text_clean(&clean, buf_str(&body), body.len);
	if (c->json)
		(void)cmd_done(c,
			       json_pack("{s:i, s:s}", "status", status, "text", buf_str(&clean)));
	else
		fputs(buf_str(&clean), stdout);
	buf_free(&body);
	buf_free(&clean);
	return status == 200 ? CLI_OK : CLI_FAILED;
}

static int server_live(struct cli *c)
{
	return print_text(c, "/livez");
}

static int server_openapi(struct cli *c)
{
	c->json = false; /* it is JSON already */
	return print_text(c, "/v2/openapi.json");
}

static int server_metrics(struct cli *c)
{
	return print_text(c, "/metrics");
}

/* ---- the register of other servers ---- */

static int server_config(struct cli *c)
{
	static const struct route route = {"/v2/server/query/all", false, {{NULL, NULL, 0}}};

	return route_outline(c, &route);
}

static int server_query(struct cli *c)
{
	static const struct route one = {
	    "/v2/server/query", false, {{"server_name", "0", ROUTE_TEXT}}};
	static const struct route service = {
	    "/v2/server/service/query",
	    false,
	    {{"server_name", "0", ROUTE_TEXT}, {"service_name", "1", ROUTE_TEXT}}};

	return route_outline(c, c->n_args > 1 ? &service : &one);
}

static int server_register(struct cli *c)
{
	static const struct route route = {"/v2/server/registry",
					   true,
					   {{"server_name", "0", ROUTE_TEXT},
					    {"host", "1", ROUTE_TEXT},
					    {"port", "2", ROUTE_INT},
					    {"protocol", "--protocol", ROUTE_TEXT}}};

	return route_do(c, &route, "server %s is registered", c->args[0]);
}

static int server_register_service(struct cli *c)
{
	static const struct route route = {"/v2/server/service/registry",
					   true,
					   {{"server_name", "0", ROUTE_TEXT},
					    {"service_name", "1", ROUTE_TEXT},
					    {"uri", "2", ROUTE_TEXT},
					    {"method", "--method", ROUTE_TEXT},
					    {"protocol", "--protocol", ROUTE_TEXT}}};

	return route_do(c, &route, "service %s of server %s is registered", c->args[1], c->args[0]);
}

static int server_delete(struct cli *c)
{
	static const struct route one = {
	    "/v2/server/delete", true, {{"server_name", "0", ROUTE_TEXT}}};
	static const struct route service = {
	    "/v2/server/service/delete",
	    true,
	    {{"server_name", "0", ROUTE_TEXT}, {"service_name", "1", ROUTE_TEXT}}};
	const struct route *r = c->n_args > 1 ? &service : &one;
	struct err e = {0};
	json_t *params = route_params(c, r, &e), *env;
	bool gone;

	if (params == NULL)
		return cli_fail(c, &e);
	env = call_post(c, r->path, params, &e);
	json_decref(params);
	if (env == NULL)
		return cli_fail(c, &e);
	gone = str_eq(js_str(env, "message", ""), "success");
	if (!gone)
		fprintf(stderr, "norn: nothing is registered under this name\n");
	else if (!c->json)
		puts("deleted");
	(void)cmd_done(c, env);
	return gone ? CLI_OK : CLI_NOT_FOUND;
}

static const struct cli_opt register_opts[] = {
    {"--protocol", "NAME", "http or https (http)", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt service_opts[] = {
    {"--method", "METHOD", "POST, GET, .. (POST)", false},
    {"--protocol", "NAME", "http or https (http)", false},
    {NULL, NULL, NULL, false},
};

static const struct cli_cmd cmds[] = {
    {"server", "nodes", "", 0, 0, NULL, "list the nodes of this site", NULL, "norn server nodes",
     server_nodes},
    {"server", "resources", "", 0, 0, NULL, "show cores and memory, used and in all", NULL,
     "norn server resources", server_resources},
    {"server", "info", "", 0, 0, NULL, "show the site and the versions of its nodes", NULL,
     "norn server info", server_info},
    {"server", "ready", "", 0, 0, ready_opts, "ask whether the node can work",
     "The exit status is 0 when it can, 1 when it cannot now, 3 when no node answers.",
     "norn server ready --wait 30", server_ready},
    {"server", "audit", "", 0, 0, audit_opts, "list the changes made through the API",
     "When, by which app and user, from which address, with which code. A code of - is a change "
     "that\n"
     "was under way when its node died.",
     "norn server audit --contains 202601312359590000010", server_audit},
    {"server", "live", "", 0, 0, NULL, "ask whether the process runs",
     "The exit status is 3 when no node answers.", "norn server live", server_live},
    {"server", "metrics", "", 0, 0, NULL, "print the node's figures for Prometheus", NULL,
     "norn server metrics", server_metrics},
    {"server", "openapi", "", 0, 0, NULL, "print the OpenAPI document of the API", NULL,
     "norn server openapi >norn-api.json", server_openapi},
    {"server", "config", "", 0, 0, NULL, "show the node's configuration, without secrets",
     "And the registered servers.", "norn server config --json", server_config},
    {"server", "query", "SERVER [SERVICE]", 1, 2, NULL, "show a registered server or service",
     "Servers that components know by name, as FATE has them.", "norn server query ml-serving",
     server_query},
    {"server", "register", "SERVER HOST PORT", 3, 3, register_opts, "register a server", NULL,
     "norn server register ml-serving 192.0.2.7 8059", server_register},
    {"server", "register-service", "SERVER SERVICE URI", 3, 3, service_opts,
     "register a service of a server", NULL,
     "norn server register-service ml-serving load /model/load", server_register_service},
    {"server", "delete", "SERVER [SERVICE]", 1, 2, NULL,
     "forget a server with its services, or one", NULL, "norn server delete ml-serving",
     server_delete},
};

const struct cli_group cmds_server = {"server", "nodes and resources of this site", cmds,
				      sizeof(cmds) / sizeof(cmds[0])};
