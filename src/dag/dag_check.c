/* A compiled job against the descriptions of its components (`component desc`). */
#include "dag/dag_impl.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static const char *const groups[] = {"data", "model"};

/* The component's own object, with or without the `component` wrapper; NULL: not a description. */
static json_t *component_of(const json_t *desc)
{
	json_t *inner = json_object_get(desc, "component");

	if (json_is_object(inner))
		return inner;
	return json_is_object(desc) ? (json_t *)(uintptr_t)desc : NULL;
}

/* A missing or empty list means "any". */
static bool allows(const json_t *list, const char *name)
{
	json_t *v;
	size_t i;

	if (json_array_size(list) == 0)
		return true;
	json_array_foreach (list, i, v)
		if (str_eq(json_string_value(v), name))
			return true;
	return false;
}

static void list_strings(struct buf *out, const json_t *list)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		dag_list_add(out, i, json_is_string(v) ? json_string_value(v) : "?");
	dag_list_end(out, json_array_size(list));
}

/* "; did you mean 'x'?" or "; <what> are a, b, c", out of the keys of obj. */
static void suggest_keys(struct buf *out, const char *wanted, json_t *obj, const char *what)
{
	struct dag_near near = {wanted, NULL, 0};
	const char *key;
	json_t *v;
	size_t i = 0;

	json_object_foreach (obj, key, v)
		dag_near_try(&near, key);
	if (dag_near_text(&near, out))
		return;
	if (json_object_size(obj) == 0) {
		buf_adds(out, "; there are none");
		return;
	}
	buf_printf(out, "; %s are ", what);
	json_object_foreach (obj, key, v)
		dag_list_add(out, i++, key);
	dag_list_end(out, i);
}

static bool check_roles(const struct dag *d, const struct dag_task *t, const json_t *comp,
			const struct dag_at *at, struct err *e)
{
	const json_t *roles = json_object_get(comp, "roles");

	for (size_t i = 0; i < t->n_parties; i++) {
		const struct dag_party *p = &d->parties[t->parties[i]];
		struct buf b = {0};

		if (allows(roles, dag_role_name(p->role)))
			continue;
		list_strings(&b, roles);
		dag_bad(e, ERR_JOB_PARAMS, DAG_KEY(at, "parties"),
			"%s %s cannot run component %s, which is for %s; list the task's parties "
			"without it",
			dag_role_name(p->role), p->id, DAG_Q(t->component), buf_str(&b));
		buf_free(&b);
		return false;
	}
	return true;
}

/* The stages for which any artifact is declared; none declared at all: any stage is taken. */
static void collect_stages(const json_t *comp, bool met[STAGE_COUNT])
{
	static const char *const sides[] = {"input_artifacts", "output_artifacts"};

	for (size_t s = 0; s < ARRAY_LEN(sides); s++) {
		json_t *all = json_object_get(comp, sides[s]), *group, *artifact, *v;
		const char *group_name, *key;
		size_t i;

		json_object_foreach (all, group_name, group)
			json_object_foreach (group, key, artifact)
				json_array_foreach (json_object_get(artifact, "stages"), i, v) {
					enum dag_stage stage;

					if (json_is_string(v) &&
					    dag_stage_parse(json_string_value(v), &stage))
						met[stage] = true;
				}
	}
}

static bool check_stage(const struct dag_task *t, const json_t *comp, const struct dag_at *at,
			struct err *e)
{
	bool met[STAGE_COUNT] = {false};
	struct buf b = {0};
	size_t n = 0;

	collect_stages(comp, met);
	for (int s = 0; s < STAGE_COUNT; s++)
		if (met[s])
			dag_list_add(&b, n++, dag_stage_name((enum dag_stage)s));
	if (n && !met[t->stage])
		dag_bad(e, ERR_JOB_PARAMS, DAG_KEY(at, "stage"),
			"component %s has no stage %s; set stage: %s", DAG_Q(t->component),
			dag_stage_name(t->stage), buf_str(&b));
	buf_free(&b);
	return n == 0 || met[t->stage];
}

