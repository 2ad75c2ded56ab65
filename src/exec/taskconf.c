/* The configuration a component is started with (component-protocol 1.6). Pure: what it needs was
 * looked up. */
#include "exec/run.h"

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

bool run_is_native(const struct run *r)
{
	return str_starts(r->provider, "norn:") ||
	       json_is_string(json_object_get(r->provider_metadata, "program")) ||
	       json_is_string(json_object_get(r->provider_metadata, "module"));
}

/* ---- what must be looked up ---- */

static void add_once(json_t *list, json_t *v)
{
	size_t i;
	json_t *x;

	json_array_foreach (list, i, x) {
		if (json_equal(x, v)) {
			json_decref(v);
			return;
		}
	}
	json_array_append_new(list, v);
}

static void channel_needs(const json_t *ch, json_t *tasks, json_t *models, json_t *tables)
{
	const char *task = js_str(ch, "producer_task", NULL);

	if (js_str(ch, "model_id", NULL) != NULL) {
		const json_t *version = json_object_get(ch, "model_version");
		char *text =
		    json_is_integer(version)
			? mem_printf("%lld", (long long)json_integer_value(version))
			: mem_strdup(json_is_string(version) ? json_string_value(version) : "0");
		add_once(models, json_pack("[s, s]", js_str(ch, "model_id", ""), text));
		free(text);
	} else if (js_str(ch, "namespace", NULL) != NULL) {
		add_once(tables,
			 json_pack("[s, s]", js_str(ch, "namespace", ""), js_str(ch, "name", "")));
	} else if (task != NULL) {
		add_once(tasks, json_string(task));
	}
}

static void group_needs(const json_t *group, json_t *tasks, json_t *models, json_t *tables)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)group, key, v) {
		size_t i;
		json_t *ch;
		if (json_is_object(v))
			channel_needs(v, tasks, models, tables);
		json_array_foreach (v, i, ch)
			channel_needs(ch, tasks, models, tables);
	}
}

void taskconf_needs(const struct run *r, json_t *tasks, json_t *models, json_t *tables)
{
	const json_t *inputs = json_object_get(r->config, "inputs");
	const json_t *p = json_object_get(r->config, "parameters");

	group_needs(json_object_get(inputs, "data"), tasks, models, tables);
	group_needs(json_object_get(inputs, "model"), tasks, models, tables);
	/* A reader only names a table; it is looked up to say at once when there is none. */
	if (strcmp(r->component, "reader") == 0)
		add_once(tables,
			 json_pack("[s, s]", js_str(p, "namespace", ""), js_str(p, "name", "")));
}

/* ---- inputs ---- */

static json_t *find_table(const json_t *tables, const char *namespace_, const char *name)
{
	size_t i;
	json_t *t;

	json_array_foreach (tables, i, t) {
		if (str_eq(js_str(t, "namespace", ""), namespace_) &&
		    str_eq(js_str(t, "name", ""), name))
			return t;
	}
	return NULL;
}

static json_t *table_artifact(const char *uri, const char *type, json_t *schema, json_t *source,
			      const char *namespace_, const char *name)
{
	json_t *meta = json_pack("{s:{s:O?}, s:O?, s:s, s:s}", "metadata", "schema", schema,
				 "source", source, "namespace", namespace_, "name", name);

	return json_pack("{s:s, s:s, s:o}", "uri", uri, "type_name", type, "metadata", meta);
}

static json_t *from_table(const struct run_inputs *in, const json_t *ch, const char *at,
			  struct err *e)
{
	const char *ns = js_str(ch, "namespace", "");
	const char *name = js_str(ch, "name", "");
	json_t *t = find_table(in->tables, ns, name);

	if (t == NULL) {
		err_set(e, ERR_TABLE_NOT_FOUND,
			"%s: there is no table %s/%s at this party: upload it first (`norn data "
			"upload`)",
			at, ns, name);
		return NULL;
	}
	return table_artifact(js_str(t, "uri", ""), js_str(t, "data_type", ""),
			      json_object_get(t, "schema"), json_object_get(t, "source"), ns, name);
}

