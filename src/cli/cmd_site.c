/* norn site: other sites, certificates. */
#include "config.h"
#include "cli/cmds.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/names.h"
#include "cli/route.h"
#include "cli/text.h"
#include "net/tls.h"
#include <stdlib.h>
#include <string.h>

#define CA_DAYS   3650
#define CERT_DAYS 825

static int site_ca_init(struct cli *c)
{
	const char *name = cli_value(c, "--name");
	int64_t days = CA_DAYS;
	struct err e = {0};

	name = name != NULL ? name : "Norn demo CA";
	if (strlen(name) == 0 || strlen(name) > 60)
		return cli_usage(c, "--name has 1 to 60 bytes");
	if (!cli_int(c, "--days", 1, 36500, &days, &e) || !fs_mkdirs(c->args[0], 0700, &e) ||
	    !tls_make_ca(c->args[0], name, (int)days, &e))
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, json_pack("{s:s+, s:s+}", "ca", c->args[0], "/ca.crt", "key",
					     c->args[0], "/ca.key"));
	printf("%s/ca.crt  for every site\n%s/ca.key  stays secret, signs certificates\n",
	       c->args[0], c->args[0]);
	return CLI_OK;
}

/* Collects a repeatable option; at most max values. */
static bool collect(const struct cli *c, const char *opt, const char **out, size_t max, size_t *n,
		    struct err *e)
{
	const char *v;
	int pos = 0;

	for (*n = 0; (v = cli_next_value(c, opt, &pos)) != NULL; (*n)++) {
		if (*n == max)
			return err_set(e, ERR_USAGE, "at most %zu times %s", max, opt);
		out[*n] = v;
	}
	return true;
}

static int site_cert(struct cli *c)
{
	const char *parties[TLS_PARTIES_MAX], *hosts[16], *dir = cli_value(c, "--out");
	size_t n_parties, n_hosts;
	int64_t days = CERT_DAYS;
	struct err e = {0};

	dir = dir != NULL ? dir : c->args[0];
	if (!collect(c, "--party", parties, ARRAY_LEN(parties), &n_parties, &e) ||
	    !collect(c, "--host", hosts, ARRAY_LEN(hosts), &n_hosts, &e) ||
	    !cli_int(c, "--days", -36500, 36500, &days, &e))
		return cli_fail(c, &e);
	if (n_parties == 0)
		return cli_usage(c, "--party is needed: the party ids that the site may speak for");
	for (size_t i = 0; i < n_parties; i++)
		if (!names_party(parties[i], &e))
			return cli_fail(c, &e);
	if (!str_is_name(c->args[1], 64))
		return cli_usage(c, "'%.60s' is not a name for a file", c->args[1]);
	if (!fs_mkdirs(dir, 0700, &e) || !tls_make_cert(c->args[0], dir, c->args[1], parties,
							n_parties, hosts, n_hosts, (int)days, &e))
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, json_pack("{s:s+++, s:s+++}", "cert", dir, "/", c->args[1],
					     ".crt", "key", dir, "/", c->args[1], ".key"));
	printf("%s/%s.crt\n%s/%s.key\n", dir, c->args[1], dir, c->args[1]);
	return CLI_OK;
}

static int site_list(struct cli *c)
{
	static const char *const heads[] = {"party", "url", "last good", "last error"};
	struct err e = {0};
	json_t *routes = call_get_data(c, "/v2/site/route/list", NULL, &e), *r;
	struct table *t;
	char ok[32], bad[32];
	size_t i;

	if (routes == NULL)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, routes);
	t = table_new(heads, ARRAY_LEN(heads));
	json_array_foreach (routes, i, r) {
		text_time(js_int(r, "last_ok_ms", 0), ok, sizeof(ok));
		text_time(js_int(r, "last_error_ms", 0), bad, sizeof(bad));
		table_cell(t, js_str(r, "party_id", "?"));
		table_cell(t, js_bool(r, "local", false) ? "this site" : js_str(r, "url", ""));
		table_cell(t, ok);
		table_cellf(t, "%s%s%s", bad, bad[0] ? "  " : "", js_str(r, "last_error", ""));
	}
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
	return cmd_done(c, routes);
}

static int post_route(struct cli *c, const char *path, const json_t *body, const char *what)
{
	struct err e = {0};
	json_t *env = call_post(c, path, body, &e);

	if (env == NULL)
		return cli_fail(c, &e);
	if (!c->json)
		printf("party %s %s\n", c->args[0], what);
	return cmd_done(c, env);
}