static bool check_params(const struct dag_task *t, json_t *given, json_t *known,
			 const struct dag_at *task_at, struct err *e)
{
	const char *key;
	json_t *v;

	json_object_foreach (given, key, v) {
		struct buf b = {0};

		if (json_object_get(known, key))
			continue;
		suggest_keys(&b, key, known, "its parameters");
		dag_bad(e, ERR_JOB_PARAMS, DAG_KEY(DAG_KEY(task_at, "parameters"), key),
			"component %s has no such parameter%s", DAG_Q(t->component), buf_str(&b));
		buf_free(&b);
		return false;
	}
	return true;
}

static bool check_all_params(const struct dag_full *f, const struct dag_task *t, const json_t *comp,
			     const struct dag_at *at, struct err *e)
{
	const struct dag_at *sites_at = DAG_KEY(DAG_KEY(NULL, "dag"), "party_tasks");
	json_t *known = json_object_get(comp, "parameters");
	json_t *sites = json_object_get(json_object_get(f->pub.root, "dag"), "party_tasks"), *site;
	const char *name;

	if (!json_is_object(known)) /* the description does not say */
		return true;
	if (!check_params(t, json_object_get(t->spec, "parameters"), known, at, e))
		return false;
	json_object_foreach (sites, name, site) {
		const struct dag_at *here = DAG_KEY(DAG_KEY(sites_at, name), "tasks");
		json_t *own = json_object_get(json_object_get(site, "tasks"), t->name);

		if (!check_params(t, json_object_get(own, "parameters"), known,
				  DAG_KEY(here, t->name), e))
			return false;
	}
	return true;
}

static bool unknown_input(const struct dag_task *t, const json_t *inputs, size_t g, const char *key,
			  const struct dag_at *at, struct err *e)
{
	const char *other = groups[1 - g];
	struct buf b = {0};

	if (json_object_get(json_object_get(inputs, other), key))
		buf_printf(&b, "; %s is a %s input, move it to inputs.%s", key, other, other);
	else
		suggest_keys(&b, key, json_object_get(inputs, groups[g]), "its inputs");
	dag_bad(e, ERR_JOB_PARAMS, at, "component %s has no %s input of this name%s",
		DAG_Q(t->component), groups[g], buf_str(&b));
	buf_free(&b);
	return false;
}

static bool check_input_names(const struct dag_task *t, const json_t *inputs,
			      const struct dag_at *task_at, struct err *e)
{
	const struct dag_at *at = DAG_KEY(task_at, "inputs");

	for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
		json_t *known = json_object_get(inputs, groups[g]), *v;
		json_t *given = json_object_get(json_object_get(t->spec, "inputs"), groups[g]);
		const struct dag_at *group_at = DAG_KEY(at, groups[g]);
		const char *key;

		json_object_foreach (given, key, v)
			if (!json_object_get(known, key))
				return unknown_input(t, inputs, g, key, DAG_KEY(group_at, key), e);
	}
	return true;
}

/* How many channels of one input supply one party. */
struct count {
	const struct dag_full *f;
	const char *group;
	const char *key;
	int party;
	size_t n;
};

static bool count_channel(const struct dag_channel *c, void *arg)
{
	struct count *n = arg;

	if (strcmp(c->group, n->group) == 0 && strcmp(c->key, n->key) == 0 &&
	    dag_channel_counts(n->f, c, n->party))
		n->n++;
	return true;
}

static bool check_supply(const struct dag_full *f, const struct dag_task *t, const char *group,
			 const char *key, const json_t *artifact, const struct dag_at *at,
			 struct err *e)
{
	bool optional = json_is_true(json_object_get(artifact, "optional"));
	bool multi = json_is_true(json_object_get(artifact, "is_multi"));

	for (size_t i = 0; i < t->n_parties; i++) {
		const struct dag_party *p = &f->pub.parties[t->parties[i]];
		struct count c = {f, group, key, t->parties[i], 0};

		if (!allows(json_object_get(artifact, "roles"), dag_role_name(p->role)))
			continue;
		dag_each_channel(f, t, count_channel, &c);
		if (c.n == 0 && !optional)
			return dag_bad(e, ERR_JOB_PARAMS, at,
				       "component %s needs this input at %s %s, and nothing "
				       "supplies it there; connect it to the output of a task that "
				       "runs there, or to a warehouse",
				       DAG_Q(t->component), dag_role_name(p->role), p->id);
		if (c.n > 1 && !multi)
			return dag_bad(e, ERR_JOB_PARAMS, at,
				       "component %s takes one %s here, and %s %s gets %zu",
				       DAG_Q(t->component), group, dag_role_name(p->role), p->id,
				       c.n);
	}
	return true;
}

