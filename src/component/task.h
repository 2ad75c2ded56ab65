/* The task being run: configuration, checked parameters, artifacts, channel, metrics, result. */
#ifndef NORN_COMPONENT_TASK_H
#define NORN_COMPONENT_TASK_H

#include "base/err.h"
#include "component/channel.h"
#include "component/metrics.h"
#include "norn/component.h"

struct norn_task {
	json_t *config;
	const struct norn_component *def;
	enum norn_role role;
	enum norn_stage stage;
	const char *task_id, *party_task_id, *task_name, *party_id; /* borrowed from config */
	unsigned cores;
	json_t *params;          /* declared names only, defaults filled in */
	json_t *parties[4];      /* arrays of party ids: local, guest, host, arbiter */
	struct channel *channel; /* opened at the first message */
	struct metrics *metrics;
	json_t *io_inputs, *io_outputs; /* {data: {}, model: {}, metric: {}} of the result */
};

/* Check a task configuration (stolen) for one of the components. NULL on error. */
MUST_CHECK struct norn_task *task_new(json_t *config, const struct norn_component *const *all,
				      size_t n, struct err *e);
void task_free(struct norn_task *t);
/* Run it. */
MUST_CHECK bool task_run(struct norn_task *t, struct err *e);
/* The result file: what the component used and made, or why it failed. */
json_t *task_result_ok(const struct norn_task *t);
json_t *task_result_failed(const struct err *e);

const char *role_name(enum norn_role r);
MUST_CHECK bool role_parse(const char *s, enum norn_role *out);
const char *stage_name(enum norn_stage s);
MUST_CHECK bool stage_parse(const char *s, enum norn_stage *out);

/* Whether the artifact takes part in this role and stage. */
bool artifact_active(const struct norn_component *c, const struct norn_artifact *a,
		     enum norn_role role, enum norn_stage stage);
const char *artifact_kind_name(enum norn_kind k);
const struct norn_component *component_find(const struct norn_component *const *all, size_t n,
					    const char *name);

/* params.c: given values against the declaration; new object with every declared name, or NULL. */
MUST_CHECK json_t *params_check(const struct norn_component *c, enum norn_stage stage,
				const json_t *given, struct err *e);
/* One value against one declaration; `where` names it in errors. NULL: wrong. New reference. */
MUST_CHECK json_t *param_check(const struct norn_param *p, const json_t *v, const char *where,
			       struct err *e);
/*
 * The same for the members of a map parameter: unknown names are errors, defaults are filled in.
 * map may be NULL or null.
 */
MUST_CHECK json_t *params_check_map(const struct norn_param *decl, size_t n, const json_t *map,
				    const char *where, struct err *e);

/* The channel, opened at the first call; borrowed. NULL on error. */
MUST_CHECK struct channel *task_channel(struct norn_task *t, struct err *e);

/* The URI of an input (borrowed) or NULL when it is absent. Marks it as consumed. */
const char *task_input_uri(struct norn_task *t, const char *key, size_t i);
/* The URI of an output (borrowed); an error when there is none. */
MUST_CHECK const char *task_output_uri(const struct norn_task *t, const char *key, struct err *e);
/* Record what was written: metadata (may be NULL) is {metadata: {}, name, namespace,
 * data_overview}. */
void task_output_done(struct norn_task *t, const char *key, json_t *metadata);
/* {metadata: {schema}, data_overview: {count, samples}, name, namespace}; samples is stolen. */
json_t *data_metadata(const json_t *schema, size_t count, json_t *samples, const char *name,
		      const char *namespace_);

#endif
