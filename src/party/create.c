#include "party/create.h"

#include "base/js.h"
#include "party/catalog.h"

struct dag_defaults party_dag_defaults(const struct node_conf *conf)
{
	return (struct dag_defaults){
	    .own_party_id = node_conf_own_party(conf),
	    .job_cores = conf->job_cores,
	    .task_cores = conf->task_cores,
	    .task_timeout_s = conf->task_timeout_s,
	    .computing_partitions = conf->computing_partitions,
	    .auto_retries = conf->auto_retries,
	    .provider = conf->default_provider,
	};
}

const char *party_model_id(const struct dag *d, const char *job_id)
{
	return d->model_id[0] != '\0' ? d->model_id : job_id;
}

const char *party_model_version(const struct dag *d)
{
	return d->model_version[0] != '\0' ? d->model_version : "0";
}

static bool runs_at(const struct dag_task *t, int party)
{
	for (size_t i = 0; i < t->n_parties; i++) {
		if (t->parties[i] == party)
			return true;
	}
	return false;
}

/* All parties of the task in the order of the definition, which is the same at every site. */
static json_t *task_parties(const struct dag *d, const struct dag_task *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->n_parties; i++) {
		const struct dag_party *p = &d->parties[t->parties[i]];
		json_array_append_new(list, json_pack("{s:s, s:[s]}", "role",
						      dag_role_name(p->role), "party_id", p->id));
	}
	return list;
}

json_t *party_task_config(const struct dag *d, int task, int party, const struct dag_defaults *def,
			  struct err *e)
{
	json_t *config = dag_party_task(d, task, party, def, e);

	if (config == NULL)
		return NULL;
	json_object_set_new(config, "parties", task_parties(d, &d->tasks[task]));
	json_object_set_new(config, "computing_partitions", json_integer(d->computing_partitions));
	return config;
}

static json_t *task_row(const struct dag *d, int task, int party, const struct dag_defaults *def,
			struct err *e)
{
	json_t *config = party_task_config(d, task, party, def, e);

	if (config == NULL)
		return NULL;
	return json_pack(
	    "{s:s, s:i, s:i, s:s, s:s, s:I, s:I, s:I, s:o}", "task_name", d->tasks[task].name,
	    "task_no", task, "party_no", party, "component", d->tasks[task].component, "provider",
	    js_str(config, "provider", ""), "cores", (json_int_t)js_int(config, "cores", 0),
	    "memory_mb", (json_int_t)js_int(config, "memory_mb", 0), "timeout_s",
	    (json_int_t)js_int(config, "timeout_s", def->task_timeout_s), "config", config);
}

json_t *party_create_payload(const struct dag *d, int party, const char *job_id,
			     const struct dag_defaults *def, struct err *e)
{
	int64_t cores;
	int64_t memory_mb;

	if (!dag_party_resources(d, party, def, &cores, &memory_mb, e))
		return NULL;
	json_t *tasks = json_array();
	for (size_t i = 0; i < d->n_tasks; i++) {
		if (!runs_at(&d->tasks[i], party))
			continue;
		json_t *row = task_row(d, (int)i, party, def, e);
		if (row == NULL) {
			json_decref(tasks);
			return NULL;
		}
		json_array_append_new(tasks, row);
	}
	json_t *payload = json_pack(
	    "{s:s, s:s, s:s, s:O, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:o}", "job_id", job_id,
	    "role", dag_role_name(d->parties[party].role), "party_id", d->parties[party].id, "dag",
	    d->root, "initiator_party_id", d->initiator_party_id, "scheduler_party_id",
	    d->scheduler_party_id, "model_id", party_model_id(d, job_id), "model_version",
	    party_model_version(d), "user_name", "", "cores", (json_int_t)cores, "memory_mb",
	    (json_int_t)memory_mb, "tasks", tasks);
	if (js_get(d->root, "dag.conf.inheritance") != NULL)
		json_object_set(payload, "inherit", js_get(d->root, "dag.conf.inheritance"));
	return payload;
}

bool party_create_settle(json_t *payload, const struct node_conf *conf, json_t *providers,
			 struct err *e)
{
	size_t i;
	json_t *task;

	json_object_set_new(payload, "engine", json_string(conf->engine));
	json_array_foreach (json_object_get(payload, "tasks"), i, task) {
		const char *name;
		if (catalog_component(providers, js_str(task, "provider", ""),
				      js_str(task, "component", ""), &name, e) == NULL)
			return err_prefix(e, "dag.tasks.%s", js_str(task, "task_name", ""));
		json_object_set_new(task, "provider", json_string(name));
	}
	return true;
}

json_t *party_create_body(const struct dag *d, int party, const char *job_id, const char *user_name)
{
	return json_pack("{s:s, s:s, s:s, s:O, s:O, s:s, s:s}", "job_id", job_id, "role",
			 dag_role_name(d->parties[party].role), "party_id", d->parties[party].id,
			 "dag", json_object_get(d->root, "dag"), "schema_version",
			 json_object_get(d->root, "schema_version"), "kind",
			 js_str(d->root, "kind", "fate"), "user_name",
			 user_name != NULL ? user_name : "");
}
