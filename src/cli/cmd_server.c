/* norn server: the nodes of this site. */
#include "config.h"
#include "cli/cmds.h"
#include "base/clock.h"
#include "base/js.h"
#include "cli/call.h"
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
};

const struct cli_group cmds_server = {"server", "nodes and resources of this site", cmds,
				      sizeof(cmds) / sizeof(cmds[0])};
