/* norn table: what is known of a table. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "cli/call.h"
#include "cli/names.h"
#include "cli/route.h"
#include "cli/text.h"
#include <stdlib.h>

#define SAMPLE_ROWS 5

static void print_fact(const char *label, const char *value)
{
	char *clean = text_clean_line(value);

	if (clean[0] != '\0')
		printf("%-10s %s\n", label, clean);
	free(clean);
}

static void print_columns(const json_t *table)
{
	const json_t *fields = js_get(table, "meta.schema_meta.fields"), *f;
	struct buf names = {0};
	size_t i;

	json_array_foreach (fields, i, f)
		buf_printf(&names, "%s%s", i > 0 ? ", " : "", js_str(f, "name", "?"));
	print_fact("columns", buf_str(&names));
	buf_free(&names);
}

static int table_show(struct cli *c)
{
	bool display = cli_flag(c, "--rows");
	const char *query[] = {
	    "namespace", c->args[0], "name", c->args[1], "display", display ? "true" : NULL, NULL};
	struct err e = {0};
	json_t *t, *rows, *row;
	char count[32];
	size_t i;

	if (!names_table("namespace", c->args[0], &e) || !names_table("name", c->args[1], &e))
		return cli_fail(c, &e);
	t = call_get_data(c, "/v2/table/query", query, &e);
	if (t == NULL)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, t);
	snprintf(count, sizeof(count), "%lld", (long long)js_int(t, "count", 0));
	print_fact("namespace", js_str(t, "namespace", ""));
	print_fact("name", js_str(t, "name", ""));
	print_fact("rows", count);
	print_fact("type", js_str(t, "data_type", ""));
	print_fact("path", js_str(t, "path", ""));
	print_columns(t);
	rows = json_object_get(t, "display");
	json_array_foreach (rows, i, row) {
		char *text = i < SAMPLE_ROWS ? js_dump_str(row) : NULL;

		if (text == NULL)
			break;
		print_fact(i == 0 ? "sample" : "", text);
		free(text);
	}
	return cmd_done(c, t);
}

static int table_delete(struct cli *c)
{
	struct err e = {0};
	json_t *body, *env;

	if (!names_table("namespace", c->args[0], &e) || !names_table("name", c->args[1], &e))
		return cli_fail(c, &e);
	body = json_pack("{s:s, s:s}", "namespace", c->args[0], "name", c->args[1]);
	env = call_post(c, "/v2/table/delete", body, &e);
	json_decref(body);
	if (env == NULL)
		return cli_fail(c, &e);
	if (!c->json)
		printf("table %s %s is deleted\n", c->args[0], c->args[1]);
	return cmd_done(c, env);
}

static int table_bind(struct cli *c)
{
	static const struct route route = {"/v2/table/bind/path",
					   true,
					   {{"namespace", "0", ROUTE_NAMESPACE},
					    {"name", "1", ROUTE_NAME},
					    {"path", "2", ROUTE_TEXT}}};

	return route_do(c, &route, "table %s %s is the directory %s of the node", c->args[0],
			c->args[1], c->args[2]);
}

static const struct cli_opt show_opts[] = {
    {"--rows", NULL, "also a few rows", false},
    {NULL, NULL, NULL, false},
};

static const struct cli_cmd cmds[] = {
    {"table", "show", "NAMESPACE NAME", 2, 2, show_opts, "show what is known of a table", NULL,
     "norn table show demo breast_guest", table_show},
    {"table", "delete", "NAMESPACE NAME", 2, 2, NULL, "delete a table", NULL,
     "norn table delete demo breast_guest", table_delete},
    {"table", "bind", "NAMESPACE NAME PATH", 3, 3, NULL,
     "give a directory of the node a table's name",
     "PATH is on the node's machine. What has this name already is replaced.",
     "norn table bind demo images /srv/data/images", table_bind},
};

const struct cli_group cmds_table = {"table", "tables of this site", cmds,
				     sizeof(cmds) / sizeof(cmds[0])};
