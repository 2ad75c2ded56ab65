/* norn provider: the programs that have components. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/route.h"

static const struct column cols[] = {
    {"provider", "provider_name", CELL_TEXT},
    {"registered", "create_time", CELL_TIME},
    {"changed", "update_time", CELL_TIME},
    {"metadata", "metadata", CELL_TEXT},
};

static int provider_query(struct cli *c)
{
	static const struct route route = {"/v2/provider/query",
					   false,
					   {{"provider_name", "0", ROUTE_TEXT},
					    {"name", "--name", ROUTE_TEXT},
					    {"device", "--device", ROUTE_TEXT},
					    {"version", "--provider-version", ROUTE_TEXT}}};

	if (c->n_args == 0 && c->n_opts == 0)
		return cli_usage(c, "give a provider or an option; norn provider list has all");
	return route_table(c, &route, cols, ARRAY_LEN(cols));
}

/* The route gives nothing without a filter; every provider runs on one device: local. */
static int provider_list(struct cli *c)
{
	const char *query[] = {"device", "local", NULL};
	struct err e = {0};
	json_t *rows = call_get_data(c, "/v2/provider/query", query, &e);

	if (rows == NULL)
		return cli_fail(c, &e);
	if (!c->json)
		rows_print(c, rows, cols, ARRAY_LEN(cols));
	return cmd_done(c, rows);
}

static int provider_register(struct cli *c)
{
	struct err e = {0};
	json_t *body = js_load_file(c->args[0], &js_limits_default, &e), *env;

	if (body == NULL)
		return cli_fail(c, &e);
	if (!json_is_object(body)) {
		json_decref(body);
		return cli_usage(c, "%s has no map with name, version, device and metadata",
				 c->args[0]);
	}
	env = call_post(c, "/v2/provider/register", body, &e);
	json_decref(body);
	if (env == NULL)
		return cli_fail(c, &e);
	if (!c->json)
		puts(js_str(env, "message", "registered"));
	return cmd_done(c, env);
}

static int provider_delete(struct cli *c)
{
	static const struct route route = {"/v2/provider/delete",
					   true,
					   {{"provider_name", "0", ROUTE_TEXT},
					    {"name", "--name", ROUTE_TEXT},
					    {"device", "--device", ROUTE_TEXT},
					    {"version", "--provider-version", ROUTE_TEXT}}};
	struct err e = {0};
	json_t *gone;
	bool any;

	if (c->n_args == 0 && c->n_opts == 0)
		return cli_usage(c, "give a provider or an option");
	gone = route_call(c, &route, &e);
	if (gone == NULL)
		return cli_fail(c, &e);
	any = json_is_true(gone);
	if (!any)
		fputs("norn: no such provider, or it is built in\n", stderr);
	else if (!c->json)
		puts("deleted");
	(void)cmd_done(c, gone);
	return any ? CLI_OK : CLI_NOT_FOUND;
}

static const struct cli_opt filter_opts[] = {
    {"--name", "NAME", "of this name", false},
    {"--device", "DEVICE", "on this device: local", false},
    {"--provider-version", "VERSION", "of this version", false},
    {NULL, NULL, NULL, false},
};

static const struct cli_cmd cmds[] = {
    {"provider", "list", "", 0, 0, NULL, "list the registered providers", NULL,
     "norn provider list", provider_list},
    {"provider", "query", "[PROVIDER]", 0, 1, filter_opts, "find providers",
     "PROVIDER is name:version@device.", "norn provider query --name fate", provider_query},
    {"provider", "register", "FILE", 1, 1, NULL, "tell the site of a program with components",
     "FILE is YAML or JSON with name, version, device: local and metadata: path of FATE itself, or "
     "module\n"
     "(with venv and path) or program of native components; components_description describes "
     "them.",
     "norn provider register provider.yaml", provider_register},
    {"provider", "delete", "[PROVIDER]", 0, 1, filter_opts, "forget providers",
     "The built-in one stays.", "norn provider delete fate:2.2.0@local", provider_delete},
};

const struct cli_group cmds_provider = {"provider", "the programs that have components", cmds,
					sizeof(cmds) / sizeof(cmds[0])};