/* One output of an earlier task; a reader's output leads on to the table it names. */
static json_t *from_output(const json_t *row, const char *at, struct err *e)
{
	json_t *meta = json_object_get(row, "metadata");

	if (str_eq(js_str(row, "type_name", ""), "data_unresolved")) {
		if (js_str(row, "table_uri", NULL) == NULL) {
			err_set(
			    e, ERR_TABLE_NOT_FOUND,
			    "%s: task %s names the table %s/%s, which does not exist at this party",
			    at, js_str(row, "task_name", ""), js_str(row, "namespace", ""),
			    js_str(row, "name", ""));
			return NULL;
		}
		json_t *source = json_object_get(meta, "source");
		return table_artifact(js_str(row, "table_uri", ""), js_str(row, "table_type", ""),
				      json_object_get(row, "table_schema"),
				      source != NULL ? source
						     : json_object_get(row, "table_source"),
				      js_str(row, "namespace", ""), js_str(row, "name", ""));
	}
	return json_pack("{s:s, s:s, s:O}", "uri", js_str(row, "uri", ""), "type_name",
			 js_str(row, "type_name", ""), "metadata", meta);
}

/* A task's output may have several parts; all of them are appended to list. */
static bool from_task(const struct run_inputs *in, const json_t *ch, const char *at, json_t *list,
		      struct err *e)
{
	const char *task = js_str(ch, "producer_task", "");
	const char *key = js_str(ch, "output_artifact_key", "");
	size_t i;
	json_t *row;
	size_t before = json_array_size(list);

	json_array_foreach (in->outputs, i, row) {
		if (!str_eq(js_str(row, "task_name", ""), task) ||
		    !str_eq(js_str(row, "output_key", ""), key))
			continue;
		json_t *a = from_output(row, at, e);
		if (a == NULL)
			return false;
		json_array_append_new(list, a);
	}
	if (json_array_size(list) == before)
		return err_set(e, ERR_TASK_NOT_FOUND,
			       "%s: task %s has left no output '%s' at this party", at, task, key);
	return true;
}

static bool from_models(const struct run *r, const struct run_inputs *in, const json_t *ch,
			const char *at, json_t *list, struct err *e)
{
	const char *task = js_str(ch, "producer_task", "");
	const char *key = js_str(ch, "output_artifact_key", "");
	size_t before = json_array_size(list);
	size_t i;
	json_t *row;

	json_array_foreach (in->models, i, row) {
		if (!str_eq(js_str(row, "model_id", ""), js_str(ch, "model_id", "")) ||
		    !str_eq(js_str(row, "task_name", ""), task) ||
		    !str_eq(js_str(row, "output_key", ""), key))
			continue;
		char *uri =
		    mem_printf("file://%s/%s", r->node->conf->data_dir, js_str(row, "path", ""));
		json_t *a = json_pack("{s:s, s:s, s:O}", "uri", uri, "type_name",
				      js_str(row, "type_name", ""), "metadata",
				      json_object_get(row, "metadata"));
		json_array_append_new(list, a);
		free(uri);
	}
	if (json_array_size(list) == before)
		return err_set(e, ERR_MODEL_NOT_FOUND,
			       "%s: model %s has no '%s' of task %s for %s %s at this site", at,
			       js_str(ch, "model_id", ""), key, task, r->role, r->party_id);
	return true;
}

static bool resolve_channel(const struct run *r, const struct run_inputs *in, const json_t *ch,
			    const char *at, json_t *list, struct err *e)
{
	if (js_str(ch, "model_id", NULL) != NULL)
		return from_models(r, in, ch, at, list, e);
	if (js_str(ch, "namespace", NULL) != NULL) {
		json_t *a = from_table(in, ch, at, e);
		if (a != NULL)
			json_array_append_new(list, a);
		return a != NULL;
	}
	return from_task(in, ch, at, list, e);
}

