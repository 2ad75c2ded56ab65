#include "dag/dag_impl.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static const char *const source_names[] = {
    [SOURCE_TASK] = "task_output_artifact",
    [SOURCE_DATA_WAREHOUSE] = "data_warehouse",
    [SOURCE_MODEL_WAREHOUSE] = "model_warehouse",
};

static const char *const groups[] = {"data", "model"};

/* The producers found so far for one task. */
struct deps {
	int *list;
	size_t n;
	size_t cap;
};

static bool source_parse(const char *s, enum dag_source *out)
{
	for (size_t i = 0; i < ARRAY_LEN(source_names); i++)
		if (strcmp(s, source_names[i]) == 0) {
			*out = (enum dag_source)i;
			return true;
		}
	return false;
}

static void add_dep(struct deps *deps, int producer)
{
	if (deps->n == deps->cap) {
		deps->cap = deps->cap ? deps->cap * 2 : 4;
		deps->list = mem_resize(deps->list, deps->cap, sizeof(*deps->list));
	}
	deps->list[deps->n++] = producer;
}

static bool check_task_channel(struct dag_full *f, json_t *c, struct deps *deps,
			       const struct dag_at *at, struct err *e)
{
	static const struct dag_field fields[] = {{"producer_task", false},
						  {"output_artifact_key", false},
						  {"output_artifact_type_alias", false},
						  {"parties", false}};
	const char *producer = NULL, *key = NULL, *alias = NULL;
	int task;

	if (!DAG_FIELDS(c, fields, at, e) ||
	    !dag_get_text(c, "producer_task", DAG_KEY_MAX, true, &producer, at, e) ||
	    !dag_get_name(c, "output_artifact_key", DAG_KEY_MAX, true, &key, at, e) ||
	    !dag_get_text(c, "output_artifact_type_alias", DAG_KEY_MAX, false, &alias, at, e))
		return false;
	task = dag_find_task(&f->pub, producer);
	if (task < 0)
		return dag_no_task(f, producer, DAG_KEY(at, "producer_task"), e);
	add_dep(deps, task);
	return true;
}

static bool check_data_channel(json_t *c, const struct dag_at *at, struct err *e)
{
	static const struct dag_field fields[] = {
	    {"namespace", false},     {"name", false},       {"job_id", false},
	    {"producer_task", false}, {"dataset_id", false}, {"output_artifact_key", false},
	    {"parties", false},
	};
	const char *ns = NULL, *name = NULL, *job = NULL, *task = NULL, *key = NULL, *set = NULL;

	if (!DAG_FIELDS(c, fields, at, e) ||
	    !dag_get_text(c, "namespace", DAG_TEXT_MAX, false, &ns, at, e) ||
	    !dag_get_text(c, "name", DAG_TEXT_MAX, false, &name, at, e) ||
	    !dag_get_name(c, "job_id", DAG_KEY_MAX, false, &job, at, e) ||
	    !dag_get_name(c, "producer_task", DAG_NAME_MAX, false, &task, at, e) ||
	    !dag_get_name(c, "output_artifact_key", DAG_KEY_MAX, false, &key, at, e) ||
	    !dag_get_text(c, "dataset_id", DAG_TEXT_MAX, false, &set, at, e))
		return false;
	if ((ns || name) && (job || task || key))
		return dag_bad(
		    e, ERR_JOB_PARAMS, at,
		    "names both a table and the output of a job; keep namespace and name, "
		    "or job_id, producer_task and output_artifact_key");
	if ((ns && name) || (job && task && key))
		return true;
	if (job || task || key)
		return dag_bad(
		    e, ERR_JOB_PARAMS, at,
		    "%s is missing; job_id, producer_task and output_artifact_key belong "
		    "together",
		    !job    ? "job_id"
		    : !task ? "producer_task"
			    : "output_artifact_key");
	return dag_bad(e, ERR_JOB_PARAMS, at, "%s missing; a table needs namespace and name",
		       ns     ? "name is"
		       : name ? "namespace is"
			      : "namespace and name are");
}

static bool check_model_channel(json_t *c, const struct dag_at *at, struct err *e)
{
	static const struct dag_field fields[] = {{"model_id", false},
						  {"model_version", false},
						  {"producer_task", false},
						  {"output_artifact_key", false},
						  {"parties", false}};
	const char *id = NULL, *version = NULL, *task = NULL, *key = NULL;

	if (!DAG_FIELDS(c, fields, at, e) ||
	    !dag_get_name(c, "model_id", DAG_KEY_MAX, false, &id, at, e) ||
	    !dag_get_name(c, "model_version", DAG_KEY_MAX, false, &version, at, e) ||
	    !dag_get_name(c, "producer_task", DAG_NAME_MAX, true, &task, at, e) ||
	    !dag_get_name(c, "output_artifact_key", DAG_KEY_MAX, true, &key, at, e))
		return false;
	if (!id == !version)
		return true;
	return dag_bad(e, ERR_JOB_PARAMS, DAG_KEY(at, id ? "model_version" : "model_id"),
		       "is missing; give model_id and model_version, or neither");
}

