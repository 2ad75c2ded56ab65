#include "dag/dag_impl.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What happens to each role + party pair of a list. */
typedef bool pair_fn(struct dag_full *f, enum dag_role role, const char *id, void *arg,
		     const struct dag_at *at, struct err *e);

static bool parse_role(json_t *party, enum dag_role *role, const struct dag_at *at, struct err *e)
{
	const char *s = NULL;

	if (!dag_get_text(party, "role", DAG_KEY_MAX, true, &s, at, e))
		return false;
	if (dag_role_parse(s, role))
		return true;
	return dag_bad(e, ERR_JOB_PARAMS, DAG_KEY(at, "role"),
		       "no role %s; roles are guest, host, arbiter, local", DAG_Q(s));
}

/* Writes an id that was given as a number as a string. */
static const char *parse_id(json_t *ids, size_t i, const struct dag_at *at, struct err *e)
{
	json_t *v = json_array_get(ids, i);
	const char *id;

	if (json_is_integer(v)) {
		char s[32];

		snprintf(s, sizeof(s), "%lld", (long long)json_integer_value(v));
		json_array_set_new(ids, i, json_string(s));
		v = json_array_get(ids, i);
	}
	id = json_string_value(v);
	if (!id) {
		dag_bad(e, ERR_JOB_PARAMS, at, "must be a party id, as \"9999\"");
		return NULL;
	}
	return dag_check_key(id, DAG_PARTY_ID_MAX, at, e) ? id : NULL;
}

static bool each_pair(struct dag_full *f, json_t *list, pair_fn *fn, void *arg,
		      const struct dag_at *at, struct err *e)
{
	static const struct dag_field fields[] = {{"role", false}, {"party_id", false}};
	json_t *party;
	size_t i;

	if (!json_is_array(list))
		return dag_bad(e, ERR_JOB_PARAMS, at,
			       "must be a list, as [{role: guest, party_id: [\"9999\"]}]");
	json_array_foreach (list, i, party) {
		const struct dag_at *here = DAG_IDX(at, i);
		const struct dag_at *ids_at = DAG_KEY(here, "party_id");
		json_t *ids;
		enum dag_role role;

		if (!DAG_FIELDS(party, fields, here, e) || !parse_role(party, &role, here, e))
			return false;
		ids = json_object_get(party, "party_id");
		if (!json_is_array(ids) || json_array_size(ids) == 0)
			return dag_bad(e, ERR_JOB_PARAMS, ids_at,
				       "must be a list of party ids, as [\"9999\"]");
		for (size_t k = 0; k < json_array_size(ids); k++) {
			const struct dag_at *id_at = DAG_IDX(ids_at, k);
			const char *id = parse_id(ids, k, id_at, e);

			if (!id || !fn(f, role, id, arg, id_at, e))
				return false;
		}
	}
	return true;
}

static void party_key(char *out, size_t size, enum dag_role role, const char *id)
{
	snprintf(out, size, "%s:%s", dag_role_name(role), id);
}

int dag_find_party(const struct dag *d, enum dag_role role, const char *id)
{
	char key[DAG_PARTY_ID_MAX + 16];

	if (role < 0 || role >= ROLE_COUNT || strlen(id) > DAG_PARTY_ID_MAX)
		return -1;
	party_key(key, sizeof(key), role, id);
	return (int)(intptr_t)map_get(dag_full(d)->party_index, key) - 1;
}

static bool define_pair(struct dag_full *f, enum dag_role role, const char *id, void *arg,
			const struct dag_at *at, struct err *e)
{
	struct dag *d = &f->pub;
	char key[DAG_PARTY_ID_MAX + 16];
	struct dag_party *p;

	(void)arg;
	if (d->n_parties == DAG_PARTIES_MAX)
		return dag_bad(e, ERR_LIMIT, at, "more than %d parties", DAG_PARTIES_MAX);
	p = &d->parties[d->n_parties];
	p->role = role;
	str_copy(p->id, sizeof(p->id), id);
	party_key(key, sizeof(key), role, id);
	if (map_set(f->party_index, key, (void *)(intptr_t)(d->n_parties + 1)))
		return dag_bad(e, ERR_JOB_PARAMS, at, "%s %s is named a second time",
			       dag_role_name(role), id);
	d->n_parties++;
	return true;
}

