/* norn model: what a task learned; models by id and version. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/names.h"
#include "cli/route.h"

#define MODEL_OF_ARGS                                                                              \
	{"model_id", "0", ROUTE_JOB},                                                              \
	{                                                                                          \
		"model_version", "1", ROUTE_TEXT                                                   \
	}

static int model_show(struct cli *c)
{
	static const struct route route = {
	    "/v2/output/model/query",
	    false,
	    {{"job_id", "0", ROUTE_JOB}, {"task_name", "1", ROUTE_TASK}, {"who", "", ROUTE_WHO}}};

	return route_outline(c, &route);
}

/* role and party are needed by the route: of a job's model the id is the job's. */
static int model_export(struct cli *c)
{
	static const struct route route = {"/v2/model/export",
					   true,
					   {MODEL_OF_ARGS,
					    {"path", "2", ROUTE_TEXT},
					    {"role", "--role", ROUTE_ROLE},
					    {"party_id", "--party", ROUTE_PARTY}}};

	if (cli_value(c, "--role") == NULL || cli_value(c, "--party") == NULL)
		return cli_usage(c, "--role and --party are needed");
	return route_do(c, &route, "model %s %s is in %s at the node", c->args[0], c->args[1],
			c->args[2]);
}

static int model_import(struct cli *c)
{
	const char *fields[] = {"model_id", c->args[0], "model_version", c->args[1], NULL};
	struct err e = {0};
	json_t *env;

	if (!names_job(c->args[0], &e))
		return cli_fail(c, &e);
	env = call_upload(c, "/v2/model/import", fields, c->args[2], false, &e);
	if (env == NULL)
		return cli_fail(c, &e);
	if (!c->json)
		printf("model %s %s is taken over\n", c->args[0], c->args[1]);
	return cmd_done(c, env);
}

static int model_delete(struct cli *c)
{
	static const struct route route = {"/v2/model/delete",
					   true,
					   {MODEL_OF_ARGS,
					    {"role", "--role", ROUTE_ROLE},
					    {"party_id", "--party", ROUTE_PARTY},
					    {"task_name", "--task", ROUTE_TASK},
					    {"output_key", "--key", ROUTE_TEXT}}};

	return route_do(c, &route, "model %s %s is deleted", c->args[0], c->args[1]);
}

static int model_load(struct cli *c)
{
	static const struct route route = {
	    "/v2/model/load",
	    true,
	    {MODEL_OF_ARGS, {"role", "--role", ROUTE_ROLE}, {"party_id", "--party", ROUTE_PARTY}}};

	return route_do(c, &route, "model %s %s can be used", c->args[0], c->args[1]);
}

static int model_migrate(struct cli *c)
{
	const char *role = cli_value(c, "--role"), *party = cli_value(c, "--party");
	const char *query[] = {"model_id", c->args[0], "model_version", c->args[1], "role", role,
			       "party_id", party,      "dir_path",      c->args[2], NULL};
	struct err e = {0};
	json_t *body, *env;

	if (role == NULL || party == NULL)
		return cli_usage(c, "--role and --party are needed");
	if (!names_job(c->args[0], &e) || !names_role(role, &e) || !names_party(party, &e))
		return cli_fail(c, &e);
	body = json_object(); /* the route reads the query, but wants a POST */
	env = call_any(c, "/v2/model/migrate", query, body, &e);
	json_decref(body);
	if (env == NULL)
		return cli_fail(c, &e);
	if (js_int(env, "code", 0) != 0) {
		err_set(&e, (enum err_code)js_int(env, "code", 0), "%s",
			js_str(env, "message", "no reason given"));
		json_decref(env);
		return cli_fail(c, &e);
	}
	if (!c->json)
		printf("model %s %s is in %s at the node\n", c->args[0], c->args[1], c->args[2]);
	return cmd_done(c, env);
}

static int model_deploy(struct cli *c)
{
	const char *query[] = {"job_id", c->args[0], NULL};
	struct err e = {0};
	json_t *rows, *row, *data;

	if (!names_job(c->args[0], &e))
		return cli_fail(c, &e);
	rows = call_get_data(c, "/v2/job/query", query, &e);
	if (rows == NULL)
		return cli_fail(c, &e);
	row = json_array_get(rows, 0);
	data = json_pack("{s:s, s:s}", "model_id", js_str(row, "model_id", ""), "model_version",
			 js_str(row, "model_version", ""));
	json_decref(rows);
	if (!c->json)
		printf("--set dag.conf.model_warehouse.model_id=%s "
		       "--set dag.conf.model_warehouse.model_version=%s\n",
		       js_str(data, "model_id", ""), js_str(data, "model_version", ""));
	return cmd_done(c, data);
}

static const struct cli_opt who_opts[] = {
    {"--role", "ROLE", "guest, host or arbiter", false},
    {"--party", "PARTY", "party id", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt delete_opts[] = {
    {"--role", "ROLE", "only of this role", false},
    {"--party", "PARTY", "only of this party id", false},
    {"--task", "TASK", "only of this task", false},
    {"--key", "KEY", "only this output", false},
    {NULL, NULL, NULL, false},
};

static const struct cli_cmd cmds[] = {
    {"model", "show", "JOB TASK", 2, 2, who_opts, "show the model of a task",
     "Each site has the part of the model that belongs to its own parties. Long lists are\n"
     "shortened; --json has everything.",
     "norn model show 202601312359590000010 lr_0", model_show},
    {"model", "deploy", "JOB", 1, 1, NULL, "say how a prediction uses the models of a job",
     "Prints the options that a job file for a prediction is run with.",
     "norn model deploy 202601312359590000010\n"
     "norn run predict.yaml $(norn model deploy 202601312359590000010)",
     model_deploy},
    {"model", "export", "MODEL VERSION DIR", 3, 3, who_opts, "write a model into a zip file",
     "DIR is a directory of the node's machine in dirs.export of its configuration, or a name "
     "below\n"
     "it. Model and version are those of the job that made it (norn job query JOB).",
     "norn model export 202601312359590000010 0 /srv/models --role guest --party 9999",
     model_export},
    {"model", "import", "MODEL VERSION FILE", 3, 3, NULL, "take over a model from a zip file",
     "FILE is on this machine; the model gets this id and version.",
     "norn model import fraud 1 fraud_1_guest_9999.zip", model_import},
    {"model", "delete", "MODEL VERSION", 2, 2, delete_opts, "delete a model of this site", NULL,
     "norn model delete 202601312359590000010 0 --task lr_0", model_delete},
    {"model", "load", "MODEL VERSION", 2, 2, who_opts, "ask whether a model can be used", NULL,
     "norn model load 202601312359590000010 0 --role guest --party 9999", model_load},
    {"model", "migrate", "MODEL VERSION DIR", 3, 3, who_opts,
     "write a model into a directory of the server",
     "DIR is below the directory that the node uses for it.",
     "norn model migrate 202601312359590000010 0 models --role guest --party 9999", model_migrate},
};

const struct cli_group cmds_model = {"model", "models that tasks made", cmds,
				     sizeof(cmds) / sizeof(cmds[0])};
