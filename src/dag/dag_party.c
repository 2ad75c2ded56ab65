#include "dag/dag_impl.h"

#include <string.h>

#define SPARK_EXECUTORS      2
#define SPARK_EXECUTOR_CORES 2

/* Lays member `key` of `from` over `into`, per top-level key. */
static void overlay(json_t *into, const json_t *from, const char *key)
{
	json_t *v = json_object_get(from, key);

	if (v)
		json_object_update(into, v);
}

json_t *dag_merge_params(const struct dag_full *f, const struct dag_task *t, int party)
{
	const struct dag_party_sites *ps = &f->party_sites[party];
	json_t *out = json_object();

	overlay(out, t->spec, "parameters");
	for (size_t i = 0; i < ps->n; i++)
		overlay(out, json_object_get(f->sites[ps->sites[i]].tasks, t->name), "parameters");
	return out;
}

/* dag.conf.task, the task's conf, then per site its conf and its conf of the task. */
static json_t *merge_conf(const struct dag_full *f, const struct dag_task *t, int party)
{
	const struct dag_party_sites *ps = &f->party_sites[party];
	json_t *out = json_object();

	overlay(out, f->conf, "task");
	overlay(out, t->spec, "conf");
	for (size_t i = 0; i < ps->n; i++) {
		const struct dag_site *site = &f->sites[ps->sites[i]];

		if (site->conf)
			json_object_update(out, site->conf);
		overlay(out, json_object_get(site->tasks, t->name), "conf");
	}
	return out;
}

static int64_t get_int(const json_t *obj, const char *key, int64_t def)
{
	json_t *v = json_object_get(obj, key);

	return v ? json_integer_value(v) : def;
}

static void task_resources(const struct dag_full *f, int party, const json_t *conf,
			   const struct dag_defaults *def, int64_t *cores, int64_t *memory_mb)
{
	const json_t *run = json_object_get(conf, "engine_run");

	*cores = 0;
	*memory_mb = 0;
	if (f->pub.parties[party].role == ROLE_ARBITER)
		return;
	*memory_mb = get_int(run, "memory", 0);
	if (!json_object_get(run, "cores") &&
	    (json_object_get(run, "num-executors") || json_object_get(run, "executor-cores")))
		*cores = get_int(run, "num-executors", SPARK_EXECUTORS) *
			 get_int(run, "executor-cores", SPARK_EXECUTOR_CORES);
	else
		*cores = get_int(run, "cores", def->task_cores);
}

json_t *dag_party_task(const struct dag *d, int task, int party, const struct dag_defaults *def,
		       struct err *e)
{
	const struct dag_full *f = dag_full(d);
	struct buf provider = {0};
	const struct dag_task *t;
	json_t *conf, *params, *out;
	int64_t cores, memory_mb;

	if (task < 0 || (size_t)task >= d->n_tasks || party < 0 || (size_t)party >= d->n_parties) {
		err_set(e, ERR_INTERNAL, "no task %d or party %d in the job", task, party);
		return NULL;
	}
	t = &d->tasks[task];
	if (!dag_task_runs_at(t, party)) {
		dag_bad(e, ERR_JOB_PARAMS, DAG_KEY(DAG_KEY(DAG_KEY(NULL, "dag"), "tasks"), t->name),
			"%s %s does not run this task", dag_role_name(d->parties[party].role),
			d->parties[party].id);
		return NULL;
	}
	conf = merge_conf(f, t, party);
	params = dag_merge_params(f, t, party);
	task_resources(f, party, conf, def, &cores, &memory_mb);
	dag_provider_fill(json_string_value(json_object_get(conf, "provider")),
			  def->provider ? def->provider : "norn:*@local", &provider);
	out = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:s, s:I, s:I, s:I}", "task_name", t->name,
			"component", t->component, "stage", dag_stage_name(t->stage), "parameters",
			json_deep_copy(params), "conf", json_deep_copy(conf), "inputs",
			dag_reduce_inputs(f, t, party), "provider", buf_str(&provider), "timeout_s",
			(json_int_t)get_int(conf, "timeout", def->task_timeout_s), "cores",
			(json_int_t)cores, "memory_mb", (json_int_t)memory_mb);
	json_decref(params);
	json_decref(conf);
	buf_free(&provider);
	if (!out)
		err_set(e, ERR_INTERNAL, "out of memory");
	return out;
}

bool dag_party_resources(const struct dag *d, int party, const struct dag_defaults *def,
			 int64_t *cores, int64_t *memory_mb, struct err *e)
{
	const struct dag_full *f = dag_full(d);
	bool runs = false;

	*cores = 0;
	*memory_mb = 0;
	if (party < 0 || (size_t)party >= d->n_parties)
		return err_set(e, ERR_INTERNAL, "no party %d in the job", party);
	if (d->parties[party].role == ROLE_ARBITER)
		return true;
	for (size_t i = 0; i < d->n_tasks; i++) {
		int64_t task_cores, task_memory_mb;
		json_t *conf;

		if (!dag_task_runs_at(&d->tasks[i], party))
			continue;
		runs = true;
		conf = merge_conf(f, &d->tasks[i], party);
		task_resources(f, party, conf, def, &task_cores, &task_memory_mb);
		json_decref(conf);
		if (task_cores > *cores)
			*cores = task_cores;
		if (task_memory_mb > *memory_mb)
			*memory_mb = task_memory_mb;
	}
	if (!runs) /* a party without tasks holds nothing */
		return true;
	if (d->cores > *cores)
		*cores = d->cores;
	if (d->memory_mb > *memory_mb)
		*memory_mb = d->memory_mb;
	return true;
}