/* The description of one artifact, or NULL: {types, optional, stages, roles, is_multi}. */
static json_t *describe(const struct run *r, const char *side, const char *group, const char *key)
{
	return json_object_get(json_object_get(json_object_get(r->desc, side), group), key);
}

static bool resolve_group(const struct run *r, const struct run_inputs *in, const char *group,
			  json_t *out, struct err *e)
{
	json_t *keys = json_object_get(json_object_get(r->config, "inputs"), group);
	const char *key;
	json_t *v;

	json_object_foreach (keys, key, v) {
		char *at = mem_printf("inputs.%s.%s", group, key);
		json_t *list = json_array();
		bool ok = true;
		size_t i;
		json_t *ch;
		if (json_is_object(v))
			ok = resolve_channel(r, in, v, at, list, e);
		json_array_foreach (v, i, ch)
			ok = ok && resolve_channel(r, in, ch, at, list, e);
		free(at);
		const json_t *d = describe(r, "input_artifacts", group, key);
		if (!ok && e->code == ERR_TASK_NOT_FOUND && js_bool(d, "optional", false)) {
			json_decref(list); /* its producer had nothing to give, and the component
					      can do without */
			continue;
		}
		if (!ok) {
			json_decref(list);
			return false;
		}
		bool multi = js_bool(d, "is_multi", false);
		if (json_array_size(list) == 1 && !multi)
			json_object_set(out, key, json_array_get(list, 0));
		else
			json_object_set(out, key, list);
		json_decref(list);
	}
	return true;
}

/* ---- outputs ---- */

static bool lists(const json_t *list, const char *s)
{
	size_t i;
	json_t *v;

	if (!json_is_array(list) || json_array_size(list) == 0)
		return true; /* says nothing: all */
	json_array_foreach (list, i, v) {
		if (str_eq(json_string_value(v), s))
			return true;
	}
	return false;
}

static char *data_uri(const struct run *r, const char *key, const char *index)
{
	if (run_is_native(r))
		return mem_printf("file://%s/tables/%s/%s/%d/%s_%s/%s%s", r->node->conf->data_dir,
				  r->job_id, r->task_name, r->attempt, r->role, r->party_id, key,
				  index);
	char uuid[33];
	str_random_hex(uuid, 16);
	return mem_printf("standalone:///%s_%s/%s%s", r->job_id, r->task_name, uuid, index);
}

/* Components that know nothing of tokens get theirs in the URL. */
static char *metric_uri(const struct run *r)
{
	char *address = node_worker_address(r->node);
	char *uri = mem_printf("http://%s/v2/worker/metric/save/%s%s%s", address, r->execution_id,
			       run_is_native(r) ? "" : "?token=", run_is_native(r) ? "" : r->token);

	free(address);
	return uri;
}

static json_t *output_of(const struct run *r, const char *group, const char *key, const json_t *d)
{
	const char *type = json_string_value(json_array_get(json_object_get(d, "types"), 0));
	const char *index = js_bool(d, "is_multi", false) ? "_{index}" : "";
	char *uri;
	json_t *v;

	if (type == NULL)
		return NULL;
	if (str_eq(type, "dataframe") || str_eq(type, "table"))
		uri = data_uri(r, key, index);
	else if (str_eq(type, "json_metric"))
		uri = metric_uri(r);
	else
		uri = mem_printf("file://%s/output/%s/%s%s", r->work_dir, key, type, index);
	v = json_pack("{s:s, s:s}", "uri", uri, "type_name", type);
	free(uri);
	return v;
}

