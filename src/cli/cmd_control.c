/* norn job: rerun, suspend, resume, timing, clean; and how a dry run is shown. */
#include "config.h"
#include "cli/cmds.h"
#include "base/clock.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/names.h"
#include "cli/progress.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BEGUN_WAIT_MS  20000 /* for the rerun to be known at this site */
#define BEGUN_PAUSE_MS 50
#define CLEAN_CALL_MS  60000 /* a job that runs is stopped first */

const struct cli_opt cmd_rerun_opts[] = {
    {"--all", NULL, "every task, also those that have succeeded", false},
    {"--from", "TASK", "this task and all behind it, besides what has not succeeded", false},
    {"--set", "TASK.PARAM=VALUE", "run with another parameter", true},
    {"--watch", NULL, "show progress until the job ends", false},
    {NULL, NULL, NULL, false},
};

/* ---- rerun ---- */

/* {task: {parameter: value}} of all --set; NULL on a mistake. */
static json_t *read_parameters(const struct cli *c, struct err *e)
{
	json_t *root = json_pack("{s:{}}", "dag");
	const char *set;
	int pos = 0;

	while ((set = cli_next_value(c, "--set", &pos)) != NULL) {
		const char *eq = strchr(set, '=');
		const char *dot = eq == NULL ? NULL : memchr(set, '.', (size_t)(eq - set));
		bool ok = dot != NULL && dot > set && dot + 1 < eq &&
			  memchr(dot + 1, '.', (size_t)(eq - dot - 1)) == NULL;
		if (!ok) {
			err_set(e, ERR_USAGE, "--set wants TASK.PARAM=VALUE, not '%.60s'", set);
		} else {
			char *path = mem_printf("dag.%s", set);
			ok = jobfile_set(root, path, e);
			free(path);
		}
		if (!ok) {
			json_decref(root);
			return NULL;
		}
	}
	json_t *parameters = json_incref(json_object_get(root, "dag"));
	json_decref(root);
	return parameters;
}

static json_t *rerun_body(const struct cli *c, struct err *e)
{
	const char *from = cli_value(c, "--from");
	json_t *parameters;
	const char *task;
	json_t *v;

	if (!names_job(c->args[0], e) || (from != NULL && !names_task(from, e)))
		return NULL;
	parameters = read_parameters(c, e);
	if (parameters == NULL)
		return NULL;
	json_object_foreach (parameters, task, v) {
		if (!names_task(task, e)) {
			json_decref(parameters);
			return NULL;
		}
	}
	json_t *body =
	    json_pack("{s:s, s:b}", "job_id", c->args[0], "all", cli_flag(c, "--all") ? 1 : 0);
	if (from != NULL)
		json_object_set_new(body, "from", json_string(from));
	if (json_object_size(parameters) > 0)
		json_object_set(body, "parameters", parameters);
	json_decref(parameters);
	return body;
}

/* When the job ended last, as this site knows it; 0: it has not. */
static bool ended_at(struct cli *c, int64_t *end_ms, struct err *e)
{
	const char *query[] = {"job_id", c->args[0], NULL};
	json_t *data = call_get_data(c, "/v2/job/progress", query, e);

	if (data == NULL)
		return false;
	*end_ms = js_int(json_object_get(data, "job"), "end_ms", 0);
	json_decref(data);
	return true;
}

/* Another site may schedule the job: its parties here learn of the rerun a little later. */
static bool wait_begun(struct cli *c, int64_t before_ms, struct err *e)
{
	int64_t deadline_ms = clock_mono_ms() + BEGUN_WAIT_MS;
	int64_t end_ms = before_ms;

	while (ended_at(c, &end_ms, e)) {
		if (end_ms != before_ms)
			return true;
		if (clock_mono_ms() > deadline_ms)
			return err_set(e, ERR_TIMEOUT, "this site has not heard of the rerun yet");
		usleep(BEGUN_PAUSE_MS * 1000);
	}
	return false;
}

