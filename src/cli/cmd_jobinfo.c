/* norn job: query, notes, data, dependency, clean-queue. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "base/str.h"
#include "cli/route.h"
#include "cli/text.h"

const struct cli_opt cmd_job_query_opts[] = {
    {"--role", "ROLE", "only with this role", false},
    {"--party", "PARTY", "only of this party id", false},
    {"--status", "STATUS", "only in this status", false},
    {NULL, NULL, NULL, false},
};
const struct cli_opt cmd_job_who_opts[] = {
    {"--role", "ROLE", "guest, host, arbiter or local", false},
    {"--party", "PARTY", "party id", false},
    {NULL, NULL, NULL, false},
};

int cmd_job_query(struct cli *c)
{
	static const struct route route = {"/v2/job/query",
					   false,
					   {{"job_id", "0", ROUTE_JOB},
					    {"role", "--role", ROUTE_ROLE},
					    {"party_id", "--party", ROUTE_PARTY},
					    {"status", "--status", ROUTE_STATUS}}};
	static const struct column cols[] = {
	    {"job", "job_id", CELL_TEXT},
	    {"party", NULL, CELL_PARTY},
	    {"status", "status", CELL_TEXT},
	    {">done", "progress", CELL_PERCENT},
	    {"submitted", "create_time", CELL_TIME},
	    {"started", "start_time", CELL_TIME},
	    {"ended", "end_time", CELL_TIME},
	    {">elapsed", "elapsed", CELL_ELAPSED},
	    {"model", "model_id", CELL_TEXT},
	    {"version", "model_version", CELL_TEXT},
	    {"notes", "description", CELL_TEXT},
	};

	if (c->n_args == 0 && c->n_opts == 0)
		return cli_usage(c, "give a job, --role, --party or --status");
	return route_table(c, &route, cols, ARRAY_LEN(cols));
}

int cmd_job_notes(struct cli *c)
{
	static const struct route route = {
	    "/v2/job/notes/add",
	    true,
	    {{"job_id", "0", ROUTE_JOB}, {"notes", "1", ROUTE_TEXT}, {"who", "", ROUTE_WHO}}};

	return route_do(c, &route, "job %s: noted", c->args[0]);
}

int cmd_job_data(struct cli *c)
{
	static const struct route route = {
	    "/v2/job/data/view", false, {{"job_id", "0", ROUTE_JOB}, {"who", "", ROUTE_WHO}}};
	static const char *const heads[] = {"party", "namespace", "name"};
	struct err e = {0};
	json_t *data = route_call(c, &route, &e), *parties, *tables, *one;
	const char *role, *party;
	size_t i;

	if (data == NULL)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, data);
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	json_object_foreach (json_object_get(data, "data_view"), role, parties) {
		json_object_foreach (parties, party, tables) {
			json_array_foreach (tables, i, one) {
				table_cellf(t, "%s %s", role, party);
				table_cell(t, js_str(one, "namespace", "?"));
				table_cell(t, js_str(one, "name", "?"));
			}
		}
	}
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
	return cmd_done(c, data);
}

int cmd_job_dependency(struct cli *c)
{
	static const struct route route = {
	    "/v2/job/dag/dependency", false, {{"job_id", "0", ROUTE_JOB}, {"who", "", ROUTE_WHO}}};
	static const char *const heads[] = {"task", "component", "stage", "reads"};
	struct err e = {0};
	json_t *data = route_call(c, &route, &e), *name, *in;
	size_t i, k;

	if (data == NULL)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, data);
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	json_array_foreach (json_object_get(data, "component_list"), i, name) {
		const char *task = json_is_string(name) ? json_string_value(name) : "?";
		struct buf reads = {0};

		json_array_foreach (json_object_get(json_object_get(data, "dependencies"), task), k,
				    in) {
			if (js_str(in, "component_name", NULL) != NULL)
				buf_printf(&reads, "%s%s of %s", reads.len > 0 ? ", " : "",
					   js_str(in, "type", "?"),
					   js_str(in, "component_name", "?"));
		}
		table_cell(t, task);
		table_cell(t, js_str(json_object_get(data, "component_module"), task, ""));
		table_cell(t, js_str(json_object_get(data, "component_stage"), task, ""));
		table_cell(t, buf_str(&reads));
		buf_free(&reads);
	}
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
	return cmd_done(c, data);
}

int cmd_job_clean_queue(struct cli *c)
{
	static const struct route route = {"/v2/job/queue/clean", true, {{NULL, NULL, 0}}};
	struct err e = {0};
	json_t *data = route_call(c, &route, &e), *v;
	const char *job;

	if (data == NULL)
		return cli_fail(c, &e);
	if (!c->json) {
		json_object_foreach (data, job, v)
			printf("job %s: %s\n", job,
			       js_int(v, "code", 0) == 0 ? "stopped" : js_str(v, "message", "?"));
		if (json_object_size(data) == 0)
			puts("no job waits");
	}
	return cmd_done(c, data);
}