static bool check_channel(struct dag_full *f, enum dag_source source, json_t *c, struct deps *deps,
			  const struct dag_at *at, struct err *e)
{
	json_t *parties;
	bool ok;

	if (source == SOURCE_TASK)
		ok = check_task_channel(f, c, deps, at, e);
	else if (source == SOURCE_DATA_WAREHOUSE)
		ok = check_data_channel(c, at, e);
	else
		ok = check_model_channel(c, at, e);
	if (!ok)
		return false;
	parties = json_object_get(c, "parties");
	if (!parties)
		return true;
	if (json_is_array(parties) && json_array_size(parties) == 0) {
		json_object_del(c, "parties"); /* the same as none, as in FATE */
		return true;
	}
	return dag_resolve_parties(f, parties, NULL, NULL, DAG_KEY(at, "parties"), e);
}

static bool check_source(struct dag_full *f, size_t group, const char *name, json_t *v,
			 struct deps *deps, const struct dag_at *at, struct err *e)
{
	const char *warehouse =
	    source_names[group ? SOURCE_MODEL_WAREHOUSE : SOURCE_DATA_WAREHOUSE];
	struct dag_near near = {name, NULL, 0};
	enum dag_source source;
	struct buf b = {0};
	json_t *c;
	size_t i;

	if (!source_parse(name, &source) ||
	    (source != SOURCE_TASK && strcmp(name, warehouse) != 0)) {
		dag_near_try(&near, source_names[SOURCE_TASK]);
		dag_near_try(&near, warehouse);
		dag_near_text(&near, &b);
		dag_bad(e, ERR_JOB_PARAMS, at, "unknown source%s; a %s input comes from %s or %s",
			buf_str(&b), groups[group], source_names[SOURCE_TASK], warehouse);
		buf_free(&b);
		return false;
	}
	if (!json_is_array(v))
		return check_channel(f, source, v, deps, at, e);
	if (json_array_size(v) == 0 || json_array_size(v) > DAG_CHANNELS_MAX)
		return dag_bad(e, json_array_size(v) ? ERR_LIMIT : ERR_JOB_PARAMS, at,
			       "has %zu channels; between 1 and %d are possible",
			       json_array_size(v), DAG_CHANNELS_MAX);
	json_array_foreach (v, i, c)
		if (!check_channel(f, source, c, deps, DAG_IDX(at, i), e))
			return false;
	return true;
}

static bool check_key(struct dag_full *f, size_t group, const char *key, json_t *sources,
		      struct deps *deps, const struct dag_at *at, struct err *e)
{
	const char *name;
	json_t *v;

	if (!dag_check_key(key, DAG_KEY_MAX, at, e))
		return false;
	if (!json_is_object(sources) || json_object_size(sources) == 0)
		return dag_bad(e, ERR_JOB_PARAMS, at,
			       "must be an object that names a source, as {task_output_artifact: "
			       "{producer_task: reader_0, output_artifact_key: output_data}}");
	json_object_foreach (sources, name, v)
		if (!check_source(f, group, name, v, deps, DAG_KEY(at, name), e))
			return false;
	return true;
}

static bool check_group(struct dag_full *f, size_t group, json_t *inputs, struct deps *deps,
			const struct dag_at *inputs_at, struct err *e)
{
	const struct dag_at *at = DAG_KEY(inputs_at, groups[group]);
	json_t *keys = NULL, *v;
	const char *key;
	void *next;

	if (!dag_get_object(inputs, groups[group], false, &keys, inputs_at, e))
		return false;
	if (!keys)
		return true;
	if (json_object_size(keys) > DAG_INPUT_KEYS_MAX)
		return dag_bad(e, ERR_LIMIT, at, "more than %d inputs", DAG_INPUT_KEYS_MAX);
	json_object_foreach_safe(keys, next, key, v)
	{
		if (json_is_null(v))
			json_object_del(keys, key);
		else if (!check_key(f, group, key, v, deps, DAG_KEY(at, key), e))
			return false;
	}
	return true;
}

