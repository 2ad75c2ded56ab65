/* norn log count, query, download: FATE's view of the logs of a job. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/route.h"
#include "cli/text.h"
#include <stdlib.h>

static const char *const types[] = {"schedule_info", "schedule_error", "task_error",
				    "task_warning",  "task_info",      "task_debug"};

static bool type_fits(const struct cli *c)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (str_eq(c->args[1], types[i]))
			return true;
	return false;
}

static int bad_type(const struct cli *c)
{
	return cli_usage(c, "TYPE is schedule_info, schedule_error, task_error, task_warning, "
			    "task_info or task_debug");
}

static int log_count(struct cli *c)
{
	static const struct route route = {"/v2/log/count",
					   false,
					   {{"job_id", "0", ROUTE_JOB},
					    {"log_type", "1", ROUTE_TEXT},
					    {"task_name", "2", ROUTE_TASK},
					    {"who", "", ROUTE_WHO}}};
	struct err e = {0};

	if (!type_fits(c))
		return bad_type(c);
	json_t *n = route_call(c, &route, &e);
	if (n == NULL)
		return cli_fail(c, &e);
	if (!c->json)
		printf("%lld\n", (long long)json_integer_value(n));
	return cmd_done(c, n);
}

static int log_query(struct cli *c)
{
	static const struct route route = {"/v2/log/query",
					   false,
					   {{"job_id", "0", ROUTE_JOB},
					    {"log_type", "1", ROUTE_TEXT},
					    {"task_name", "2", ROUTE_TASK},
					    {"begin", "--begin", ROUTE_INT},
					    {"end", "--end", ROUTE_INT},
					    {"who", "", ROUTE_WHO}}};
	struct err e = {0};
	json_t *lines, *line;
	size_t i;

	if (!type_fits(c))
		return bad_type(c);
	lines = route_call(c, &route, &e);
	if (lines == NULL)
		return cli_fail(c, &e);
	if (!c->json) {
		json_array_foreach (lines, i, line) {
			char *text = text_clean_line(js_str(line, "content", ""));

			printf("%6lld  %s\n", (long long)js_int(line, "line_num", 0), text);
			free(text);
		}
	}
	return cmd_done(c, lines);
}

static int log_download(struct cli *c)
{
	static const struct route route = {
	    "/v2/job/log/download", true, {{"job_id", "0", ROUTE_JOB}}};
	struct err e = {0};
	char *file;
	int status;

	if (!str_is_name(c->args[0], 64)) {
		err_set(&e, ERR_USAGE, "'%.60s' is not a job id", c->args[0]);
		return cli_fail(c, &e);
	}
	file = mem_printf("job_%s_log.tar.gz", c->args[0]);
	status = route_download(c, &route, file, "tar, gzip");
	free(file);
	return status;
}

static const struct cli_opt count_opts[] = {
    {"--role", "ROLE", "guest, host, arbiter or local", false},
    {"--party", "PARTY", "party id", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt query_opts[] = {
    {"--role", "ROLE", "guest, host, arbiter or local", false},
    {"--party", "PARTY", "party id", false},
    {"--begin", "LINE", "from this line on (1)", false},
    {"--end", "LINE", "up to this line (the last)", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt download_opts[] = {
    {"--out", "FILE", "file to write", false},
    {"--force", NULL, "replace the file", false},
    {NULL, NULL, NULL, false},
};

static const struct cli_cmd cmds[] = {
    {"log", "count", "JOB TYPE [TASK]", 2, 3, count_opts, "count the lines of a log",
     "TYPE is schedule_info, schedule_error, task_error, task_warning, task_info or task_debug.",
     "norn log count 202601312359590000010 schedule_info", log_count},
    {"log", "query", "JOB TYPE [TASK]", 2, 3, query_opts, "print lines of a log by number",
     "TYPE is schedule_info, schedule_error, task_error, task_warning, task_info or task_debug.",
     "norn log query 202601312359590000010 task_error lr_0 --begin 1 --end 100", log_query},
    {"log", "download", "JOB", 1, 1, download_opts, "fetch all logs of a job of this site",
     "A tar.gz archive.", "norn log download 202601312359590000010 --out logs.tar.gz",
     log_download},
};

const struct cli_group cmds_log = {"log", "logs of jobs and tasks", cmds,
				   sizeof(cmds) / sizeof(cmds[0])};
