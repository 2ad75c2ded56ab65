/* norn task: the tasks of a job at this site's parties. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "cli/call.h"
#include "cli/names.h"
#include "cli/text.h"

static int task_list(struct cli *c)
{
	static const char *const heads[] = {"task",   "component", "party", ">attempt",
					    "status", ">elapsed",  "reason"};
	const char *role = cli_value(c, "--role"), *party = cli_value(c, "--party");
	const char *query[] = {"job_id", c->args[0], "role", role, "party_id", party, NULL};
	struct err e = {0};
	json_t *rows, *row;
	struct table *t;
	char took[32];
	size_t i;

	if (!names_job(c->args[0], &e) || (role != NULL && !names_role(role, &e)) ||
	    (party != NULL && !names_party(party, &e)))
		return cli_fail(c, &e);
	rows = call_get_data(c, "/v2/job/task/query", query, &e);
	if (rows == NULL)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, rows);
	t = table_new(heads, ARRAY_LEN(heads));
	json_array_foreach (rows, i, row) {
		text_elapsed(js_int(row, "elapsed", -1), took, sizeof(took));
		table_cell(t, js_str(row, "task_name", "?"));
		table_cell(t, js_str(row, "component", "?"));
		table_cellf(t, "%s %s", js_str(row, "role", "?"), js_str(row, "party_id", "?"));
		table_cellf(t, "%lld", (long long)js_int(row, "task_version", 0));
		table_cell(t, js_str(row, "party_status", js_str(row, "status", "?")));
		table_cell(t, took);
		table_cell(t, js_str(row, "error_report", ""));
	}
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
	return cmd_done(c, rows);
}

static const struct cli_opt list_opts[] = {
    {"--role", "ROLE", "only of this role", false},
    {"--party", "PARTY", "only of this party id", false},
    {NULL, NULL, NULL, false},
};

static const struct cli_cmd cmds[] = {
    {"task", "list", "JOB", 1, 1, list_opts, "list the tasks of a job at this site",
     "The last attempt of each. norn job show has the other parties, too.",
     "norn task list 202601312359590000010", task_list},
};

const struct cli_group cmds_task = {"task", "tasks of a job", cmds, sizeof(cmds) / sizeof(cmds[0])};
