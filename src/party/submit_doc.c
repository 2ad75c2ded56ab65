#include "party/submit_doc.h"

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/catalog.h"
#include "party/create.h"

#include <stdlib.h>

bool submit_all_local(const struct node *n, const struct dag *d)
{
	for (size_t i = 0; i < d->n_parties; i++) {
		if (!node_serves(n, d->parties[i].id))
			return false;
	}
	return true;
}

static bool is_local(const struct submit_doc *doc, size_t party)
{
	return node_serves(doc->node, doc->dag->parties[party].id);
}

/* Where in the definition a party stands, for messages. */
static void party_path(const struct dag *d, const struct dag_party *p, struct buf *out)
{
	size_t i;
	size_t k;
	json_t *entry;
	json_t *id;

	json_array_foreach (js_get(d->root, "dag.parties"), i, entry) {
		if (!str_eq(js_str(entry, "role", ""), dag_role_name(p->role)))
			continue;
		json_array_foreach (json_object_get(entry, "party_id"), k, id) {
			if (str_eq(json_string_value(id), p->id)) {
				buf_printf(out, "dag.parties[%zu].party_id[%zu]", i, k);
				return;
			}
		}
	}
	buf_adds(out, "dag.parties");
}

static bool check_route(const struct submit_doc *doc, size_t party, struct err *e)
{
	const struct dag_party *p = &doc->dag->parties[party];

	if (is_local(doc, party))
		return true;
	struct buf path = {0};
	party_path(doc->dag, p, &path);
	if (doc->node->tls == NULL)
		err_set(e, ERR_JOB_PARAMS,
			"%s: party %s is not served by this site, and this node has no connection "
			"to other "
			"sites (peer.ca, peer.cert and peer.key are not set)",
			buf_str(&path), p->id);
	else if (js_str(doc->routes, p->id, NULL) == NULL)
		err_set(e, ERR_JOB_PARAMS,
			"%s: there is no route to party %s; add one with `norn site add %s "
			"https://HOST:PORT`",
			buf_str(&path), p->id, p->id);
	else {
		buf_free(&path);
		return true;
	}
	buf_free(&path);
	return false;
}

static bool check_resources(const struct submit_doc *doc, size_t party, struct err *e)
{
	const struct node_conf *conf = doc->node->conf;
	const struct dag_party *p = &doc->dag->parties[party];
	int64_t cores = doc->parts[party].cores;
	int64_t memory_mb = doc->parts[party].memory_mb;

	if (cores > conf->cores)
		return err_set(
		    e, ERR_JOB_RESOURCE_LIMIT,
		    "%s %s needs %lld cores, this site has %lld in all: lower dag.conf.cores or "
		    "engine_run.cores, or raise resources.cores of the site",
		    dag_role_name(p->role), p->id, (long long)cores, (long long)conf->cores);
	if (conf->memory_mb > 0 && memory_mb > conf->memory_mb)
		return err_set(e, ERR_JOB_RESOURCE_LIMIT,
			       "%s %s needs %lld MiB of memory, this site has %lld in all: lower "
			       "dag.conf.memory "
			       "or raise resources.memory_mb of the site",
			       dag_role_name(p->role), p->id, (long long)memory_mb,
			       (long long)conf->memory_mb);
	return true;
}

/* Looks a component up; jobs name few, so the answer before is mostly this one too. */
struct lookup {
	json_t *providers;
	const char *provider; /* compared by its address: names are kept once */
	const char *component;
	const char *name; /* the registered provider */
	const json_t *desc;
};

static const json_t *look_up(struct lookup *l, const char *provider, const char *component,
			     struct err *e)
{
	if (l->desc != NULL && l->provider == provider && str_eq(l->component, component))
		return l->desc;
	l->provider = provider;
	l->component = component;
	l->desc = catalog_component(l->providers, provider, component, &l->name, e);
	return l->desc;
}

/* The tasks of one local party against their components; descs gets what was found. */
static bool check_components(const struct submit_doc *doc, size_t party, const json_t **descs,
			     struct err *e)
{
	struct submit_part *part = &doc->parts[party];
	struct lookup l = {.providers = doc->providers};