static int watch(struct cli *c, int64_t before_ms)
{
	const char *job = c->args[0];
	json_t *final = NULL;
	struct err e = {0};

	if (!wait_begun(c, before_ms, &e))
		return cli_fail(c, &e);
	int status = progress_watch(c, job, c->json, 0, &final);
	if (c->json && final != NULL)
		cli_print_json(final);
	else if (status == CLI_OK)
		printf("job %s ended with success\n", job);
	else if (status != PROGRESS_INTERRUPTED && final != NULL)
		why_after_failure(c, job);
	json_decref(final);
	return status;
}

int cmd_rerun(struct cli *c)
{
	bool watched = cli_flag(c, "--watch");
	int64_t before_ms = 0;
	struct err e = {0};
	json_t *body, *data;

	if (cli_flag(c, "--all") && cli_value(c, "--from") != NULL)
		return cli_usage(c, "--all runs every task: --from says nothing besides");
	body = rerun_body(c, &e);
	if (body == NULL)
		return cli_fail(c, &e);
	if (watched && !ended_at(c, &before_ms, &e)) {
		json_decref(body);
		return cli_fail(c, &e);
	}
	data = call_post_data(c, "/v2/job/rerun", body, &e);
	json_decref(body);
	if (data == NULL)
		return cli_fail(c, &e);
	int64_t n = js_int(data, "tasks", 0);
	if (!c->json && n == 0)
		printf("job %s: every task has succeeded, nothing runs again; --all or --from TASK "
		       "makes it\n",
		       c->args[0]);
	else if (!c->json)
		printf("job %s: %lld task%s run%s again\n", c->args[0], (long long)n,
		       n == 1 ? "" : "s", n == 1 ? "s" : "");
	if (watched && n > 0) {
		json_decref(data);
		fflush(stdout);
		return watch(c, before_ms);
	}
	return cmd_done(c, data);
}

/* ---- suspend, resume, clean ---- */

static int one_call(struct cli *c, const char *path, const char *done)
{
	struct err e = {0};
	json_t *body, *data;

	if (!names_job(c->args[0], &e))
		return cli_fail(c, &e);
	body = json_pack("{s:s}", "job_id", c->args[0]);
	data = call_post_data(c, path, body, &e);
	json_decref(body);
	if (data == NULL)
		return cli_fail(c, &e);
	const char *status = js_str(data, "status", "");
	if (!c->json && progress_is_end(status))
		printf("job %s has ended already: %s\n", c->args[0], status);
	else if (!c->json)
		printf("job %s: %s\n", c->args[0], done);
	return cmd_done(c, data);
}

int cmd_suspend(struct cli *c)
{
	return one_call(c, "/v2/job/suspend",
			"suspended; what runs goes on, nothing new is started");
}

int cmd_resume(struct cli *c)
{
	return one_call(c, "/v2/job/resume", "resumed");
}

int cmd_clean(struct cli *c)
{
	if (c->timeout_ms == 0)
		c->timeout_ms = CLEAN_CALL_MS;
	return one_call(c, "/v2/job/clean",
			"deleted at this site, with its outputs, metrics and models");
}

/* ---- timing ---- */

static void span_cell(struct table *t, const json_t *row, const char *key)
{
	int64_t ms = js_int(row, key, -1);
	char text[32] = "-";

	if (ms >= 0 && ms < 1000)
		snprintf(text, sizeof(text), "%lld ms", (long long)ms);
	else if (ms >= 0)
		text_elapsed(ms, text, sizeof(text));
	table_cell(t, text);
}

static void span_cells(struct table *t, const json_t *row)
{
	span_cell(t, row, "queued_ms");
	span_cell(t, row, "sent_ms");
	span_cell(t, row, "ran_ms");
	span_cell(t, row, "reported_ms");
}