static bool check_inputs(const struct dag_full *f, const struct dag_task *t, const json_t *comp,
			 const struct dag_at *task_at, struct err *e)
{
	const json_t *inputs = json_object_get(comp, "input_artifacts");
	const struct dag_at *at = DAG_KEY(task_at, "inputs");

	if (!json_is_object(inputs)) /* the description does not say */
		return true;
	if (!check_input_names(t, inputs, task_at, e))
		return false;
	for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
		const struct dag_at *group_at = DAG_KEY(at, groups[g]);
		json_t *artifact;
		const char *key;

		json_object_foreach (json_object_get(inputs, groups[g]), key, artifact)
			/* FATE ignores an input that belongs to another stage. */
			if (allows(json_object_get(artifact, "stages"), dag_stage_name(t->stage)) &&
			    !check_supply(f, t, groups[g], key, artifact, DAG_KEY(group_at, key),
					  e))
				return false;
	}
	return true;
}

bool dag_check_component(const struct dag *d, int task, const json_t *component_desc, struct err *e)
{
	const struct dag_at *at = DAG_KEY(DAG_KEY(NULL, "dag"), "tasks");
	const json_t *comp = component_of(component_desc);
	const struct dag_task *t;

	if (task < 0 || (size_t)task >= d->n_tasks)
		return err_set(e, ERR_INTERNAL, "no task %d in the job", task);
	t = &d->tasks[task];
	at = DAG_KEY(at, t->name);
	if (!comp)
		return dag_bad(e, ERR_PROVIDER_PARAMS, DAG_KEY(at, "component_ref"),
			       "the description of component %s is not an object; register the "
			       "provider anew",
			       DAG_Q(t->component));
	return check_roles(d, t, comp, at, e) && check_stage(t, comp, at, e) &&
	       check_all_params(dag_full(d), t, comp, at, e) &&
	       check_inputs(dag_full(d), t, comp, at, e);
}

struct link_check {
	const struct dag_full *f;
	const json_t *const *descs;
	struct err *e;
};

static bool check_link(const struct dag_channel *c, void *arg)
{
	const struct link_check *l = arg;
	const char *key = json_string_value(json_object_get(c->spec, "output_artifact_key"));
	const json_t *desc = c->producer < 0 ? NULL : l->descs[c->producer];
	const struct dag_at *at = DAG_KEY(c->at, "output_artifact_key");
	const struct dag_task *t;
	json_t *outputs, *artifact;
	struct buf b = {0};

	if (!desc)
		return true;
	outputs = json_object_get(component_of(desc), "output_artifacts");
	if (!json_is_object(outputs)) /* the description does not say */
		return true;
	t = &l->f->pub.tasks[c->producer];
	outputs = json_object_get(outputs, c->group);
	artifact = json_object_get(outputs, key);
	if (!artifact) {
		suggest_keys(&b, key, outputs, "its outputs");
		dag_bad(l->e, ERR_JOB_PARAMS, at, "%s (component %s) has no %s output %s%s",
			t->name, t->component, c->group, DAG_Q(key), buf_str(&b));
		buf_free(&b);
		return false;
	}
	if (allows(json_object_get(artifact, "stages"), dag_stage_name(t->stage)))
		return true;
	list_strings(&b, json_object_get(artifact, "stages"));
	dag_bad(l->e, ERR_JOB_PARAMS, at,
		"%s runs in stage %s, and component %s makes output %s only in %s", t->name,
		dag_stage_name(t->stage), t->component, DAG_Q(key), buf_str(&b));
	buf_free(&b);
	return false;
}

bool dag_check_links(const struct dag *d, const json_t *const *descs_by_task, struct err *e)
{
	struct link_check l = {dag_full(d), descs_by_task, e};

	for (size_t i = 0; i < d->n_tasks; i++)
		if (!dag_each_channel(l.f, &d->tasks[i], check_link, &l))
			return false;
	return true;
}