bool dag_parse_parties(struct dag_full *f, json_t *dag, struct err *e)
{
	const struct dag_at *at = DAG_KEY(DAG_KEY(NULL, "dag"), "parties");
	json_t *list = json_object_get(dag, "parties");
	struct dag *d = &f->pub;

	if (!list || (json_is_array(list) && json_array_size(list) == 0))
		return dag_bad(e, ERR_JOB_PARAMS, at,
			       "no parties; name them, as [{role: guest, party_id: [\"9999\"]}]");
	d->parties = mem_array(DAG_PARTIES_MAX, sizeof(*d->parties));
	if (!each_pair(f, list, define_pair, NULL, at, e))
		return false;
	d->parties = mem_resize(d->parties, d->n_parties, sizeof(*d->parties));
	f->seen = mem_array(d->n_parties, sizeof(*f->seen));
	f->all_parties = mem_array(d->n_parties, sizeof(*f->all_parties));
	f->party_sites = mem_array(d->n_parties, sizeof(*f->party_sites));
	for (size_t i = 0; i < d->n_parties; i++)
		f->all_parties[i] = (int)i;
	return true;
}

struct resolved {
	int *list;
	size_t n;
};

static bool resolve_pair(struct dag_full *f, enum dag_role role, const char *id, void *arg,
			 const struct dag_at *at, struct err *e)
{
	struct resolved *r = arg;
	int p = dag_find_party(&f->pub, role, id);

	if (p < 0)
		return dag_bad(e, ERR_JOB_PARAMS, at,
			       "%s %s is not among dag.parties; add it there, or remove it here",
			       dag_role_name(role), id);
	if (f->seen[p] == f->stamp)
		return dag_bad(e, ERR_JOB_PARAMS, at, "%s %s is named a second time",
			       dag_role_name(role), id);
	f->seen[p] = f->stamp;
	if (r->list)
		r->list[r->n] = p;
	r->n++;
	return true;
}

