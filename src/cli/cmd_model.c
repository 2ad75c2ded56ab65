/* norn model: what a task learned. */
#include "config.h"
#include "cli/cmds.h"
#include "cli/call.h"
#include "cli/names.h"

static int model_show(struct cli *c)
{
	struct err e = {0};
	struct who who;
	json_t *models;

	if (!names_job(c->args[0], &e) || !names_task(c->args[1], &e) ||
	    !names_who(c, c->args[0], &who, &e))
		return cli_fail(c, &e);
	const char *query[] = {"job_id", c->args[0], "task_name", c->args[1], "role",
			       who.role, "party_id", who.party,   NULL};
	models = call_get_data(c, "/v2/output/model/query", query, &e);
	if (models == NULL)
		return cli_fail(c, &e);
	if (!c->json)
		outline_print(stdout, models, 0);
	return cmd_done(c, models);
}

static const struct cli_opt show_opts[] = {
    {"--role", "ROLE", "guest, host or arbiter", false},
    {"--party", "PARTY", "party id", false},
    {NULL, NULL, NULL, false},
};

static const struct cli_cmd cmds[] = {
    {"model", "show", "JOB TASK", 2, 2, show_opts, "show the model of a task",
     "Each site has the part of the model that belongs to its own parties. Long lists are\n"
     "shortened; --json has everything.",
     "norn model show 202601312359590000010 lr_0", model_show},
};

const struct cli_group cmds_model = {"model", "models that tasks made", cmds,
				     sizeof(cmds) / sizeof(cmds[0])};
