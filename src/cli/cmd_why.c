/* norn why: the reason, for people. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/names.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>

static void print_clean(FILE *f, const char *prefix, const char *text)
{
	char *clean = text_clean_line(text);

	if (clean[0] != '\0')
		fprintf(f, "%s%s\n", prefix, clean);
	free(clean);
}

/* The end of a failed component's error output, set off from the rest. */
static void print_tail(FILE *f, const char *text)
{
	while (*text != '\0') {
		const char *end = strchr(text, '\n');
		size_t len = end != NULL ? (size_t)(end - text) : strlen(text);
		struct buf line = {0};

		text_clean(&line, text, len);
		fprintf(f, "    | %s\n", buf_str(&line));
		buf_free(&line);
		text += len + (end != NULL ? 1 : 0);
	}
}

static void print_failure(FILE *f, const json_t *v)
{
	const json_t *code = json_object_get(v, "exit_code");
	const json_t *sig = json_object_get(v, "signal");
	struct buf head = {0};

	buf_printf(&head, "first failure: task %s, attempt %lld, at %s %s",
		   js_str(v, "task_name", "?"), (long long)js_int(v, "attempt", 0),
		   js_str(v, "role", "?"), js_str(v, "party_id", "?"));
	if (json_is_integer(sig) && json_integer_value(sig) != 0)
		buf_printf(&head, ", ended by signal %lld", (long long)json_integer_value(sig));
	else if (json_is_integer(code))
		buf_printf(&head, ", exit code %lld", (long long)json_integer_value(code));
	print_clean(f, "  ", buf_str(&head));
	print_clean(f, "    ", js_str(v, "error", ""));
	print_tail(f, js_str(v, "stderr_tail", ""));
	buf_free(&head);
}

void why_print(FILE *f, const json_t *why)
{
	json_t *v, *waiting = json_object_get(why, "waiting");
	size_t i;

	print_clean(f, "", js_str(why, "summary", js_str(why, "status", "nothing is known")));
	json_array_foreach (json_object_get(why, "lines"), i, v) {
		if (json_is_string(v))
			print_clean(f, "  ", json_string_value(v));
	}
	if (json_is_object(json_object_get(why, "first_failure")))
		print_failure(f, json_object_get(why, "first_failure"));
	if (json_object_size(waiting) > 0) {
		fputs("  waiting:\n", f);
		outline_print(f, waiting, 2);
	}
	print_clean(f, "  hint: ", js_str(why, "hint", ""));
}

void why_after_failure(struct cli *c, const char *job)
{
	const char *query[] = {"job_id", job, NULL};
	struct err e;
	json_t *why = call_get_data(c, "/v2/job/why", query, &e);

	fflush(stdout);
	fputs("norn: ", stderr);
	if (why != NULL)
		why_print(stderr, why);
	else
		fprintf(stderr, "job %s did not succeed\n", job);
	fprintf(stderr, "  see also: norn log %s\n", job);
	json_decref(why);
}

int cmd_why(struct cli *c)
{
	const char *query[] = {"job_id", c->args[0], "task_name", c->n_args > 1 ? c->args[1] : NULL,
			       NULL};
	struct err e = {0};
	json_t *why;

	if (!names_job(c->args[0], &e) || (c->n_args > 1 && !names_task(c->args[1], &e)))
		return cli_fail(c, &e);
	why = call_get_data(c, "/v2/job/why", query, &e);
	if (why == NULL)
		return cli_fail(c, &e);
	if (!c->json)
		why_print(stdout, why);
	return cmd_done(c, why);
}
