/* norn log: read and follow logs. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/names.h"
#include "cli/text.h"
#include <string.h>

#define FOLLOW_WAIT_MS 20000

const struct cli_opt cmd_log_opts[] = {
    {"--role", "ROLE", "guest, host, arbiter or local", false},
    {"--party", "PARTY", "party id", false},
    {"--stdout", NULL, "what the component printed", false},
    {"--stderr", NULL, "the component's error output", false},
    {"--schedule", NULL, "the scheduler's log of the job", false},
    {"--attempt", "N", "of the task, instead of the last", false},
    {"-f", NULL, "go on as the log grows, until the task or job ends", false},
    {NULL, NULL, NULL, false},
};

static void print_text(const struct cli *c, const char *text)
{
	struct buf clean = {0};

	if (!c->out_tty) {
		fputs(text, stdout);
	} else {
		text_clean(&clean, text, strlen(text));
		fputs(buf_str(&clean), stdout);
		buf_free(&clean);
	}
	fflush(stdout);
}

/* Where the parameters that change from call to call stand in the query of cmd_log(). */
enum { Q_OFFSET = 1, Q_WAIT = 3, Q_LOG = 5 };

/* Reads one log from *at on: prints it, or with --json adds it to all. *at: where it ended. */
static bool read_log(struct cli *c, const char **query, bool follow, struct buf *all, int64_t *at,
		     struct err *e)
{
	char offset[32], wait_ms[16];
	bool end = false;

	snprintf(offset, sizeof(offset), "%lld", (long long)*at);
	query[Q_OFFSET] = offset;
	snprintf(wait_ms, sizeof(wait_ms), "%d", FOLLOW_WAIT_MS);
	query[Q_WAIT] = follow ? wait_ms : NULL;
	while (!end) {
		json_t *part = call_get_data(c, "/v2/log/read", query, e);
		const char *text = js_str(part, "text", "");

		if (part == NULL)
			return false;
		if (c->json)
			buf_adds(all, text);
		else
			print_text(c, text);
		end = js_bool(part, "end", false) || (!follow && text[0] == '\0');
		*at = js_int(part, "offset", *at + (int64_t)strlen(text));
		snprintf(offset, sizeof(offset), "%lld", (long long)*at);
		json_decref(part);
	}
	return true;
}

/* The log of a task when none was asked for: what the component logged, if it keeps a log of its
 * own, else what it printed and what it complained about. */
static bool read_task_log(struct cli *c, const char **query, bool follow, struct buf *all,
			  struct err *e)
{
	int64_t at = 0;

	query[Q_LOG] = "component";
	if (!read_log(c, query, false, all, &at, e))
		return false;
	if (at > 0)
		return !follow || read_log(c, query, true, all, &at, e);
	query[Q_LOG] = "stdout";
	if (!read_log(c, query, follow, all, &at, e))
		return false;
	query[Q_LOG] = "stderr";
	at = 0;
	return read_log(c, query, false, all, &at, e);
}

int cmd_log(struct cli *c)
{
	const char *task = c->n_args > 1 ? c->args[1] : NULL;
	bool schedule = cli_flag(c, "--schedule") || task == NULL;
	int kinds = cli_flag(c, "--stdout") + cli_flag(c, "--stderr") + cli_flag(c, "--schedule");
	struct err e = {0};
	struct who who;
	int64_t attempt = 0, at = 0;
	struct buf all = {0};
	bool ok;

	if (!names_job(c->args[0], &e) || (task != NULL && !names_task(task, &e)) ||
	    !cli_int(c, "--attempt", 0, 1000000, &attempt, &e))
		return cli_fail(c, &e);
	if (kinds > 1)
		return cli_usage(c, "only one of --stdout, --stderr and --schedule");
	if (task == NULL && (cli_flag(c, "--stdout") || cli_flag(c, "--stderr")))
		return cli_usage(c, "--stdout and --stderr need a task");
	if (!schedule && !names_who(c, c->args[0], &who, &e))
		return cli_fail(c, &e);
	c->timeout_ms = c->timeout_ms > 0 ? c->timeout_ms : FOLLOW_WAIT_MS + 10000;
	const char *query[] = {
	    "offset",    NULL,
	    "wait_ms",   NULL,
	    "log",       schedule ? "schedule" : cli_flag(c, "--stdout") ? "stdout" : "stderr",
	    "job_id",    c->args[0],
	    "role",      schedule ? NULL : who.role,
	    "party_id",  schedule ? NULL : who.party,
	    "task_name", schedule ? NULL : task,
	    "attempt",   cli_value(c, "--attempt"),
	    NULL,
	};
	if (schedule || kinds > 0)
		ok = read_log(c, query, cli_flag(c, "-f"), &all, &at, &e);
	else
		ok = read_task_log(c, query, cli_flag(c, "-f"), &all, &e);
	if (ok && c->json)
		cmd_done(c, json_pack("{s:s%}", "text", buf_str(&all), all.len));
	buf_free(&all);
	if (!ok)
		return cli_fail(c, &e);
	return CLI_OK;
}