int cmd_timing(struct cli *c)
{
	static const char *const heads[] = {"task",    "party", ">attempt", "status",
					    ">queued", ">sent", ">ran",     ">reported"};
	const char *query[] = {"job_id", c->args[0], NULL};
	struct err e = {0};
	json_t *data, *row;
	size_t i;

	if (!names_job(c->args[0], &e))
		return cli_fail(c, &e);
	data = call_get_data(c, "/v2/job/timing", query, &e);
	if (data == NULL)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, data);
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	json_array_foreach (json_object_get(data, "runs"), i, row) {
		table_cell(t, js_str(row, "task_name", "?"));
		table_cellf(t, "%s %s", js_str(row, "role", "?"), js_str(row, "party_id", "?"));
		table_cellf(t, "%lld", (long long)js_int(row, "attempt", 0));
		table_cell(t, js_str(row, "status", "?"));
		span_cells(t, row);
	}
	table_cell(t, "all");
	table_cell(t, "");
	table_cell(t, "");
	table_cell(t, "");
	span_cells(t, json_object_get(data, "totals"));
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
	const json_t *job = json_object_get(data, "job");
	char waited[32], reserved[32], elapsed[32];
	text_elapsed(js_int(job, "waited_ms", 0), waited, sizeof(waited));
	text_elapsed(js_int(job, "elapsed_ms", 0), elapsed, sizeof(elapsed));
	printf("%s after %s, of which %s before its first start", js_str(job, "status", "?"),
	       elapsed, waited);
	if (json_is_integer(json_object_get(job, "reserved_ms"))) {
		text_elapsed(js_int(job, "reserved_ms", 0), reserved, sizeof(reserved));
		printf(" (%s of it to get its resources)", reserved);
	}
	putchar('\n');
	return cmd_done(c, data);
}

/* ---- a dry run ---- */

static void plan_parties(const struct cli *c, const json_t *plan)
{
	static const char *const heads[] = {"party", "site", ">cores", ">memory"};
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	json_t *p;
	size_t i;

	json_array_foreach (json_object_get(plan, "parties"), i, p) {
		table_cellf(t, "%s %s", js_str(p, "role", "?"), js_str(p, "party_id", "?"));
		table_cell(t, js_bool(p, "local", false) ? "this one" : js_str(p, "url", "?"));
		table_cellf(t, "%lld", (long long)js_int(p, "cores", 0));
		table_cellf(t, "%lld MiB", (long long)js_int(p, "memory_mb", 0));
	}
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
}

static bool is_inherited(const json_t *plan, const char *task)
{
	json_t *v;
	size_t i;

	json_array_foreach (js_get(plan, "inherits.task_list"), i, v) {
		if (str_eq(json_string_value(v), task))
			return true;
	}
	return false;
}

static void plan_tasks(const struct cli *c, const json_t *plan)
{
	static const char *const heads[] = {"task", "component", "after", "runs at"};
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	json_t *task, *v;
	size_t i, k;

	json_array_foreach (json_object_get(plan, "tasks"), i, task) {
		struct buf after = {0}, where = {0};
		json_array_foreach (json_object_get(task, "depends_on"), k, v)
			buf_printf(&after, "%s%s", k > 0 ? ", " : "", json_string_value(v));
		if (is_inherited(plan, js_str(task, "task_name", "")))
			buf_printf(&where, "nowhere: taken over from job %s",
				   js_str(json_object_get(plan, "inherits"), "job_id", "?"));
		else
			json_array_foreach (json_object_get(task, "parties"), k, v)
				buf_printf(&where, "%s%s %s (%s, %lld cores)", k > 0 ? ", " : "",
					   js_str(v, "role", "?"), js_str(v, "party_id", "?"),
					   js_str(v, "provider", "?"),
					   (long long)js_int(v, "cores", 0));
		table_cell(t, js_str(task, "task_name", "?"));
		table_cell(t, js_str(task, "component", "?"));
		table_cell(t, buf_str(&after));
		table_cell(t, buf_str(&where));
		buf_free(&after);
		buf_free(&where);
	}
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
}

void plan_print(const struct cli *c, const json_t *plan)
{
	const json_t *waits = json_object_get(plan, "waits_for");
	json_t *v;
	size_t i;

	plan_parties(c, plan);
	putchar('\n');
	plan_tasks(c, plan);
	printf("\nscheduled by party %s", js_str(plan, "scheduler_party_id", "?"));
	if (json_array_size(waits) == 0) {
		puts("; it would wait for nothing");
		return;
	}
	puts("; it would wait for:");
	json_array_foreach (waits, i, v) {
		char *line = text_clean_line(json_string_value(v));
		printf("  %s\n", line);
		free(line);
	}
}
