/* norn run: submit and watch. */
#include "config.h"
#include "cli/cmds.h"
#include "base/fs.h"
#include "base/js.h"
#include "cli/names.h"
#include "cli/progress.h"
#include <string.h>

const struct cli_opt cmd_run_opts[] = {
    {"--set", "PATH=VALUE", "change a value of the job file (below dag)", true},
    {"--key", "KEY", "the same key never submits a second job", false},
    {"--detach", NULL, "print the job id and return at once", false},
    {"--id-file", "FILE", "write the job id to a file", false},
    {NULL, NULL, NULL, false},
};

static bool write_id(const struct cli *c, const char *job, struct err *e)
{
	const char *path = cli_value(c, "--id-file");

	return path == NULL || fs_write(path, job, strlen(job), 0644, e);
}

static int detach(const struct cli *c, json_t *env)
{
	if (!c->json)
		puts(js_str(env, "job_id", ""));
	return cmd_done(c, env);
}

int cmd_run(struct cli *c)
{
	struct err e = {0};
	json_t *env = jobfile_submit(c, false, &e), *final = NULL;
	char job[NAMES_JOB_MAX + 1];
	int status;

	if (env == NULL)
		return cli_fail(c, &e);
	snprintf(job, sizeof(job), "%s", js_str(env, "job_id", ""));
	if (!names_job(job, &e)) {
		json_decref(env);
		err_set(&e, ERR_PARSE, "the node's answer has no job id");
		return cli_fail(c, &e);
	}
	if (!write_id(c, job, &e)) {
		json_decref(env);
		return cli_fail(c, &e);
	}
	if (cli_flag(c, "--detach"))
		return detach(c, env);
	json_decref(env);
	if (!c->json && !c->out_tty)
		printf("job %s\n", job);
	status = progress_watch(c, job, c->json, 0, &final);
	if (c->json && final != NULL)
		cli_print_json(final);
	else if (status == CLI_OK)
		printf("job %s ended with success\n", job);
	else if (status != PROGRESS_INTERRUPTED && final != NULL)
		why_after_failure(c, job);
	json_decref(final);
	return status;
}
