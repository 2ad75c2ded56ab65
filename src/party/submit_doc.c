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
	int64_t cores = js_int(doc->payloads[party], "cores", 0);
	int64_t memory_mb = js_int(doc->payloads[party], "memory_mb", 0);

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

/* The tasks of one local party against their components; descs gets what was found. */
static bool check_components(const struct submit_doc *doc, size_t party, const json_t **descs,
			     struct err *e)
{
	size_t i;
	json_t *row;
	const char *name;

	json_array_foreach (json_object_get(doc->payloads[party], "tasks"), i, row) {
		int task = (int)js_int(row, "task_no", 0);
		const json_t *desc = catalog_component(doc->providers, js_str(row, "provider", ""),
						       js_str(row, "component", ""), &name, e);
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
	size_t i;
	json_t *row;
	const char *name;
	struct err ignored;

	json_array_foreach (json_object_get(doc->payloads[party], "tasks"), i, row) {
		int task = (int)js_int(row, "task_no", 0);
		if (descs[task] != NULL)
			continue;
		descs[task] = catalog_component(doc->providers, js_str(row, "provider", ""),
						js_str(row, "component", ""), &name, &ignored);
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
			ok = party_create_settle(doc->payloads[i], doc->node->conf, doc->providers,
						 e) &&
			     check_components(doc, i, descs, e) && check_resources(doc, i, e);
	}
	for (size_t i = 0; ok && i < d->n_parties; i++) {
		if (!is_local(doc, i))
			ok = check_remote_components(doc, i, descs, e);
	}
	ok = ok && dag_check_links(d, descs, e);
	free(descs);
	return ok;
}

bool submit_doc_prepare(struct submit_doc *doc, struct err *e)
{
	const struct dag *d = doc->dag;
	struct dag_defaults def = party_dag_defaults(doc->node->conf);

	doc->payloads = mem_array(d->n_parties, sizeof(*doc->payloads));
	for (size_t i = 0; i < d->n_parties; i++) {
		json_t *p = party_create_payload(d, (int)i, doc->job_id, &def, e);
		if (p == NULL)
			return false;
		doc->payloads[i] = p;
		if (doc->user_name != NULL)
			json_object_set_new(p, "user_name", json_string(doc->user_name));
	}
	return check_all(doc, e);
}

void submit_doc_free(struct submit_doc *doc)
{
	for (size_t i = 0; doc->payloads != NULL && i < doc->dag->n_parties; i++)
		json_decref(doc->payloads[i]);
	free(doc->payloads);
	doc->payloads = NULL;
}

/* ---- the rows ---- */

const json_t *submit_doc_next_row(struct submit_cursor *c, int party)
{
	return json_array_get(json_object_get(c->doc->payloads[party], "tasks"), c->at[party]++);
}

json_t *submit_doc_parties(const struct submit_doc *doc)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < doc->dag->n_parties; i++) {
		const struct dag_party *p = &doc->dag->parties[i];
		json_array_append_new(
		    rows, json_pack("{s:i, s:s, s:s, s:b, s:O, s:O}", "party_no", (int)i, "role",
				    dag_role_name(p->role), "party_id", p->id, "local",
				    (int)is_local(doc, i), "cores",
				    json_object_get(doc->payloads[i], "cores"), "memory_mb",
				    json_object_get(doc->payloads[i], "memory_mb")));
	}
	return rows;
}

static json_t *task_rows(const struct submit_doc *doc)
{
	const struct dag *d = doc->dag;
	struct submit_cursor c = {doc, mem_array(d->n_parties, sizeof(size_t))};
	json_t *rows = json_array();

	for (size_t i = 0; i < d->n_tasks; i++) {
		const struct dag_task *t = &d->tasks[i];
		json_t *parties = json_array();
		json_t *cores = json_array();
		int64_t timeout_s = 0;
		for (size_t k = 0; k < t->n_parties; k++) {
			const json_t *row = submit_doc_next_row(&c, t->parties[k]);
			json_array_append_new(parties, json_integer(t->parties[k]));
			json_array_append_new(cores, json_integer(js_int(row, "cores", 0)));
			if (js_int(row, "timeout_s", 0) > timeout_s)
				timeout_s = js_int(row, "timeout_s", 0);
		}
		json_array_append_new(
		    rows, json_pack("{s:i, s:s, s:s, s:o, s:o, s:I, s:I}", "task_no", (int)i,
				    "task_name", t->name, "component", t->component, "parties",
				    parties, "cores", cores, "deps_left", (json_int_t)t->n_deps,
				    "timeout_s", (json_int_t)timeout_s));
	}
	free(c.at);
	return rows;
}

static json_t *edge_rows(const struct dag *d)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < d->n_tasks; i++) {
		for (size_t k = 0; k < d->tasks[i].n_deps; k++)
			json_array_append_new(rows,
					      json_pack("{s:i, s:i}", "parent_no",
							d->tasks[i].deps[k], "child_no", (int)i));
	}
	return rows;
}

json_t *submit_doc_job(const struct submit_doc *doc)
{
	const struct dag *d = doc->dag;
	const struct node_conf *conf = doc->node->conf;
	json_t *local = json_array();
	json_t *remote = json_array();

	for (size_t i = 0; i < d->n_parties; i++) {
		if (is_local(doc, i)) {
			/* The definition itself is written once, with the job. */
			json_t *p = json_copy(doc->payloads[i]);
			json_object_set_new(p, "dag", json_object());
			json_array_append_new(local, p);
		} else {
			json_array_append_new(
			    remote,
			    json_pack("{s:s, s:i, s:o}", "dest_party_id", d->parties[i].id,
				      "party_no", (int)i, "body",
				      party_create_body(d, (int)i, doc->job_id, doc->user_name)));
		}
	}
	json_t *job = json_pack(
	    "{s:s, s:O, s:I, s:s, s:s, s:s, s:s, s:s, s:s?, s:I, s:I, s:I, s:I, s:I, s:s}",
	    "job_id", doc->job_id, "dag", d->root, "priority", (json_int_t)d->priority,
	    "initiator_party_id", d->initiator_party_id, "scheduler_party_id",
	    d->scheduler_party_id, "model_id", party_model_id(d, doc->job_id), "model_version",
	    party_model_version(d), "user_name", doc->user_name != NULL ? doc->user_name : "",
	    "idempotency_key", doc->key, "auto_retries", (json_int_t)d->auto_retries, "timeout_s",
	    (json_int_t)d->timeout_s, "create_timeout_s", (json_int_t)conf->create_timeout_s,
	    "priority_ms", (json_int_t)conf->priority_ms, "n_remote",
	    (json_int_t)json_array_size(remote), "actor", doc->actor);
	if (js_get(d->root, "dag.conf.inheritance") != NULL)
		json_object_set(job, "inherit", js_get(d->root, "dag.conf.inheritance"));
	json_object_set_new(job, "parties", submit_doc_parties(doc));
	json_object_set_new(job, "tasks", task_rows(doc));
	json_object_set_new(job, "edges", edge_rows(d));
	json_object_set_new(job, "local_creates", local);
	json_object_set_new(job, "remote_creates", remote);
	return job;
}