static int by_index(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

bool dag_resolve_parties(struct dag_full *f, json_t *list, int **out, size_t *n_out,
			 const struct dag_at *at, struct err *e)
{
	struct resolved r = {NULL, 0};

	f->stamp++;
	if (out)
		r.list = mem_array(f->pub.n_parties, sizeof(*r.list));
	if (!each_pair(f, list, resolve_pair, &r, at, e)) {
		free(r.list);
		return false;
	}
	if (out) {
		qsort(r.list, r.n, sizeof(*r.list), by_index);
		*out = mem_resize(r.list, r.n ? r.n : 1, sizeof(*r.list));
		*n_out = r.n;
	}
	return true;
}

bool dag_list_has_party(const json_t *list, const struct dag_party *p)
{
	json_t *party, *id;
	size_t i, k;

	json_array_foreach (list, i, party) {
		if (!str_eq(json_string_value(json_object_get(party, "role")),
			    dag_role_name(p->role)))
			continue;
		json_array_foreach (json_object_get(party, "party_id"), k, id)
			if (str_eq(json_string_value(id), p->id))
				return true;
	}
	return false;
}

/* A site without a party list is the party its name says: guest_9999. */
static bool site_by_name(struct dag_full *f, const char *name, int **out, size_t *n,
			 const struct dag_at *at, struct err *e)
{
	const char *id = strchr(name, '_');
	char role_name[16];
	enum dag_role role;
	int p = -1;

	if (id && (size_t)(id - name) < sizeof(role_name)) {
		memcpy(role_name, name, (size_t)(id - name));
		role_name[id - name] = 0;
		if (dag_role_parse(role_name, &role))
			p = dag_find_party(&f->pub, role, id + 1);
	}
	if (p < 0)
		return dag_bad(e, ERR_JOB_PARAMS, DAG_KEY(at, "parties"),
			       "is missing; say whose settings these are, as [{role: guest, "
			       "party_id: [\"9999\"]}]");
	*out = mem_array(1, sizeof(**out));
	**out = p;
	*n = 1;
	return true;
}

static bool site_task(struct dag_full *f, const char *name, json_t *v, const int *parties, size_t n,
		      const struct dag_at *at, struct err *e)
{
	static const struct dag_field fields[] = {{"parameters", false}, {"conf", false}};
	int task = dag_find_task(&f->pub, name);
	json_t *params = NULL, *conf = NULL;

	if (task < 0)
		return dag_no_task(f, name, at, e);
	for (size_t i = 0; i < n; i++) {
		const struct dag_party *p = &f->pub.parties[parties[i]];

		if (!dag_task_runs_at(&f->pub.tasks[task], parties[i]))
			return dag_bad(e, ERR_JOB_PARAMS, at,
				       "%s %s does not run this task; add it to "
				       "dag.tasks.%s.parties, or remove the settings",
				       dag_role_name(p->role), p->id, name);
	}
	if (!DAG_FIELDS(v, fields, at, e) ||
	    !dag_get_object(v, "parameters", false, &params, at, e) ||
	    !dag_get_object(v, "conf", false, &conf, at, e))
		return false;
	if (params && !dag_check_params(params, DAG_KEY(at, "parameters"), e))
		return false;
	return !conf || dag_check_task_conf(conf, DAG_KEY(at, "conf"), e);
}

static bool site_body(struct dag_full *f, struct dag_site *site, json_t *v, const int *parties,
		      size_t n, size_t *pairs, const struct dag_at *at, struct err *e)
{
	const struct dag_at *tasks_at = DAG_KEY(at, "tasks");
	const char *key;
	json_t *val;

	if (!dag_get_object(v, "tasks", false, &site->tasks, at, e) ||
	    !dag_get_object(v, "conf", false, &site->conf, at, e))
		return false;
	*pairs += n * (1 + json_object_size(site->tasks));
	if (*pairs > DAG_TASK_PARTIES_MAX)
		return dag_bad(e, ERR_LIMIT, at, "more than %d settings of one party for one task",
			       DAG_TASK_PARTIES_MAX);
	json_object_foreach (site->tasks, key, val)
		if (!site_task(f, key, val, parties, n, DAG_KEY(tasks_at, key), e))
			return false;
	return !site->conf || dag_check_task_conf(site->conf, DAG_KEY(at, "conf"), e);
}

static bool parse_site(struct dag_full *f, const char *name, json_t *v, size_t *pairs,
		       const struct dag_at *at, struct err *e)
{
	static const struct dag_field fields[] = {
	    {"parties", false}, {"tasks", false}, {"conf", false}};
	struct dag_site *site = &f->sites[f->n_sites];
	int *parties = NULL;
	size_t n = 0;
	json_t *list;
	bool ok;

	if (strlen(name) > DAG_KEY_MAX) /* otherwise the name is free */
		return dag_bad(e, ERR_LIMIT, at, "is longer than %d bytes", DAG_KEY_MAX);
	if (!DAG_FIELDS(v, fields, at, e))
		return false;
	list = json_object_get(v, "parties");
	if (list && !(json_is_array(list) && json_array_size(list) == 0))
		ok = dag_resolve_parties(f, list, &parties, &n, DAG_KEY(at, "parties"), e);
	else
		ok = site_by_name(f, name, &parties, &n, at, e);
	ok = ok && site_body(f, site, v, parties, n, pairs, at, e);
	for (size_t i = 0; ok && i < n; i++) {
		struct dag_party_sites *ps = &f->party_sites[parties[i]];

		ps->sites = mem_resize(ps->sites, ps->n + 1, sizeof(*ps->sites));
		ps->sites[ps->n++] = f->n_sites;
	}
	f->n_sites++;
	free(parties);
	return ok;
}

bool dag_parse_sites(struct dag_full *f, json_t *dag, struct err *e)
{
	const struct dag_at *dag_at = DAG_KEY(NULL, "dag");
	const struct dag_at *at = DAG_KEY(dag_at, "party_tasks");
	json_t *all = NULL, *v;
	const char *name;
	size_t pairs = 0;

	if (!dag_get_object(dag, "party_tasks", false, &all, dag_at, e))
		return false;
	if (!all)
		return true;
	f->sites = mem_array(json_object_size(all) + 1, sizeof(*f->sites));
	json_object_foreach (all, name, v)
		if (!parse_site(f, name, v, &pairs, DAG_KEY(at, name), e))
			return false;
	return true;
}
