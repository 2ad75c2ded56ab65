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

/* Prints from the start on. With --json the parts are collected into one text. */
static bool read_log(struct cli *c, const char **query, const char **at, const char **wait,
		     bool follow, struct err *e)
{
	struct buf all = {0};
	char offset[32] = "0", wait_ms[16];
	bool ok = true, end = false;

	*at = offset;
	snprintf(wait_ms, sizeof(wait_ms), "%d", FOLLOW_WAIT_MS);
	*wait = follow ? wait_ms : NULL;
	while (!end) {
		json_t *part = call_get_data(c, "/v2/log/read", query, e);
		const char *text = js_str(part, "text", "");

		if (part == NULL) {
			ok = false;
			break;
		}
		if (c->json)
			buf_adds(&all, text);
		else
			print_text(c, text);
		end = js_bool(part, "end", false) || (!follow && text[0] == '\0');
		snprintf(offset, sizeof(offset), "%lld",
			 (long long)js_int(part, "offset", (int64_t)strlen(text)));
		json_decref(part);
	}
	if (ok && c->json)
		cmd_done(c, json_pack("{s:s%}", "text", buf_str(&all), all.len));
	buf_free(&all);
	return ok;
}

int cmd_log(struct cli *c)
{
	const char *task = c->n_args > 1 ? c->args[1] : NULL;
	bool schedule = cli_flag(c, "--schedule") || task == NULL;
	int kinds = cli_flag(c, "--stdout") + cli_flag(c, "--stderr") + cli_flag(c, "--schedule");
	struct err e = {0};
	struct who who;
	int64_t attempt = 0;

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
	    "offset",
	    NULL,
	    "wait_ms",
	    NULL,
	    "job_id",
	    c->args[0],
	    "log",
	    schedule                  ? "schedule"
	    : cli_flag(c, "--stdout") ? "stdout"
	    : cli_flag(c, "--stderr") ? "stderr"
				      : "component",
	    "role",
	    schedule ? NULL : who.role,
	    "party_id",
	    schedule ? NULL : who.party,
	    "task_name",
	    schedule ? NULL : task,
	    "attempt",
	    cli_value(c, "--attempt"),
	    NULL,
	};
	if (!read_log(c, query, &query[1], &query[3], cli_flag(c, "-f"), &e))
		return cli_fail(c, &e);
	return CLI_OK;
}