static int site_add(struct cli *c)
{
	struct err e = {0};
	json_t *body;
	char *what;
	int status;

	if (!names_party(c->args[0], &e))
		return cli_fail(c, &e);
	if (!str_starts(c->args[1], "https://") || strlen(c->args[1]) > 500)
		return cli_usage(c, "URL is https://HOST:PORT of the other site's peer port");
	body = json_pack("{s:s, s:s}", "party_id", c->args[0], "url", c->args[1]);
	if (body == NULL)
		return cli_usage(c, "URL must be UTF-8");
	what = mem_printf("is reached at %s", c->args[1]);
	status = post_route(c, "/v2/site/route/add", body, what);
	free(what);
	json_decref(body);
	return status;
}

static int site_remove(struct cli *c)
{
	struct err e = {0};
	json_t *body;
	int status;

	if (!names_party(c->args[0], &e))
		return cli_fail(c, &e);
	body = json_pack("{s:s}", "party_id", c->args[0]);
	status = post_route(c, "/v2/site/route/remove", body, "is no longer reached");
	json_decref(body);
	return status;
}

static int site_check(struct cli *c)
{
	const char *query[] = {"party_id", c->args[0], NULL};
	struct err e = {0};
	json_t *data, *s;
	bool ok;
	size_t i;

	if (!names_party(c->args[0], &e))
		return cli_fail(c, &e);
	data = call_get_data(c, "/v2/site/check", query, &e);
	if (data == NULL)
		return cli_fail(c, &e);
	ok = js_bool(data, "ok", false);
	if (!c->json) {
		char *url = text_clean_line(js_str(data, "url", ""));

		printf("party %s  %s\n", c->args[0], url);
		free(url);
		json_array_foreach (json_object_get(data, "steps"), i, s) {
			char *name = text_clean_line(js_str(s, "name", "?"));
			char *detail = text_clean_line(js_str(s, "detail", ""));
			bool good = js_bool(s, "ok", false);

			printf("  %s%s%s %-11s %6lld ms  %s\n",
			       c->color ? (good ? "\033[32m" : "\033[31m") : "",
			       good ? (c->utf8 ? "\xE2\x9C\x93" : "ok ")
				    : (c->utf8 ? "\xE2\x9C\x97" : "BAD"),
			       c->color ? "\033[0m" : "", name, (long long)js_int(s, "ms", 0),
			       detail);
			free(name);
			free(detail);
		}
	}
	(void)cmd_done(c, data);
	return ok ? CLI_OK : CLI_FAILED;
}

static int site_info(struct cli *c)
{
	static const struct route route = {"/v2/site/info/query", false, {{NULL, NULL, 0}}};
	struct err e = {0};
	json_t *data = route_call(c, &route, &e);

	if (data == NULL)
		return cli_fail(c, &e);
	if (!c->json)
		puts(js_str(data, "party_id", ""));
	return cmd_done(c, data);
}

static const struct cli_opt ca_opts[] = {
    {"--name", "TEXT", "common name of the CA", false},
    {"--days", "N", "how long it is valid (3650)", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt cert_opts[] = {
    {"--party", "PARTY", "party id that the site may speak for", true},
    {"--host", "HOST", "DNS name or IP address of the site", true},
    {"--out", "DIR", "where to put the files (beside the CA)", false},
    {"--days", "N", "how long it is valid (825)", false},
    {NULL, NULL, NULL, false},
};

static const struct cli_cmd cmds[] = {
    {"site", "ca init", "DIR", 1, 1, ca_opts, "make a demo certificate authority",
     "Writes ca.crt and ca.key. For trials; real federations have a CA of their own.",
     "norn site ca init ca", site_ca_init},
    {"site", "cert", "CA-DIR NAME", 2, 2, cert_opts, "make a site's certificate and key",
     "The certificate names the party ids. Existing files are never replaced.",
     "norn site cert ca hospital --party 10000 --host hospital.example --out tls", site_cert},
    {"site", "info", "", 0, 0, NULL, "print the party id of this site", NULL, "norn site info",
     site_info},
    {"site", "list", "", 0, 0, NULL, "list the known parties and how they are reached", NULL,
     "norn site list", site_list},
    {"site", "add", "PARTY URL", 2, 2, NULL, "say where a party is reached", NULL,
     "norn site add 10000 https://hospital.example:9370", site_add},
    {"site", "remove", "PARTY", 1, 1, NULL, "forget a party", NULL, "norn site remove 10000",
     site_remove},
    {"site", "check", "PARTY", 1, 1, NULL, "try the way to a party, step by step",
     "Route, DNS, TCP, TLS chain, party ids, version, clock difference, round trip. The exit\n"
     "status is 1 when a step fails.",
     "norn site check 10000", site_check},
};

const struct cli_group cmds_site = {"site", "other sites, certificates, connections", cmds,
				    sizeof(cmds) / sizeof(cmds[0])};