	for (size_t i = 0; i < part->n_runs; i++) {
		struct submit_run *run = &part->runs[i];
		const struct dag_task *t = &doc->dag->tasks[run->task];
		if (look_up(&l, run->provider, t->component, e) == NULL)
			return err_prefix(e, "dag.tasks.%s", t->name);
		run->provider = l.name;
	}
	for (size_t i = 0; i < part->n_runs; i++) {
		int task = part->runs[i].task;
		const json_t *desc =
		    look_up(&l, part->runs[i].provider, doc->dag->tasks[task].component, e);
		if (desc == NULL)
			return false;
		if (desc == descs[task])
			continue;
		descs[task] = desc;
		if (!dag_check_component(doc->dag, task, desc, e))
			return false;
	}
	return true;
}

/* Tasks without a local party are checked when their provider happens to be known here too. */
static bool check_remote_components(const struct submit_doc *doc, size_t party,
				    const json_t **descs, struct err *e)
{
	const struct submit_part *part = &doc->parts[party];
	struct lookup l = {.providers = doc->providers};
	struct err ignored;

	for (size_t i = 0; i < part->n_runs; i++) {
		int task = part->runs[i].task;
		if (descs[task] != NULL)
			continue;
		descs[task] =
		    look_up(&l, part->runs[i].provider, doc->dag->tasks[task].component, &ignored);
		if (descs[task] != NULL && !dag_check_component(doc->dag, task, descs[task], e))
			return false;
	}
	return true;
}

static bool check_all(const struct submit_doc *doc, struct err *e)
{
	const struct dag *d = doc->dag;
	const json_t **descs = mem_array(d->n_tasks, sizeof(*descs));
	bool ok = true;

	for (size_t i = 0; ok && i < d->n_parties; i++)
		ok = check_route(doc, i, e);
	for (size_t i = 0; ok && i < d->n_parties; i++) {
		if (is_local(doc, i))
			ok = check_components(doc, i, descs, e) && check_resources(doc, i, e);
	}
	for (size_t i = 0; ok && i < d->n_parties; i++) {
		if (!is_local(doc, i))
			ok = check_remote_components(doc, i, descs, e);
	}
	ok = ok && dag_check_links(d, descs, e);
	free(descs);
	return ok;
}

/* ---- the parts ---- */

static const char *keep_name(struct submit_doc *doc, const char *name)
{
	char *kept = map_get(doc->names, name);

	if (kept == NULL) {
		kept = mem_strdup(name);
		map_set(doc->names, name, kept);
	}
	return kept;
}

/* Configurations are printed at once: as trees those of a large job are millions of allocations. */
static bool add_run(struct submit_doc *doc, int task, int party, const struct dag_defaults *def,
		    struct err *e)
{
	struct submit_part *part = &doc->parts[party];
	json_t *config = party_task_config(doc->dag, task, party, def, e);

	if (config == NULL)
		return false;
	part->runs[part->n_runs++] = (struct submit_run){
	    .task = task,
	    .provider = keep_name(doc, js_str(config, "provider", "")),
	    .cores = js_int(config, "cores", 0),
	    .memory_mb = js_int(config, "memory_mb", 0),
	    .timeout_s = js_int(config, "timeout_s", def->task_timeout_s),
	};
	if (is_local(doc, (size_t)party))
		db_array_json(&doc->configs, config);
	json_decref(config);
	return true;
}

static bool make_parts(struct submit_doc *doc, const struct dag_defaults *def, struct err *e)
{
	const struct dag *d = doc->dag;

	doc->parts = mem_array(d->n_parties, sizeof(*doc->parts));
	for (size_t i = 0; i < d->n_parties; i++) {
		if (!dag_party_resources(d, (int)i, def, &doc->parts[i].cores,
					 &doc->parts[i].memory_mb, e))
			return false;
	}
	for (size_t i = 0; i < d->n_tasks; i++) {
		for (size_t k = 0; k < d->tasks[i].n_parties; k++)
			doc->parts[d->tasks[i].parties[k]].n_runs++;
	}
	for (size_t i = 0; i < d->n_parties; i++) {
		doc->parts[i].runs = mem_array(doc->parts[i].n_runs, sizeof(struct submit_run));
		doc->parts[i].n_runs = 0;
	}
	return true;
}