static int cmp_int(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static bool parse_task_inputs(struct dag_full *f, struct dag_task *t, const struct dag_at *at,
			      struct err *e)
{
	static const struct dag_field fields[] = {{"data", false}, {"model", false}};
	struct deps deps = {0};
	json_t *inputs = NULL;
	size_t n = 0;
	bool ok;

	if (!dag_get_object(t->spec, "inputs", false, &inputs, at, e))
		return false;
	if (!inputs)
		return true;
	at = DAG_KEY(at, "inputs");
	ok = DAG_FIELDS(inputs, fields, at, e) && check_group(f, 0, inputs, &deps, at, e) &&
	     check_group(f, 1, inputs, &deps, at, e);
	if (deps.n)
		qsort(deps.list, deps.n, sizeof(*deps.list), cmp_int);
	for (size_t i = 0; i < deps.n; i++)
		if (n == 0 || deps.list[n - 1] != deps.list[i])
			deps.list[n++] = deps.list[i];
	t->deps = deps.list;
	t->n_deps = n;
	return ok;
}

bool dag_parse_inputs(struct dag_full *f, struct err *e)
{
	const struct dag_at *at = DAG_KEY(DAG_KEY(NULL, "dag"), "tasks");

	for (size_t i = 0; i < f->pub.n_tasks; i++) {
		struct dag_task *t = &f->pub.tasks[i];

		if (!parse_task_inputs(f, t, DAG_KEY(at, t->name), e))
			return false;
	}
	return true;
}

static bool visit(const struct dag_full *f, struct dag_channel *c, json_t *spec,
		  const struct dag_at *at, dag_channel_fn *fn, void *arg)
{
	c->spec = spec;
	c->at = at;
	c->producer = -1;
	if (c->source == SOURCE_TASK)
		c->producer = dag_find_task(
		    &f->pub, json_string_value(json_object_get(spec, "producer_task")));
	return fn(c, arg);
}

static bool each_in_key(const struct dag_full *f, struct dag_channel *c, json_t *sources,
			const struct dag_at *key_at, dag_channel_fn *fn, void *arg)
{
	const char *name;
	json_t *v, *spec;
	size_t i;

	json_object_foreach (sources, name, v) {
		const struct dag_at *at = DAG_KEY(key_at, name);

		if (!source_parse(name, &c->source))
			continue;
		if (!json_is_array(v)) {
			if (!visit(f, c, v, at, fn, arg))
				return false;
			continue;
		}
		json_array_foreach (v, i, spec)
			if (!visit(f, c, spec, DAG_IDX(at, i), fn, arg))
				return false;
	}
	return true;
}

bool dag_each_channel(const struct dag_full *f, const struct dag_task *t, dag_channel_fn *fn,
		      void *arg)
{
	const struct dag_at *at = DAG_KEY(DAG_KEY(DAG_KEY(NULL, "dag"), "tasks"), t->name);
	json_t *inputs = json_object_get(t->spec, "inputs");

	at = DAG_KEY(at, "inputs");
	for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
		const struct dag_at *group_at = DAG_KEY(at, groups[g]);
		json_t *keys = json_object_get(inputs, groups[g]), *sources;
		const char *key;

		json_object_foreach (keys, key, sources) {
			struct dag_channel c = {groups[g], key, SOURCE_TASK, NULL, -1, NULL};

			if (!each_in_key(f, &c, sources, DAG_KEY(group_at, key), fn, arg))
				return false;
		}
	}
	return true;
}

bool dag_channel_counts(const struct dag_full *f, const struct dag_channel *c, int party)
{
	json_t *parties = json_object_get(c->spec, "parties");

	if (parties && !dag_list_has_party(parties, &f->pub.parties[party]))
		return false;
	return c->producer < 0 || dag_task_runs_at(&f->pub.tasks[c->producer], party);
}

struct reduction {
	const struct dag_full *f;
	int party;
	json_t *out;
};

/* A channel of the model warehouse without a model means the job's. */
static void fill_model(const struct dag_full *f, json_t *channel)
{
	json_t *from = json_object_get(f->conf, "model_warehouse");

	if (json_object_get(channel, "model_id"))
		return;
	if (!from)
		from = f->conf;
	if (!json_object_get(from, "model_id"))
		return;
	json_object_set(channel, "model_id", json_object_get(from, "model_id"));
	json_object_set(channel, "model_version", json_object_get(from, "model_version"));
}

static bool reduce_channel(const struct dag_channel *c, void *arg)
{
	struct reduction *r = arg;
	const struct dag_party *p = &r->f->pub.parties[r->party];
	json_t *group = json_object_get(r->out, c->group), *list, *channel;

	if (!dag_channel_counts(r->f, c, r->party))
		return true;
	channel = json_deep_copy(c->spec);
	if (c->source == SOURCE_MODEL_WAREHOUSE)
		fill_model(r->f, channel);
	json_object_set_new(
	    channel, "parties",
	    json_pack("[{s:s, s:[s]}]", "role", dag_role_name(p->role), "party_id", p->id));
	list = json_object_get(group, c->key);
	if (!list) {
		list = json_array();
		json_object_set_new(group, c->key, list);
	}
	json_array_append_new(list, channel);
	return true;
}

json_t *dag_reduce_inputs(const struct dag_full *f, const struct dag_task *t, int party)
{
	struct reduction r = {f, party, json_pack("{s:{}, s:{}}", "data", "model")};

	dag_each_channel(f, t, reduce_channel, &r);
	for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
		json_t *group = json_object_get(r.out, groups[g]), *list;
		const char *key;

		/* Replacing the value of a present key is allowed while iterating. */
		json_object_foreach (group, key, list)
			if (json_array_size(list) == 1)
				json_object_set(group, key, json_array_get(list, 0));
	}
	return r.out;
}
