/*
 * The job definition: FATE 2.x DAG schema, parsed, checked and compiled. Pure: no I/O. Every error
 * names the path ("dag.tasks.psi_0.inputs.data.input_data"), what is wrong, and what would be
 * right.
 */
#ifndef NORN_DAG_DAG_H
#define NORN_DAG_DAG_H

#include "base/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define DAG_NAME_MAX     50 /* task and component names, as in FATE */
#define DAG_PARTY_ID_MAX 50
#define DAG_TASKS_MAX    20000
#define DAG_PARTIES_MAX  1000 /* role + party id pairs */

enum dag_role { ROLE_GUEST, ROLE_HOST, ROLE_ARBITER, ROLE_LOCAL, ROLE_COUNT };
const char *dag_role_name(enum dag_role r);
MUST_CHECK bool dag_role_parse(const char *s, enum dag_role *out);

enum dag_stage { STAGE_DEFAULT, STAGE_TRAIN, STAGE_PREDICT, STAGE_CROSS_VALIDATION, STAGE_COUNT };
const char *dag_stage_name(enum dag_stage s);
MUST_CHECK bool dag_stage_parse(const char *s, enum dag_stage *out);

struct dag_party {
	enum dag_role role;
	char id[DAG_PARTY_ID_MAX + 1];
};

struct dag_task {
	char name[DAG_NAME_MAX + 1];
	char component[DAG_NAME_MAX + 1];
	enum dag_stage stage;
	size_t n_parties;
	int *parties; /* indexes into dag.parties, in DAG order */
	size_t n_deps;
	int *deps; /* indexes of producer tasks, distinct, ascending */
	size_t n_children;
	int *children;
	json_t *spec; /* borrowed from dag.root: the task's own object */
};

struct dag {
	json_t *root; /* owned: {dag, schema_version, kind} with defaults filled, party ids as
			 strings */
	char schema_version[32];
	size_t n_parties;
	struct dag_party *parties; /* all distinct role + party pairs, DAG order */
	size_t n_tasks;
	struct dag_task *tasks; /* in topological order (stable by DAG order) */
	/* from dag.conf, with defaults */
	char initiator_party_id[DAG_PARTY_ID_MAX + 1];
	char scheduler_party_id[DAG_PARTY_ID_MAX + 1];
	int64_t priority;
	int64_t cores;     /* conf.cores or default */
	int64_t memory_mb; /* extension conf.memory (MiB), default 0 = not accounted */
	int64_t auto_retries;
	int64_t timeout_s; /* extension conf.timeout: job deadline; 0 none */
	int64_t computing_partitions;
	char sync_type[16];
	char model_id[101]; /* "" when not given */
	char model_version[11];
};

struct dag_defaults {
	const char *own_party_id;     /* initiator and scheduler when not given */
	int64_t job_cores;            /* 4 */
	int64_t task_cores;           /* 4 */
	int64_t task_timeout_s;       /* 259200 */
	int64_t computing_partitions; /* 8 */
	int64_t auto_retries;         /* 0 */
	const char *provider;         /* "norn:0.1.0@local" */
};

/* Parses and validates; root is borrowed (a deep copy is kept). Unknown fields are errors, except
 * those FATE's clients send and its server drops (dependent_tasks, task_parallelism,
 * federated_status_collect_type, engine, outputs). Refuses: no tasks, cycles, unknown producers or
 * output keys of known shape, duplicate parties, a task without parties or with parties outside the
 * DAG, bad names, numbers out of range. */
MUST_CHECK struct dag *dag_compile(const json_t *root, const struct dag_defaults *def,
				   struct err *e);
/* The same without the copy: root is taken over, also after a failure, and is changed, so nothing
 * of it may be read elsewhere meanwhile. */
MUST_CHECK struct dag *dag_compile_own(json_t *root, const struct dag_defaults *def, struct err *e);
void dag_free(struct dag *d);
int dag_find_task(const struct dag *d, const char *name);                    /* -1 */
int dag_find_party(const struct dag *d, enum dag_role role, const char *id); /* -1 */

/* What one party needs for one task (api-v2.md section 6.4 and 6.5). All in one new object:
 * { "task_name","component","stage","parameters":{merged},
 *   "conf": {merged task conf: engine_run, provider, timeout, launcher_name},
 *   "inputs": {"data":{key: channel | [channel]}, "model":{...}}  reduced to this party, parties
 * replaced by own, "provider": "name:version@device", "timeout_s": n, "cores": n, "memory_mb": n }
 * cores follow section 6.8 (arbiter 0). Fails on wrong types only. */
MUST_CHECK json_t *dag_party_task(const struct dag *d, int task, int party,
				  const struct dag_defaults *def, struct err *e);
/* Cores and memory the job reserves at one party: max(conf.cores, largest task); arbiter 0. */
MUST_CHECK bool dag_party_resources(const struct dag *d, int party, const struct dag_defaults *def,
				    int64_t *cores, int64_t *memory_mb, struct err *e);
/* The answer of GET /job/dag/dependency for a party, new object. */
json_t *dag_dependency_view(const struct dag *d, int party);
/* Tables named in reader tasks per party: {role: {party: [{name, namespace}]}}, new object. */
json_t *dag_data_view(const struct dag *d);

/*
 * Checks a task against the description of its component, as `component desc` prints it
 * ({component: {...}}) or the inner object: roles, stage, names of parameters (also those in
 * party_tasks), names of inputs, and at every party the inputs that the stage needs. What the
 * description leaves out is not checked.
 */
MUST_CHECK bool dag_check_component(const struct dag *d, int task, const json_t *component_desc,
				    struct err *e);
/* Checks that the outputs which tasks take from each other exist. descs_by_task: one description
 * per task, in the order of d->tasks; NULL where none is known. */
MUST_CHECK bool dag_check_links(const struct dag *d, const json_t *const *descs_by_task,
				struct err *e);

#endif
