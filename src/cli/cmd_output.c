/* norn output: what a task left behind, under the names that users of flow know. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "base/mem.h"
#include "cli/route.h"
#include "cli/text.h"
#include <stdlib.h>

#define TASK_OF_ARGS                                                                               \
	{"job_id", "0", ROUTE_JOB}, {"task_name", "1", ROUTE_TASK},                                \
	{                                                                                          \
		"who", "", ROUTE_WHO                                                               \
	}

static int query_metric_key(struct cli *c)
{
	static const struct route route = {"/v2/output/metric/key/query", false, {TASK_OF_ARGS}};
	static const struct column cols[] = {
	    {"metric", "name", CELL_TEXT},
	    {"type", "type", CELL_TEXT},
	    {"axis", "step_axis", CELL_TEXT},
	    {"groups", "groups", CELL_TEXT},
	};

	return route_table(c, &route, cols, ARRAY_LEN(cols));
}

static int query_metric(struct cli *c)
{
	static const struct route route = {"/v2/output/metric/query", false, {TASK_OF_ARGS}};
	static const struct column cols[] = {
	    {"metric", "name", CELL_TEXT},
	    {"type", "type", CELL_TEXT},
	    {"axis", "step_axis", CELL_TEXT},
	    {"data", "data", CELL_TEXT},
	};

	return route_table(c, &route, cols, ARRAY_LEN(cols));
}

static int delete_metric(struct cli *c)
{
	static const struct route route = {"/v2/output/metric/delete", true, {TASK_OF_ARGS}};

	return route_do(c, &route, "the metrics of task %s are deleted", c->args[1]);
}

static int query_model(struct cli *c)
{
	static const struct route route = {"/v2/output/model/query", false, {TASK_OF_ARGS}};

	return route_outline(c, &route);
}

static int download(struct cli *c, const struct route *route, const char *suffix, const char *kind)
{
	char *file = mem_printf("%s_%s%s", c->args[0], c->args[1], suffix);
	char *p;
	int status;

	for (p = file; *p != '\0'; p++)
		*p = *p == '/' ? '_' : *p;
	status = route_download(c, route, file, kind);
	free(file);
	return status;
}

static int download_model(struct cli *c)
{
	static const struct route route = {"/v2/output/model/download", false, {TASK_OF_ARGS}};

	return download(c, &route, "_model.tar", "tar");
}

static int delete_model(struct cli *c)
{
	static const struct route route = {"/v2/output/model/delete", true, {TASK_OF_ARGS}};

	return route_do(c, &route, "the models of task %s are deleted", c->args[1]);
}

static int download_data(struct cli *c)
{
	static const struct route route = {
	    "/v2/output/data/download", false, {TASK_OF_ARGS, {"output_key", "--key", ROUTE_TEXT}}};

	return download(c, &route, ".tar.gz", "tar, gzip");
}

static int query_data_table(struct cli *c)
{
	static const struct route route = {"/v2/output/data/table", false, {TASK_OF_ARGS}};
	static const char *const heads[] = {"output", "namespace", "name"};
	struct err e = {0};
	json_t *data = route_call(c, &route, &e), *tables, *one;
	const char *key;
	size_t i;

	if (data == NULL)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, data);
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	json_object_foreach (data, key, tables) {
		json_array_foreach (tables, i, one) {
			table_cell(t, key);
			table_cell(t, js_str(one, "namespace", "?"));
			table_cell(t, js_str(one, "name", "?"));
		}
	}
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
	return cmd_done(c, data);
}

static void print_rows(const char *key, size_t index, const json_t *one)
{
	json_t *row;
	size_t i;
	char *clean = text_clean_line(key);

	printf("%s %zu: %lld rows\n", clean, index, (long long)js_int(one, "total", 0));
	free(clean);
	json_array_foreach (json_object_get(one, "data"), i, row) {
		char *text = json_is_string(row) ? NULL : js_dump_str(row);
		clean = text_clean_line(text != NULL ? text : json_string_value(row));
		printf("  %s\n", clean);
		free(clean);
		free(text);
	}
}

static int display_data(struct cli *c)
{
	static const struct route route = {"/v2/output/data/display", false, {TASK_OF_ARGS}};
	struct err e = {0};
	json_t *data = route_call(c, &route, &e), *tables, *one;
	const char *key;
	size_t i;

	if (data == NULL)
		return cli_fail(c, &e);
	if (!c->json) {
		json_object_foreach (data, key, tables)
			json_array_foreach (tables, i, one)
				print_rows(key, i, one);
	}
	return cmd_done(c, data);
}

static const struct cli_opt who_opts[] = {
    {"--role", "ROLE", "guest, host, arbiter or local", false},
    {"--party", "PARTY", "party id", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt model_opts[] = {
    {"--role", "ROLE", "guest, host, arbiter or local", false},
    {"--party", "PARTY", "party id", false},
    {"--out", "FILE", "file to write", false},
    {"--force", NULL, "replace the file", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt data_opts[] = {
    {"--role", "ROLE", "guest, host, arbiter or local", false},
    {"--party", "PARTY", "party id", false},
    {"--key", "KEY", "only this output, e.g. train_output_data", false},
    {"--out", "FILE", "file to write", false},
    {"--force", NULL, "replace the file", false},
    {NULL, NULL, NULL, false},
};

#define JOB "202601312359590000010"
static const struct cli_cmd cmds[] = {
    {"output", "query-metric-key", "JOB TASK", 2, 2, who_opts, "list the metrics of a task", NULL,
     "norn output query-metric-key " JOB " lr_0", query_metric_key},
    {"output", "query-metric", "JOB TASK", 2, 2, who_opts, "list the records of the metrics",
     "As they were recorded; norn metric show draws curves.",
     "norn output query-metric " JOB " lr_0 --json", query_metric},
    {"output", "delete-metric", "JOB TASK", 2, 2, who_opts, "delete the metrics of a task", NULL,
     "norn output delete-metric " JOB " lr_0", delete_metric},
    {"output", "query-model", "JOB TASK", 2, 2, who_opts, "show the models of a task", NULL,
     "norn output query-model " JOB " lr_0 --json", query_model},
    {"output", "download-model", "JOB TASK", 2, 2, model_opts, "fetch the models of a task", NULL,
     "norn output download-model " JOB " lr_0 --out model.tar", download_model},
    {"output", "delete-model", "JOB TASK", 2, 2, who_opts, "delete the models of a task", NULL,
     "norn output delete-model " JOB " lr_0", delete_model},
    {"output", "download-data", "JOB TASK", 2, 2, data_opts, "fetch the data that a task made",
     "A tar.gz archive with <output>/<number>.csv and .meta.",
     "norn output download-data " JOB " psi_0 --out psi.tar.gz", download_data},
    {"output", "query-data-table", "JOB TASK", 2, 2, who_opts, "list the tables that a task made",
     NULL, "norn output query-data-table " JOB " psi_0", query_data_table},
    {"output", "display-data", "JOB TASK", 2, 2, who_opts, "show a few rows of what a task made",
     NULL, "norn output display-data " JOB " psi_0", display_data},
};

const struct cli_group cmds_output = {"output", "metrics, models and data that a task left behind",
				      cmds, sizeof(cmds) / sizeof(cmds[0])};
