#include "party/permit.h"

#include "base/js.h"
#include "base/str.h"

/* Whose grants count; NULL: nobody's, the job is our own. */
static const char *subject(const struct node *n, const json_t *payload)
{
	const char *initiator = js_str(payload, "initiator_party_id", "");
	const char *scheduler = js_str(payload, "scheduler_party_id", "");

	/* The scheduler's site says who the initiator is; that it is us it cannot prove. */
	if (!node_serves(n, initiator))
		return initiator;
	return node_serves(n, scheduler) ? NULL : scheduler;
}

/* What a part of a job names beside components. */
struct named {
	json_t *tables; /* {"name", "namespace"} */
	json_t *models; /* {"model_id", "model_version"} */
	struct db_array jobs;
};

static json_t *or_null(json_t *v)
{
	return v != NULL ? json_incref(v) : json_null();
}

static void add_model(struct named *x, const json_t *from)
{
	json_array_append_new(
	    x->models, json_pack("{s:O, s:o}", "model_id", json_object_get(from, "model_id"),
				 "model_version", or_null(json_object_get(from, "model_version"))));
}

static void add_table(struct named *x, const json_t *from)
{
	json_array_append_new(
	    x->tables, json_pack("{s:o, s:o}", "name", or_null(json_object_get(from, "name")),
				 "namespace", or_null(json_object_get(from, "namespace"))));
}

/* One input, as the run will look it up: a table by name, what a task of an earlier job has left, a
 * model. */
static void add_input(struct named *x, const json_t *in)
{
	const char *job_id = js_str(in, "job_id", NULL);

	if (job_id != NULL)
		db_array_text(&x->jobs, job_id);
	if (json_object_get(in, "namespace") != NULL || json_object_get(in, "name") != NULL)
		add_table(x, in);
	if (json_object_get(in, "model_id") != NULL)
		add_model(x, in);
}

/* All inputs of a task: {group: {key: one or a list}}. */
static void add_inputs(struct named *x, const json_t *inputs)
{
	const char *group, *key;
	json_t *keys, *v, *one;
	size_t i;

	json_object_foreach ((json_t *)(uintptr_t)inputs, group, keys) {
		json_object_foreach (keys, key, v) {
			if (json_is_object(v))
				add_input(x, v);
			json_array_foreach (v, i, one)
				add_input(x, one);
		}
	}
}

void permit_add(const struct node *n, struct db_batch *b, const json_t *payload)
{
	const char *party = n->conf->auth_permission ? subject(n, payload) : NULL;
	struct db_array components = {0};
	struct named x = {0};
	size_t i;
	json_t *task;

	if (party == NULL)
		return;
	const char *earlier = js_str(json_object_get(payload, "inherit"), "job_id", NULL);
	if (earlier != NULL)
		db_array_text(&x.jobs, earlier);
	x.tables = json_array();
	x.models = json_array();
	/* Under an id of its own choice the job could replace models. */
	if (!str_eq(js_str(payload, "model_id", ""), js_str(payload, "job_id", "")))
		add_model(&x, payload);
	json_array_foreach (json_object_get(payload, "tasks"), i, task) {
		const json_t *config = json_object_get(task, "config");
		db_array_text(&components, js_str(task, "component", ""));
		if (str_eq(js_str(task, "component", ""), "reader"))
			add_table(&x, json_object_get(config, "parameters"));
		add_inputs(&x, json_object_get(config, "inputs"));
	}
	db_add(b, Q_PERMISSION_CHECK);
	db_text(b, party);
	db_array(b, &components);
	db_json(b, x.tables);
	db_array(b, &x.jobs);
	db_json(b, x.models);
	json_decref(x.tables);
	json_decref(x.models);
}