bool submit_doc_prepare(struct submit_doc *doc, struct err *e)
{
	struct dag_defaults def = party_dag_defaults(doc->node->conf);

	doc->names = map_new();
	if (!make_parts(doc, &def, e))
		return false;
	for (size_t i = 0; i < doc->dag->n_tasks; i++) {
		const struct dag_task *t = &doc->dag->tasks[i];
		for (size_t k = 0; k < t->n_parties; k++) {
			if (!add_run(doc, (int)i, t->parties[k], &def, e))
				return false;
		}
	}
	return check_all(doc, e);
}

void submit_doc_free(struct submit_doc *doc)
{
	for (size_t i = 0; doc->parts != NULL && i < doc->dag->n_parties; i++)
		free(doc->parts[i].runs);
	free(doc->parts);
	doc->parts = NULL;
	if (doc->names != NULL)
		map_free(doc->names, free);
	doc->names = NULL;
	db_array_free(&doc->configs);
}

const struct submit_run *submit_doc_next_run(struct submit_cursor *c, int party)
{
	return &c->doc->parts[party].runs[c->at[party]++];
}

/* ---- as JSON ---- */

json_t *submit_doc_parties(const struct submit_doc *doc)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < doc->dag->n_parties; i++) {
		const struct dag_party *p = &doc->dag->parties[i];
		json_array_append_new(rows, json_pack("{s:s, s:s, s:b, s:I, s:I}", "role",
						      dag_role_name(p->role), "party_id", p->id,
						      "local", (int)is_local(doc, i), "cores",
						      (json_int_t)doc->parts[i].cores, "memory_mb",
						      (json_int_t)doc->parts[i].memory_mb));
	}
	return rows;
}

/* ---- the rows ---- */

static void bind_head(const struct submit_doc *doc, struct db_batch *b)
{
	const struct dag *d = doc->dag;
	const struct node_conf *conf = doc->node->conf;
	json_t *head = json_pack(
	    "{s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s?, s:I, s:I, s:I, s:I, s:s}", "job_id",
	    doc->job_id, "priority", (json_int_t)d->priority, "initiator_party_id",
	    d->initiator_party_id, "scheduler_party_id", d->scheduler_party_id, "model_id",
	    party_model_id(d, doc->job_id), "model_version", party_model_version(d), "user_name",
	    doc->user_name != NULL ? doc->user_name : "", "engine", conf->engine, "idempotency_key",
	    doc->key, "auto_retries", (json_int_t)d->auto_retries, "timeout_s",
	    (json_int_t)d->timeout_s, "create_timeout_s", (json_int_t)conf->create_timeout_s,
	    "priority_ms", (json_int_t)conf->priority_ms, "actor", doc->actor);

	db_json(b, head);
	db_json(b, d->root);
	json_decref(head);
}

static void bind_all(struct db_batch *b, struct db_array *arrays, size_t n)
{
	for (size_t i = 0; i < n; i++)
		db_array(b, &arrays[i]);
}

static void bind_parties(const struct submit_doc *doc, struct db_batch *b)
{
	enum { ROLE, ID, LOCAL, CORES, MEMORY, N };
	struct db_array a[N] = {{{0}}};

	for (size_t i = 0; i < doc->dag->n_parties; i++) {
		const struct dag_party *p = &doc->dag->parties[i];
		db_array_text(&a[ROLE], dag_role_name(p->role));
		db_array_text(&a[ID], p->id);
		db_array_text(&a[LOCAL], is_local(doc, i) ? "t" : "f");
		db_array_int(&a[CORES], doc->parts[i].cores);
		db_array_int(&a[MEMORY], doc->parts[i].memory_mb);
	}
	bind_all(b, a, N);
}

/* "{0,1}" */
static void add_list(struct buf *list, int64_t v)
{
	buf_printf(list, "%c%lld", list->len > 0 ? ',' : '{', (long long)v);
}

