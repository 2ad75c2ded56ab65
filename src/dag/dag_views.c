#include "dag/dag_impl.h"

#include "base/str.h"

struct links {
	const struct dag_full *f;
	const char *task;
	int party;
	bool any;
	json_t *out;
};

static bool add_link(const struct dag_channel *c, void *arg)
{
	struct links *l = arg;
	const json_t *producer = json_object_get(c->spec, "producer_task");
	const json_t *key = json_object_get(c->spec, "output_artifact_key");
	json_t *info;

	if (!dag_channel_counts(l->f, c, l->party))
		return true;
	l->any = true;
	if (str_eq(json_string_value(producer), l->task))
		return true; /* the model of the same task of an earlier job */
	info = json_array();
	if (key)
		json_array_append_new(info, json_string(json_string_value(key)));
	json_array_append_new(l->out,
			      json_pack("{s:s, s:s, s:s?, s:o}", "type", c->key, "model_type",
					c->group, "component_name", json_string_value(producer),
					"up_output_info", info));
	return true;
}

json_t *dag_dependency_view(const struct dag *d, int party)
{
	json_t *list = json_array(), *module = json_object(), *stage = json_object();
	json_t *dependencies = json_object();

	for (size_t i = 0; party >= 0 && (size_t)party < d->n_parties && i < d->n_tasks; i++) {
		const struct dag_task *t = &d->tasks[i];
		struct links l = {dag_full(d), t->name, party, false, NULL};

		if (!dag_task_runs_at(t, party))
			continue;
		l.out = json_array();
		dag_each_channel(l.f, t, add_link, &l);
		if (!l.any)
			json_array_append_new(l.out, json_pack("{s:[]}", "up_output_info"));
		json_array_append_new(list, json_string(t->name));
		json_object_set_new(module, t->name, json_string(t->component));
		json_object_set_new(stage, t->name, json_string(dag_stage_name(t->stage)));
		json_object_set_new(dependencies, t->name, l.out);
	}
	return json_pack("{s:o, s:o, s:o, s:o}", "component_list", list, "component_module", module,
			 "component_stage", stage, "dependencies", dependencies);
}

static void add_table(json_t *tables, const struct dag_full *f, const struct dag_task *t, int party)
{
	json_t *params = dag_merge_params(f, t, party);
	const char *name = json_string_value(json_object_get(params, "name"));
	const char *space = json_string_value(json_object_get(params, "namespace"));

	if (name && space)
		json_array_append_new(tables,
				      json_pack("{s:s, s:s}", "name", name, "namespace", space));
	json_decref(params);
}

json_t *dag_data_view(const struct dag *d)
{
	json_t *out = json_object();

	for (size_t p = 0; p < d->n_parties; p++) {
		const char *role = dag_role_name(d->parties[p].role);
		json_t *ids = json_object_get(out, role), *tables = json_array();

		if (!ids) {
			ids = json_object();
			json_object_set_new(out, role, ids);
		}
		json_object_set_new(ids, d->parties[p].id, tables);
		for (size_t i = 0; i < d->n_tasks; i++)
			if (str_eq(d->tasks[i].component, "reader") &&
			    dag_task_runs_at(&d->tasks[i], (int)p))
				add_table(tables, dag_full(d), &d->tasks[i], (int)p);
	}
	return out;
}
