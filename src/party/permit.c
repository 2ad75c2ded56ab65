#include "party/permit.h"

#include "base/js.h"
#include "base/str.h"

/* Whose grants count; NULL: nobody's, the job is our own. */
static const char *subject(const struct node *n, const json_t *payload)
{
	const char *initiator = js_str(payload, "initiator_party_id", "");
	const char *scheduler = js_str(payload, "scheduler_party_id", "");

	/* The scheduler's site says who the initiator is; that it is us it cannot prove. */
	if (!node_serves(n, initiator))
		return initiator;
	return node_serves(n, scheduler) ? NULL : scheduler;
}

static json_t *or_null(json_t *v)
{
	return v != NULL ? json_incref(v) : json_null();
}

static void add_table(json_t *tables, const json_t *named)
{
	json_array_append_new(
	    tables, json_pack("{s:o, s:o}", "name", or_null(json_object_get(named, "name")),
			      "namespace", or_null(json_object_get(named, "namespace"))));
}

/* One data_warehouse: a table by name, or what a task of an earlier job has left. */
static void add_warehouse(const json_t *w, json_t *tables, struct db_array *jobs)
{
	const char *job_id = js_str(w, "job_id", NULL);

	if (job_id != NULL)
		db_array_text(jobs, job_id);
	if (job_id == NULL || json_object_get(w, "name") != NULL)
		add_table(tables, w);
}

/* The data_warehouse entries anywhere in a task's inputs. */
static void find_warehouses(const json_t *v, json_t *tables, struct db_array *jobs)
{
	const char *key;
	json_t *item;
	size_t i;

	json_array_foreach (v, i, item)
		find_warehouses(item, tables, jobs);
	json_object_foreach ((json_t *)(uintptr_t)v, key, item) {
		if (!str_eq(key, "data_warehouse")) {
			find_warehouses(item, tables, jobs);
		} else if (json_is_array(item)) {
			size_t k;
			json_t *one;
			json_array_foreach (item, k, one)
				add_warehouse(one, tables, jobs);
		} else {
			add_warehouse(item, tables, jobs);
		}
	}
}

void permit_add(const struct node *n, struct db_batch *b, const json_t *payload)
{
	const char *party = n->conf->auth_permission ? subject(n, payload) : NULL;
	struct db_array components = {0};
	struct db_array jobs = {0};
	json_t *tables;
	size_t i;
	json_t *task;

	if (party == NULL)
		return;
	const char *earlier = js_str(json_object_get(payload, "inherit"), "job_id", NULL);
	if (earlier != NULL)
		db_array_text(&jobs, earlier);
	tables = json_array();
	json_array_foreach (json_object_get(payload, "tasks"), i, task) {
		const json_t *config = json_object_get(task, "config");
		db_array_text(&components, js_str(task, "component", ""));
		if (str_eq(js_str(task, "component", ""), "reader"))
			add_table(tables, json_object_get(config, "parameters"));
		find_warehouses(json_object_get(config, "inputs"), tables, &jobs);
	}
	db_add(b, Q_PERMISSION_CHECK);
	db_text(b, party);
	db_array(b, &components);
	db_json(b, tables);
	db_array(b, &jobs);
	json_decref(tables);
}
