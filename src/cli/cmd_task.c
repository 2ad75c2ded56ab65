/* norn task: the tasks of a job at this site's parties. */
#include "config.h"
#include "cli/cmds.h"
#include "cli/route.h"

static const struct column cols[] = {
    {"task", "task_name", CELL_TEXT},
    {"component", "component", CELL_TEXT},
    {"party", NULL, CELL_PARTY},
    {">attempt", "task_version", CELL_INT},
    {"status", "party_status", CELL_TEXT},
    {">elapsed", "elapsed", CELL_ELAPSED},
    {"provider", "provider_name", CELL_TEXT},
    {"reason", "error_report", CELL_TEXT},
};
static const struct column cols_of_many[] = {
    {"job", "job_id", CELL_TEXT},          {"task", "task_name", CELL_TEXT},
    {"party", NULL, CELL_PARTY},           {">attempt", "task_version", CELL_INT},
    {"status", "party_status", CELL_TEXT}, {"submitted", "create_time", CELL_TIME},
    {">elapsed", "elapsed", CELL_ELAPSED}, {"reason", "error_report", CELL_TEXT},
};

static int task_list(struct cli *c)
{
	static const struct route latest = {"/v2/job/task/query",
					    false,
					    {{"job_id", "0", ROUTE_JOB},
					     {"role", "--role", ROUTE_ROLE},
					     {"party_id", "--party", ROUTE_PARTY}}};
	static const struct route all = {"/v2/job/task/list/query",
					 false,
					 {{"job_id", "0", ROUTE_JOB},
					  {"role", "--role", ROUTE_ROLE},
					  {"party_id", "--party", ROUTE_PARTY},
					  {"task_name", "--task", ROUTE_TASK},
					  {"limit", "--limit", ROUTE_INT},
					  {"page", "--page", ROUTE_INT}}};

	if (cli_flag(c, "--all"))
		return route_table(c, &all, cols, ARRAY_LEN(cols));
	if (cli_flag(c, "--limit") || cli_flag(c, "--page") || cli_flag(c, "--task"))
		return cli_usage(c, "--task, --limit and --page go with --all");
	return route_table(c, &latest, cols, ARRAY_LEN(cols));
}

static int task_query(struct cli *c)
{
	static const struct route route = {"/v2/job/task/query",
					   false,
					   {{"job_id", "--job", ROUTE_JOB},
					    {"role", "--role", ROUTE_ROLE},
					    {"party_id", "--party", ROUTE_PARTY},
					    {"status", "--status", ROUTE_STATUS},
					    {"task_name", "--task", ROUTE_TASK},
					    {"task_id", "--id", ROUTE_TEXT},
					    {"task_version", "--attempt", ROUTE_INT}}};

	if (c->n_opts == 0)
		return cli_usage(c, "give at least one of the options");
	return route_table(c, &route, cols_of_many, ARRAY_LEN(cols_of_many));
}

static int task_show(struct cli *c)
{
	static const struct route route = {"/v2/job/task/query",
					   false,
					   {{"job_id", "0", ROUTE_JOB},
					    {"task_name", "1", ROUTE_TASK},
					    {"role", "--role", ROUTE_ROLE},
					    {"party_id", "--party", ROUTE_PARTY},
					    {"task_version", "--attempt", ROUTE_INT}}};

	return route_outline(c, &route);
}

static const struct cli_opt list_opts[] = {
    {"--role", "ROLE", "only of this role", false},
    {"--party", "PARTY", "only of this party id", false},
    {"--all", NULL, "every attempt, the newest first", false},
    {"--task", "TASK", "with --all: only of this task", false},
    {"--limit", "N", "with --all: so many rows a page (all)", false},
    {"--page", "N", "with --all: this page, from 1 (1)", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt query_opts[] = {
    {"--job", "JOB", "only of this job", false},
    {"--role", "ROLE", "only of this role", false},
    {"--party", "PARTY", "only of this party id", false},
    {"--status", "STATUS", "only in this status", false},
    {"--task", "TASK", "only of this name", false},
    {"--id", "ID", "only with this task id", false},
    {"--attempt", "N", "only this attempt, from 0", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt show_opts[] = {
    {"--role", "ROLE", "only of this role", false},
    {"--party", "PARTY", "only of this party id", false},
    {"--attempt", "N", "only this attempt, from 0", false},
    {NULL, NULL, NULL, false},
};

static const struct cli_cmd cmds[] = {
    {"task", "list", "JOB", 1, 1, list_opts, "list the tasks of a job at this site",
     "The last attempt of each, unless --all is given. norn job show has the other parties, too.",
     "norn task list 202601312359590000010\n"
     "norn task list 202601312359590000010 --all --task lr_0",
     task_list},
    {"task", "show", "JOB TASK", 2, 2, show_opts, "show all that is known of a task",
     "Status, times, process, provider, exit code and error at each party of this site.",
     "norn task show 202601312359590000010 lr_0", task_show},
    {"task", "query", "", 0, 0, query_opts, "find tasks of all jobs", NULL,
     "norn task query --status running", task_query},
};

const struct cli_group cmds_task = {"task", "tasks of a job", cmds, sizeof(cmds) / sizeof(cmds[0])};
