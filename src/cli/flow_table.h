/* What the commands of norn-flow take and do; only flow.c and flow_act.c include this. */
#ifndef NORN_CLI_FLOW_TABLE_H
#define NORN_CLI_FLOW_TABLE_H

#include "cli/cli.h"

/* What is done with the parameters. */
enum flow_act {
	FLOW_GET,
	FLOW_POST,
	FLOW_CONF,    /* POST the JSON file */
	FLOW_SUBMIT,  /* POST the YAML file as dag_schema */
	FLOW_SEND,    /* the file named in the JSON file, as a form */
	FLOW_IMPORT,  /* the file of --path, as a form */
	FLOW_EXTRACT, /* GET an archive, and extract it below --path */
	FLOW_EXTRACT_POST,
	FLOW_INIT,
	FLOW_VERSION,
	FLOW_TOY,
};

struct flow_opt {
	const char *id;    /* in the commands' lists */
	const char *brief; /* "-tn"; NULL: none */
	const char *name;  /* "--task-name" */
	const char *param; /* of the API */
	bool is_int, is_flag;
};

struct flow_cmd {
	const char *group, *name;
	const char *opts; /* ids with blanks between; ! behind one: it is needed */
	enum flow_act act;
	const char *path; /* of the API, or what the act does not need */
};

#define FLOW_VALUES_MAX 16

struct flow {
	struct cli cli;
	const struct flow_cmd *cmd;
	struct {
		const struct flow_opt *opt;
		const char *value;
	} values[FLOW_VALUES_MAX];
	int n_values;
};

/* The value of an option by its id; NULL when it was not given. */
const char *flow_value(const struct flow *f, const char *id);
/* All values under the API's names, without those that stay here (-c); a new reference. */
json_t *flow_params(const struct flow *f);
/* Prints the answer as flow does, and returns the exit status. Takes the reference. */
int flow_print(json_t *answer);
/* The same for what did not come to an answer: {"code": 100, "retmsg"}. */
int flow_trouble(const struct err *e);
int flow_run(struct flow *f);

#endif
