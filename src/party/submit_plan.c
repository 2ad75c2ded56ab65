#include "party/submit_plan.h"

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>

static json_t *plan_task(const struct dag *d, const struct dag_task *t, struct submit_cursor *c)
{
	json_t *deps = json_array();
	json_t *parties = json_array();

	for (size_t k = 0; k < t->n_deps; k++)
		json_array_append_new(deps, json_string(d->tasks[t->deps[k]].name));
	for (size_t k = 0; k < t->n_parties; k++) {
		const struct dag_party *p = &d->parties[t->parties[k]];
		const struct submit_run *run = submit_doc_next_run(c, t->parties[k]);
		json_array_append_new(parties, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "role",
							 dag_role_name(p->role), "party_id", p->id,
							 "provider", run->provider, "cores",
							 (json_int_t)run->cores, "memory_mb",
							 (json_int_t)run->memory_mb, "timeout_s",
							 (json_int_t)run->timeout_s));
	}
	return json_pack("{s:s, s:s, s:s, s:o, s:o}", "task_name", t->name, "component",
			 t->component, "stage", dag_stage_name(t->stage), "depends_on", deps,
			 "parties", parties);
}

json_t *submit_plan(const struct submit_doc *doc)
{
	const struct dag *d = doc->dag;
	struct submit_cursor c = {doc, mem_array(d->n_parties, sizeof(size_t))};
	json_t *parties = submit_doc_parties(doc);
	json_t *tasks = json_array();

	for (size_t i = 0; i < d->n_parties; i++) {
		const char *url = js_str(doc->routes, d->parties[i].id, NULL);
		json_t *row = json_array_get(parties, i);
		if (!json_is_true(json_object_get(row, "local")) && url != NULL)
			json_object_set_new(row, "url", json_string(url));
	}
	for (size_t i = 0; i < d->n_tasks; i++)
		json_array_append_new(tasks, plan_task(d, &d->tasks[i], &c));
	free(c.at);
	json_t *plan =
	    json_pack("{s:s, s:s, s:I, s:o, s:o}", "initiator_party_id", d->initiator_party_id,
		      "scheduler_party_id", d->scheduler_party_id, "priority",
		      (json_int_t)d->priority, "parties", parties, "tasks", tasks);
	if (js_get(d->root, "dag.conf.inheritance") != NULL)
		json_object_set(plan, "inherits", js_get(d->root, "dag.conf.inheritance"));
	return plan;
}

/* ---- what it would wait for ---- */

static void add_text(json_t *list, struct buf *text)
{
	json_array_append_new(list, json_string(text->data));
	buf_free(text);
}

static void add_resources(json_t *list, const json_t *plan, const struct db_result *res)
{
	int64_t cores = 0;
	int64_t memory_mb = 0;
	size_t i;
	json_t *p;

	json_array_foreach (json_object_get(plan, "parties"), i, p) {
		if (js_bool(p, "local", false)) {
			cores += js_int(p, "cores", 0);
			memory_mb += js_int(p, "memory_mb", 0);
		}
	}
	int64_t cores_free = db_get_int(res, 0, 0, "cores_free");
	int64_t all_mb = db_get_int(res, 0, 0, "memory_mb");
	int64_t free_mb = db_get_int(res, 0, 0, "memory_mb_free");
	int64_t blocked = db_get_int(res, 0, 0, "blocked");
	bool lacks_cores = cores > cores_free;
	bool lacks_memory = all_mb > 0 && memory_mb > free_mb;
	struct buf text = {0};

	if (lacks_cores)
		buf_printf(&text, "%lld cores at this site, where %lld of %lld are free",
			   (long long)cores, (long long)cores_free,
			   (long long)db_get_int(res, 0, 0, "cores"));
	if (lacks_memory)
		buf_printf(&text, "%s%lld MiB of memory at this site, where %lld of %lld are free",
			   lacks_cores ? "; " : "", (long long)memory_mb, (long long)free_mb,
			   (long long)all_mb);
	if (lacks_cores || lacks_memory) {
		json_t *held = db_get_json(res, 0, 0, "held_by");
		json_t *id;
		json_array_foreach (held, i, id) {
			if (i == 5)
				break;
			buf_printf(&text, "%s%s", i == 0 ? "; held by jobs " : ", ",
				   json_string_value(id));
		}
		json_decref(held);
		add_text(list, &text);
	}
	if (blocked > 0 && cores + memory_mb > 0) {
		buf_printf(&text, "%lld job%s that wait%s for resources already",
			   (long long)blocked, blocked == 1 ? "" : "s", blocked == 1 ? "s" : "");
		add_text(list, &text);
	}
}

void submit_plan_waits(json_t *plan, const struct db_result *res)
{
	json_t *list = json_array();
	size_t i;
	json_t *p;

	if (db_error(res) == NULL && db_rows(res, 0) > 0)
		add_resources(list, plan, res);
	json_array_foreach (json_object_get(plan, "parties"), i, p) {
		struct buf text = {0};
		if (js_bool(p, "local", false))
			continue;
		buf_printf(&text, "the consent of %s %s, and %lld cores there",
			   js_str(p, "role", ""), js_str(p, "party_id", ""),
			   (long long)js_int(p, "cores", 0));
		add_text(list, &text);
	}
	json_object_set_new(plan, "waits_for", list);
}