static json_t *build_outputs(const struct run *r)
{
	static const char *const groups[] = {"data", "model", "metric"};
	const char *stage = js_str(r->config, "stage", "default");
	json_t *out = json_object();

	for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
		json_t *all =
		    json_object_get(json_object_get(r->desc, "output_artifacts"), groups[g]);
		const char *key;
		json_t *d;
		json_object_foreach (all, key, d) {
			if (!lists(json_object_get(d, "stages"), stage) ||
			    !lists(json_object_get(d, "roles"), r->role))
				continue;
			json_t *v = output_of(r, groups[g], key, d);
			if (v != NULL)
				json_object_set_new(out, key, v);
		}
	}
	if (json_object_get(out, "metric") == NULL) {
		json_t *types = json_pack("{s:[s]}", "types", "json_metric");
		json_object_set_new(out, "metric", output_of(r, "metric", "metric", types));
		json_decref(types);
	}
	return out;
}

/* ---- the rest ---- */

static json_t *federation(const struct run *r)
{
	json_t *all = json_array();
	char *id = mem_printf("%s_%s_%d", r->job_id, r->task_name, r->attempt);
	size_t i;
	json_t *p;

	json_array_foreach (r->parties, i, p) {
		size_t k;
		json_t *party_id;
		json_array_foreach (json_object_get(p, "party_id"), k, party_id)
			json_array_append_new(all,
					      json_pack("{s:s, s:O}", "role", js_str(p, "role", ""),
							"partyid", party_id));
	}
	json_t *meta = json_pack("{s:s, s:{s:{s:s, s:s}, s:o}}", "federation_id", id, "parties",
				 "local", "role", r->role, "partyid", r->party_id, "parties", all);
	free(id);
	if (run_is_native(r)) {
		char *address = node_worker_address(r->node);
		char *url = mem_printf("http://%s", address);
		free(address);
		json_object_set_new(meta, "norn_config",
				    json_pack("{s:s, s:s, s:I}", "url", url, "execution_id",
					      r->execution_id, "timeout_s",
					      (json_int_t)r->timeout_s));
		free(url);
	}
	return json_pack("{s:s, s:o}", "type", run_is_native(r) ? "norn" : "standalone", "metadata",
			 meta);
}

json_t *taskconf_build(const struct run *r, const struct run_inputs *in, struct err *e)
{
	json_t *inputs = json_object();
	json_t *p = json_object_get(r->config, "parameters");

	if (strcmp(r->component, "reader") == 0 &&
	    find_table(in->tables, js_str(p, "namespace", ""), js_str(p, "name", "")) == NULL) {
		err_set(e, ERR_TABLE_NOT_FOUND,
			"there is no table %s/%s at %s %s: upload it first (`norn data upload`)",
			js_str(p, "namespace", ""), js_str(p, "name", ""), r->role, r->party_id);
		json_decref(inputs);
		return NULL;
	}
	if (!resolve_group(r, in, "data", inputs, e) || !resolve_group(r, in, "model", inputs, e)) {
		json_decref(inputs);
		return NULL;
	}
	char *task_id = mem_printf("%s_%s", r->job_id, r->task_name);
	json_t *computing =
	    json_pack("{s:s, s:{s:s, s:{s:s, s:i}}}", "type", "standalone", "metadata",
		      "computing_id", r->execution_id, "options", "data_dir",
		      r->node->conf->data_dir, "task_cores", r->cores > 0 ? r->cores : 1);
	json_t *conf = json_pack("{s:{s:s, s:{}}, s:o, s:o, s:s, s:{}}", "device", "type", "CPU",
				 "metadata", "computing", computing, "federation", federation(r),
				 "storage", run_is_native(r) ? "file" : "standalone", "logger");
	json_t *v =
	    json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:O, s:o, s:o, s:o, s:i}", "job_id",
		      r->job_id, "task_id", task_id, "party_task_id", r->execution_id, "task_name",
		      r->task_name, "component", r->component, "role", r->role, "party_id",
		      r->party_id, "stage", js_str(r->config, "stage", "default"), "parameters", p,
		      "input_artifacts", inputs, "output_artifacts", build_outputs(r), "conf", conf,
		      "computing_partitions", r->partitions);
	free(task_id);
	if (v == NULL)
		err_set(e, ERR_INTERNAL, "the configuration of the task could not be built");
	return v;
}
