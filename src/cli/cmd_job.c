/* norn job: submit, check, list, show, stop, wait, events. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/names.h"
#include "cli/progress.h"
#include "cli/text.h"
#include <stdlib.h>
#include <time.h>

static const char *const statuses[] = {"waiting", "ready",    "running", "success",
				       "failed",  "canceled", "timeout"};

static int job_submit(struct cli *c)
{
	bool plan = cli_flag(c, "--plan");
	struct err e = {0};
	json_t *env = jobfile_submit(c, plan, &e);

	if (env == NULL)
		return cli_fail(c, &e);
	if (!c->json && plan)
		plan_print(c, json_object_get(env, "data"));
	else if (!c->json)
		puts(js_str(env, "job_id", ""));
	return cmd_done(c, env);
}

static int job_check(struct cli *c)
{
	struct err e = {0};
	size_t tasks = 0, parties = 0;
	json_t *root = jobfile_load(c, c->args[0], &e);
	bool ok;

	if (root == NULL)
		return cli_fail(c, &e);
	ok = jobfile_check(root, NULL, &tasks, &parties, &e);
	json_decref(root);
	if (!ok) {
		(void)err_prefix(&e, "%s", c->args[0]);
		return cli_fail(c, &e);
	}
	if (c->json)
		return cmd_done(c, json_pack("{s:b, s:I, s:I}", "ok", 1, "tasks", (json_int_t)tasks,
					     "parties", (json_int_t)parties));
	printf("%s: good, %zu tasks, %zu parties\n", c->args[0], tasks, parties);
	return CLI_OK;
}

static void add_job_row(struct table *t, const json_t *job)
{
	char when[32], took[32];
	int64_t elapsed = js_int(job, "elapsed", -1), start = js_int(job, "start_time", 0);

	if (elapsed < 0 && start > 0 && str_eq(js_str(job, "status", ""), "running"))
		elapsed = (int64_t)time(NULL) * 1000 - start;
	text_time(js_int(job, "create_time", 0), when, sizeof(when));
	text_elapsed(elapsed, took, sizeof(took));
	table_cell(t, js_str(job, "job_id", "?"));
	table_cellf(t, "%s %s", js_str(job, "role", "?"), js_str(job, "party_id", "?"));
	table_cell(t, js_str(job, "status", "?"));
	table_cellf(t, "%lld %%", (long long)js_int(job, "progress", 0));
	table_cell(t, when);
	table_cell(t, took);
	table_cell(t, js_str(job, "description", ""));
}

static int job_list(struct cli *c)
{
	static const char *const heads[] = {"job",       "party",    "status", ">done",
					    "submitted", ">elapsed", "notes"};
	const char *status = cli_value(c, "--status"), *party = cli_value(c, "--party"),
		   *role = cli_value(c, "--role");
	const char *order_by = cli_value(c, "--order-by"), *partner = cli_value(c, "--partner");
	const char *order = cli_flag(c, "--ascending") ? "asc" : "desc";
	int64_t limit = 20, page = 1;
	char limit_text[24], page_text[24];
	struct err e = {0};
	json_t *data, *job;
	struct table *t;
	size_t i;

	if (!cli_int(c, "--limit", 1, 100000, &limit, &e) ||
	    !cli_int(c, "--page", 1, 1000000, &page, &e) ||
	    (party != NULL && !names_party(party, &e)) ||
	    (partner != NULL && !names_party(partner, &e)) ||
	    (role != NULL && !names_role(role, &e)))
		return cli_fail(c, &e);
	for (i = 0; status != NULL && i < ARRAY_LEN(statuses) && !str_eq(status, statuses[i]); i++)
		;
	if (status != NULL && i == ARRAY_LEN(statuses))
		return cli_usage(c, "--status is one of waiting, ready, running, success, failed, "
				    "canceled, timeout");
	snprintf(limit_text, sizeof(limit_text), "%lld", (long long)limit);
	snprintf(page_text, sizeof(page_text), "%lld", (long long)page);
	const char *query[] = {"limit",       limit_text,
			       "page",        page_text,
			       "status",      status,
			       "role",        role,
			       "party_id",    party,
			       "partner",     partner,
			       "job_id",      cli_value(c, "--job"),
			       "description", cli_value(c, "--notes"),
			       "order_by",    order_by,
			       "order",       order_by != NULL ? order : NULL,
			       NULL};
	data = call_get_data(c, "/v2/job/list/query", query, &e);
	if (data == NULL)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, data);
	t = table_new(heads, ARRAY_LEN(heads));
	json_array_foreach (json_object_get(data, "data"), i, job)
		add_job_row(t, job);
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	if (js_int(data, "count", 0) > (int64_t)table_rows(t))
		printf("%lld in all (--limit, --page)\n", (long long)js_int(data, "count", 0));
	table_free(t);
	return cmd_done(c, data);
}

static int job_show(struct cli *c)
{
	const char *query[] = {"job_id", c->args[0], NULL};
	struct err e = {0};
	json_t *data, *rows, *row;
	const char *reason;
	char when[32];

	if (!names_job(c->args[0], &e))
		return cli_fail(c, &e);
	data = call_get_data(c, "/v2/job/progress", query, &e);
	if (data == NULL)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, data);
	progress_print(c, data);
	reason = js_str(json_object_get(data, "job"), "reason", "");
	if (reason[0] != '\0') {
		char *clean = text_clean_line(reason);

		printf("reason     %s\n", clean);
		free(clean);
	}
	text_time(js_int(json_object_get(data, "job"), "submitted_ms", 0), when, sizeof(when));
	if (when[0] != '\0')
		printf("submitted  %s\n", when);
	json_decref(data);
	rows = call_get_data(c, "/v2/job/query", query, &e);
	row = json_array_get(rows, 0);
	if (row != NULL)
		printf("model      --set dag.conf.model_warehouse.model_id=%s "
		       "--set dag.conf.model_warehouse.model_version=%s\n",
		       js_str(row, "model_id", ""), js_str(row, "model_version", ""));
	json_decref(rows);
	return CLI_OK;
}

static int job_stop(struct cli *c)
{
	json_t *body, *env;
	struct err e = {0};

	if (!names_job(c->args[0], &e))
		return cli_fail(c, &e);
	body = json_pack("{s:s}", "job_id", c->args[0]);
	env = call_post(c, "/v2/job/stop", body, &e);
	json_decref(body);
	if (env == NULL)
		return cli_fail(c, &e);
	if (!c->json)
		printf("job %s: stop was ordered\n", c->args[0]);
	return cmd_done(c, env);
}

static int job_wait(struct cli *c)
{
	int64_t seconds = 0;
	struct err e = {0};
	json_t *final = NULL;
	int status;

	if (!names_job(c->args[0], &e) || !cli_int(c, "--for", 1, 31536000, &seconds, &e))
		return cli_fail(c, &e);
	status = progress_watch(c, c->args[0], c->json || cli_flag(c, "--quiet"), seconds * 1000,
				&final);
	if (c->json && final != NULL)
		cli_print_json(final);
	else if (!cli_flag(c, "--quiet") && final != NULL &&
		 progress_is_end(js_str(json_object_get(final, "job"), "status", "")))
		printf("job %s ended: %s\n", c->args[0],
		       js_str(json_object_get(final, "job"), "status", ""));
	json_decref(final);
	return status;
}

static void add_event_row(struct table *t, const json_t *ev)
{
	char when[32];

	text_time(js_int(ev, "at_ms", 0), when, sizeof(when));
	table_cellf(t, "%lld", (long long)js_int(ev, "id", 0));
	table_cell(t, when);
	table_cell(t, js_str(ev, "object", ""));
	table_cell(t, js_str(ev, "task_name", ""));
	table_cellf(t, "%s %s", js_str(ev, "role", ""), js_str(ev, "party_id", ""));
	table_cellf(t, "%s%s%s", js_str(ev, "from", ""),
		    js_str(ev, "from", NULL) != NULL ? " > " : "", js_str(ev, "to", ""));
	table_cell(t, js_str(ev, "reason", ""));
	table_cell(t, js_str(ev, "actor", ""));
	table_cell(t, js_str(ev, "detail", ""));
}

static int job_events(struct cli *c)
{
	static const char *const heads[] = {">event", "at",     "what",  "task",  "party",
					    "change", "reason", "actor", "detail"};
	int64_t after = 0, limit = 1000;
	char after_text[24], limit_text[24];
	struct err e = {0};
	json_t *events, *ev;
	struct table *t;
	size_t i;

	if (!names_job(c->args[0], &e) || !cli_int(c, "--after", 0, INT64_MAX, &after, &e) ||
	    !cli_int(c, "--limit", 1, 1000, &limit, &e))
		return cli_fail(c, &e);
	snprintf(after_text, sizeof(after_text), "%lld", (long long)after);
	snprintf(limit_text, sizeof(limit_text), "%lld", (long long)limit);
	const char *query[] = {"job_id", c->args[0], "after", after_text,
			       "limit",  limit_text, NULL};
	events = call_get_data(c, "/v2/job/events", query, &e);
	if (events == NULL)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, events);
	t = table_new(heads, ARRAY_LEN(heads));
	json_array_foreach (events, i, ev)
		add_event_row(t, ev);
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
	return cmd_done(c, events);
}

static const struct cli_opt submit_opts[] = {
    {"--set", "PATH=VALUE", "change a value of the job file (below dag)", true},
    {"--key", "KEY", "the same key never submits a second job", false},
    {"--plan", NULL, "only say what would run where, and what it would wait for", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt check_opts[] = {
    {"--set", "PATH=VALUE", "change a value of the job file (below dag)", true},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt list_opts[] = {
    {"--status", "STATUS", "only jobs in this status", false},
    {"--role", "ROLE", "only jobs in which this site has the role", false},
    {"--party", "PARTY", "only jobs of this party id", false},
    {"--job", "TEXT", "only jobs whose id contains this", false},
    {"--notes", "TEXT", "only jobs whose notes contain this", false},
    {"--partner", "PARTY", "only jobs with this other party", false},
    {"--limit", "N", "at most so many, the newest first (20)", false},
    {"--page", "N", "the page, from 1 (1)", false},
    {"--order-by", "FIELD", "create_time, start_time, end_time, status, elapsed, ..", false},
    {"--ascending", NULL, "with --order-by: the smallest first", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt wait_opts[] = {
    {"--for", "SECONDS", "give up after this time (status 6)", false},
    {"--quiet", NULL, "show nothing", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt events_opts[] = {
    {"--after", "EVENT", "only what came after this event", false},
    {"--limit", "N", "at most so many (1000)", false},
    {NULL, NULL, NULL, false},
};

static const struct cli_cmd cmds[] = {
    {"job", "submit", "FILE", 1, 1, submit_opts, "submit a job and print its id",
     "Checks the file first. Prints the job id alone on a line.",
     "norn job submit job.yaml\n"
     "norn job submit job.yaml --plan",
     job_submit},
    {"job", "check", "FILE", 1, 1, check_opts, "check a job file without a node",
     "Says the path of the first mistake, what is wrong and what would be right.",
     "norn job check job.yaml", job_check},
    {"job", "list", "", 0, 0, list_opts, "list the jobs in which this site takes part", NULL,
     "norn job list --status running", job_list},
    {"job", "show", "JOB", 1, 1, NULL, "show the tasks of a job at every party", NULL,
     "norn job show 202601312359590000010", job_show},
    {"job", "stop", "JOB", 1, 1, NULL, "stop a job at every party",
     "Any site that takes part can stop a job. Stopping an ended job changes nothing.",
     "norn job stop 202601312359590000010", job_stop},
    {"job", "wait", "JOB", 1, 1, wait_opts, "watch a job until it ends",
     "The exit status is the job's: 0 success, 1 failed, 5 canceled, 6 timeout; 130 after Ctrl-C.",
     "norn job wait 202601312359590000010 --for 600", job_wait},
    {"job", "events", "JOB", 1, 1, events_opts, "list everything that happened to a job", NULL,
     "norn job events 202601312359590000010", job_events},
    {"job", "timing", "JOB", 1, 1, NULL, "show how long each run waited and ran",
     "queued: from when the task could have run to the decision to start it; sent: until a node "
     "had\n"
     "taken it; ran: until its process had ended; reported: until the scheduler had drawn its\n"
     "conclusion. Of a party elsewhere, sent ends when its word of the start came. A line is what "
     "this\n"
     "site knows: - stands for what it cannot.",
     "norn job timing 202601312359590000010", cmd_timing},
    {"job", "rerun", "JOB", 1, 1, cmd_rerun_opts, "run the failed part of a job again",
     "Tasks that have succeeded keep their outputs and are not run, unless --all or --from says "
     "so.\n"
     "Each task that runs again gets a new attempt. A job that has not ended is refused.\n"
     "With --watch the exit status is the job's, as of norn run.",
     "norn job rerun 202601312359590000010 --watch\n"
     "norn job rerun 202601312359590000010 --from lr_0 --set lr_0.epochs=5",
     cmd_rerun},
    {"job", "suspend", "JOB", 1, 1, NULL, "start nothing new of a job",
     "Tasks that run go on; the job keeps the cores it holds.",
     "norn job suspend 202601312359590000010", cmd_suspend},
    {"job", "resume", "JOB", 1, 1, NULL, "go on with a suspended job", NULL,
     "norn job resume 202601312359590000010", cmd_resume},
    {"job", "clean", "JOB", 1, 1, NULL, "delete a job at this site",
     "With its outputs, metrics, models, logs and work files; its history stays until retention. A "
     "job\n"
     "that runs is stopped first, everywhere. What other jobs have taken over stays.",
     "norn job clean 202601312359590000010", cmd_clean},
    {"job", "query", "[JOB]", 0, 1, cmd_job_query_opts, "show the records of jobs at this site",
     "One line for each role that this site has in the job.",
     "norn job query 202601312359590000010", cmd_job_query},
    {"job", "notes", "JOB TEXT", 2, 2, cmd_job_who_opts, "write notes on a job",
     "Shown by norn job list. A new text replaces the old one.",
     "norn job notes 202601312359590000010 'the one for the paper'", cmd_job_notes},
    {"job", "data", "JOB", 1, 1, cmd_job_who_opts, "list the tables that a job reads", NULL,
     "norn job data 202601312359590000010", cmd_job_data},
    {"job", "dependency", "JOB", 1, 1, cmd_job_who_opts, "show which task reads from which", NULL,
     "norn job dependency 202601312359590000010", cmd_job_dependency},
    {"job", "clean-queue", "", 0, 0, NULL, "stop every job of this site that waits",
     "What runs goes on.", "norn job clean-queue", cmd_job_clean_queue},
};

const struct cli_group cmds_job = {"job", "jobs: submit, watch, stop, run again", cmds,
				   sizeof(cmds) / sizeof(cmds[0])};
