/* norn gc: deleting what is old. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "cli/bar.h"
#include "cli/call.h"
#include "cli/text.h"

#define GC_CALL_MS (15 * 60 * 1000)
#define GC_DEFAULT 1000

const struct cli_opt cmd_gc_opts[] = {
    {"--keep-days", "N", "keep jobs that ended in the last N days (retention.jobs_days)", false},
    {"--dry-run", NULL, "only say what would be deleted", false},
    {"--limit", "N", "at most so many jobs, the oldest first (1000)", false},
    {NULL, NULL, NULL, false},
};

static void print_jobs(const struct cli *c, const json_t *jobs)
{
	static const char *const heads[] = {"job", "ended", ">files"};
	struct table *t = table_new(heads, sizeof(heads) / sizeof(heads[0]));
	char when[32], size[32];
	json_t *job;
	size_t i;

	json_array_foreach (jobs, i, job) {
		text_time(js_int(job, "end_ms", 0), when, sizeof(when));
		bar_size_text(js_int(job, "bytes", 0), size, sizeof(size));
		table_cell(t, js_str(job, "job_id", "?"));
		table_cell(t, when);
		table_cell(t, size);
	}
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
}

static void print_done(const struct cli *c, const json_t *data, bool dry)
{
	const json_t *days = json_object_get(data, "partitions");
	int64_t n = js_int(data, "n_jobs", 0);
	char size[32];

	if (dry && n > 0)
		print_jobs(c, json_object_get(data, "jobs"));
	bar_size_text(js_int(data, "bytes", 0), size, sizeof(size));
	printf("%s: %lld job%s, %s of files, %zu day%s of the history\n",
	       dry ? "would delete" : "deleted", (long long)n, n == 1 ? "" : "s", size,
	       json_array_size(days), json_array_size(days) == 1 ? "" : "s");
	if (js_bool(data, "more", false))
		puts("there are more: --limit, or call it again");
}

int cmd_gc(struct cli *c)
{
	bool dry = cli_flag(c, "--dry-run");
	int64_t keep_days = -1, limit = GC_DEFAULT;
	struct err e = {0};
	json_t *body, *data;

	if (!cli_int(c, "--keep-days", 0, 36500, &keep_days, &e) ||
	    !cli_int(c, "--limit", 1, 10000, &limit, &e))
		return cli_fail(c, &e);
	if (c->timeout_ms == 0)
		c->timeout_ms = GC_CALL_MS;
	body = json_pack("{s:b, s:I}", "dry_run", dry ? 1 : 0, "limit", (json_int_t)limit);
	if (keep_days >= 0)
		json_object_set_new(body, "keep_days", json_integer(keep_days));
	data = call_post_data(c, "/v2/server/gc", body, &e);
	json_decref(body);
	if (data == NULL)
		return cli_fail(c, &e);
	if (!c->json)
		print_done(c, data, dry);
	return cmd_done(c, data);
}
