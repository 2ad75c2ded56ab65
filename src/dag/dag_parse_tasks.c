#include "dag/dag_impl.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static int cmp_int(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

bool dag_task_runs_at(const struct dag_task *t, int party)
{
	return bsearch(&party, t->parties, t->n_parties, sizeof(*t->parties), cmp_int) != NULL;
}

int dag_find_task(const struct dag *d, const char *name)
{
	return (int)(intptr_t)map_get(dag_full(d)->task_index, name) - 1;
}

bool dag_no_task(const struct dag_full *f, const char *name, const struct dag_at *at, struct err *e)
{
	struct dag_near near = {name, NULL, 0};
	struct buf b = {0};

	for (size_t i = 0; i < f->pub.n_tasks; i++)
		dag_near_try(&near, f->pub.tasks[i].name);
	dag_near_text(&near, &b);
	buf_adds(&b, "; tasks are ");
	for (size_t i = 0; i < f->pub.n_tasks; i++)
		dag_list_add(&b, i, f->pub.tasks[i].name);
	dag_list_end(&b, f->pub.n_tasks);
	dag_bad(e, ERR_JOB_PARAMS, at, "no task named %s%s", DAG_Q(name), buf_str(&b));
	buf_free(&b);
	return false;
}

static bool parse_task_parties(struct dag_full *f, struct dag_task *t, const struct dag_at *at,
			       struct err *e)
{
	json_t *list = json_object_get(t->spec, "parties");

	/* An empty list means the same as none, as in FATE. */
	if (list && !(json_is_array(list) && json_array_size(list) == 0))
		return dag_resolve_parties(f, list, &t->parties, &t->n_parties,
					   DAG_KEY(at, "parties"), e);
	t->parties = f->all_parties;
	t->n_parties = f->pub.n_parties;
	return true;
}

static bool parse_task_stage(struct dag_task *t, const enum dag_stage *fallback,
			     const struct dag_at *at, struct err *e)
{
	bool found;

	if (!dag_get_stage(t->spec, &t->stage, &found, at, e))
		return false;
	if (found)
		return true;
	if (!fallback)
		return dag_bad(e, ERR_JOB_CREATE, DAG_KEY(at, "stage"),
			       "is missing, and dag.stage too; set one of them to default, train, "
			       "predict or cross_validation");
	t->stage = *fallback;
	return true;
}

static bool parse_task(struct dag_full *f, struct dag_task *t, const enum dag_stage *fallback,
		       const struct dag_at *at, struct err *e)
{
	static const struct dag_field fields[] = {
	    {"component_ref", false},  {"parties", false}, {"stage", false},
	    {"parameters", false},     {"inputs", false},  {"conf", false},
	    {"dependent_tasks", true}, {"outputs", true},  {"task_parallelism", true},
	};
	const char *component = NULL;
	json_t *params = NULL, *conf = NULL;

	if (!DAG_FIELDS(t->spec, fields, at, e) ||
	    !dag_get_name(t->spec, "component_ref", DAG_NAME_MAX, true, &component, at, e))
		return false;
	str_copy(t->component, sizeof(t->component), component);
	if (!parse_task_parties(f, t, at, e) || !parse_task_stage(t, fallback, at, e) ||
	    !dag_get_object(t->spec, "parameters", false, &params, at, e) ||
	    !dag_get_object(t->spec, "conf", false, &conf, at, e))
		return false;
	if (params && !dag_check_params(params, DAG_KEY(at, "parameters"), e))
		return false;
	return !conf || dag_check_task_conf(conf, DAG_KEY(at, "conf"), e);
}

bool dag_parse_tasks(struct dag_full *f, json_t *dag, struct err *e)
{
	const struct dag_at *dag_at = DAG_KEY(NULL, "dag");
	const struct dag_at *at = DAG_KEY(dag_at, "tasks");
	enum dag_stage stage;
	json_t *tasks = NULL, *v;
	const char *name;
	size_t pairs = 0;
	bool has_stage;

	if (!dag_get_stage(dag, &stage, &has_stage, dag_at, e) ||
	    !dag_get_object(dag, "tasks", true, &tasks, dag_at, e))
		return false;
	if (json_object_size(tasks) == 0)
		return dag_bad(e, ERR_JOB_PARAMS, at, "no tasks; a job needs at least one");
	if (json_object_size(tasks) > DAG_TASKS_MAX)
		return dag_bad(e, ERR_LIMIT, at, "%zu tasks; the limit is %d",
			       json_object_size(tasks), DAG_TASKS_MAX);
	f->pub.tasks = mem_array(json_object_size(tasks), sizeof(*f->pub.tasks));
	json_object_foreach (tasks, name, v) {
		const struct dag_at *here = DAG_KEY(at, name);
		struct dag_task *t = &f->pub.tasks[f->pub.n_tasks++];

		t->spec = v;
		if (!dag_check_key(name, DAG_NAME_MAX, here, e))
			return false;
		str_copy(t->name, sizeof(t->name), name);
		map_set(f->task_index, name, (void *)(intptr_t)f->pub.n_tasks);
		if (!parse_task(f, t, has_stage ? &stage : NULL, here, e))
			return false;
		pairs += t->n_parties;
		if (pairs > DAG_TASK_PARTIES_MAX)
			return dag_bad(
			    e, ERR_LIMIT, at,
			    "tasks times parties is more than %d; split the job, or give "
			    "tasks fewer parties",
			    DAG_TASK_PARTIES_MAX);
	}
	return true;
}