static void end_list(struct db_array *a, struct buf *list)
{
	buf_adds(list, list->len > 0 ? "}" : "{}");
	db_array_text(a, list->data);
	buf_reset(list);
}

static void bind_tasks(const struct submit_doc *doc, struct db_batch *b)
{
	enum { NAME, COMPONENT, PARTIES, CORES, DEPS, LIMIT, N };
	const struct dag *d = doc->dag;
	struct submit_cursor c = {doc, mem_array(d->n_parties, sizeof(size_t))};
	struct db_array a[N] = {{{0}}};
	struct buf parties = {0};
	struct buf cores = {0};

	for (size_t i = 0; i < d->n_tasks; i++) {
		const struct dag_task *t = &d->tasks[i];
		int64_t timeout_s = 0;
		for (size_t k = 0; k < t->n_parties; k++) {
			const struct submit_run *run = submit_doc_next_run(&c, t->parties[k]);
			add_list(&parties, t->parties[k]);
			add_list(&cores, run->cores);
			if (run->timeout_s > timeout_s)
				timeout_s = run->timeout_s;
		}
		db_array_text(&a[NAME], t->name);
		db_array_text(&a[COMPONENT], t->component);
		end_list(&a[PARTIES], &parties);
		end_list(&a[CORES], &cores);
		db_array_int(&a[DEPS], (int64_t)t->n_deps);
		db_array_int(&a[LIMIT], timeout_s);
	}
	bind_all(b, a, N);
	buf_free(&parties);
	buf_free(&cores);
	free(c.at);
}

static void bind_edges(const struct dag *d, struct db_batch *b)
{
	enum { PARENT, CHILD, N };
	struct db_array a[N] = {{{0}}};

	for (size_t i = 0; i < d->n_tasks; i++) {
		for (size_t k = 0; k < d->tasks[i].n_deps; k++) {
			db_array_int(&a[PARENT], d->tasks[i].deps[k]);
			db_array_int(&a[CHILD], (int64_t)i);
		}
	}
	bind_all(b, a, N);
}

static void bind_runs(struct submit_doc *doc, struct db_batch *b)
{
	enum { TASK, PARTY, PROVIDER, CONFIG, CORES, MEMORY, LIMIT, N };
	const struct dag *d = doc->dag;
	struct submit_cursor c = {doc, mem_array(d->n_parties, sizeof(size_t))};
	struct db_array a[N] = {{{0}}};

	for (size_t i = 0; i < d->n_tasks; i++) {
		for (size_t k = 0; k < d->tasks[i].n_parties; k++) {
			int party = d->tasks[i].parties[k];
			const struct submit_run *run = submit_doc_next_run(&c, party);
			if (!is_local(doc, (size_t)party))
				continue;
			db_array_int(&a[TASK], run->task);
			db_array_int(&a[PARTY], party);
			db_array_text(&a[PROVIDER], run->provider);
			db_array_int(&a[CORES], run->cores);
			db_array_int(&a[MEMORY], run->memory_mb);
			db_array_int(&a[LIMIT], run->timeout_s);
		}
	}
	free(c.at);
	a[CONFIG] = doc->configs;
	doc->configs = (struct db_array){0};
	bind_all(b, a, N);
}

static void bind_messages(const struct submit_doc *doc, struct db_batch *b)
{
	enum { PARTY, BODY, N };
	const struct dag *d = doc->dag;
	struct db_array a[N] = {{{0}}};

	for (size_t i = 0; i < d->n_parties; i++) {
		if (is_local(doc, i))
			continue;
		json_t *body = party_create_body(d, (int)i, doc->job_id, doc->user_name);
		db_array_int(&a[PARTY], (int64_t)i);
		db_array_json(&a[BODY], body);
		json_decref(body);
	}
	bind_all(b, a, N);
}

void submit_doc_bind(struct submit_doc *doc, struct db_batch *b)
{
	db_add(b, Q_API_JOB_SUBMIT);
	bind_head(doc, b);
	bind_parties(doc, b);
	bind_tasks(doc, b);
	bind_edges(doc->dag, b);
	bind_runs(doc, b);
	bind_messages(doc, b);
}
