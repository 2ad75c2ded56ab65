/* Input and output artifacts of a task, and its result file. */
#include "config.h"

#include "component/task.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "component/artifact.h"
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {
    [NORN_TABLE] = "table",
    [NORN_DATAFRAME] = "dataframe",
    [NORN_DATA_UNRESOLVED] = "data_unresolved",
    [NORN_JSON_MODEL] = "json_model",
};

const char *artifact_kind_name(enum norn_kind k)
{
	return kind_names[k];
}

static const struct norn_artifact *find(const struct norn_task *t, enum norn_direction dir,
					const char *key)
{
	const struct norn_artifact *a;
	size_t i;

	for (i = 0; i < t->def->n_artifacts; i++) {
		a = &t->def->artifacts[i];
		if (a->dir == dir && strcmp(a->name, key) == 0 &&
		    artifact_active(t->def, a, t->role, t->stage))
			return a;
	}
	return NULL;
}

static const json_t *input_at(const struct norn_task *t, const char *key, size_t i)
{
	const json_t *v = json_object_get(json_object_get(t->config, "input_artifacts"), key);

	if (find(t, NORN_IN, key) == NULL)
		return NULL;
	if (json_is_array(v))
		return json_array_get(v, i);
	return i == 0 && json_is_object(v) ? v : NULL;
}

size_t norn_input_count(const struct norn_task *t, const char *key)
{
	const json_t *v = json_object_get(json_object_get(t->config, "input_artifacts"), key);

	if (find(t, NORN_IN, key) == NULL)
		return 0;
	return json_is_array(v) ? json_array_size(v) : json_is_object(v);
}

const char *norn_input_source(const struct norn_task *t, const char *key, size_t i)
{
	return js_str(js_get(input_at(t, key, i), "metadata.source"), "task_name", "input");
}

static const char *group_of(enum norn_kind k)
{
	return k == NORN_JSON_MODEL ? "model" : "data";
}

const char *task_input_uri(struct norn_task *t, const char *key, size_t i)
{
	const struct norn_artifact *a = find(t, NORN_IN, key);
	const json_t *in = input_at(t, key, i);
	json_t *group, *list, *entry;
	const char *uri = js_str(in, "uri", NULL);

	if (a == NULL || uri == NULL)
		return NULL;
	entry = json_deep_copy(in);
	json_object_set_new(entry, "type_name",
			    json_string(js_str(in, "type_name", kind_names[a->kind])));
	json_object_set_new(entry, "consumed", json_true());
	group = json_object_get(t->io_inputs, group_of(a->kind));
	if (!a->multi) {
		json_object_set_new(group, key, entry);
		return uri;
	}
	list = json_object_get(group, key);
	if (list == NULL) {
		list = json_array();
		json_object_set_new(group, key, list);
	}
	json_array_append_new(list, entry);
	return uri;
}

struct norn_frame *norn_read_frame(struct norn_task *t, const char *key, size_t i, struct err *e)
{
	const char *uri = task_input_uri(t, key, i);
	struct norn_frame *f;

	if (uri == NULL) {
		err_set(e, ERR_CONFIG, "input artifact %s has no uri", key);
		return NULL;
	}
	f = artifact_read_frame(uri, e);
	if (f == NULL)
		err_prefix(e, "input %s", key);
	return f;
}

json_t *norn_read_model(struct norn_task *t, const char *key, struct err *e)
{
	const char *uri = task_input_uri(t, key, 0);
	struct buf text = {0};
	char *path = NULL;
	json_t *v = NULL;

	if (uri == NULL) {
		err_set(e, ERR_CONFIG, "input artifact %s has no uri", key);
		return NULL;
	}
	if (artifact_path(uri, &path, e) && fs_read(path, js_limits_default.max_bytes, &text, e))
		v = js_parse(buf_str(&text), text.len, &js_limits_default, e);
	if (v == NULL)
		err_prefix(e, "input %s", key);
	buf_free(&text);
	free(path);
	return v;
}

bool norn_has_output(const struct norn_task *t, const char *key)
{
	struct err ignored;

	return task_output_uri(t, key, &ignored) != NULL;
}

const char *task_output_uri(const struct norn_task *t, const char *key, struct err *e)
{
	const json_t *out = json_object_get(t->config, "output_artifacts");
	const char *uri = js_str(json_object_get(out, key), "uri", NULL);

	if (find(t, NORN_OUT, key) == NULL || uri == NULL) {
		err_set(e, ERR_CONFIG, "output artifact %s has no uri", key);
		return NULL;
	}
	return uri;
}

static json_t *model_overview(const struct norn_task *t)
{
	json_t *parties = json_object(), *files = json_array();
	json_t *federated, *party;
	size_t i;
	static const enum norn_role order[] = {NORN_GUEST, NORN_HOST, NORN_ARBITER};
	static const size_t index[] = {1, 2, 3};

	for (i = 0; i < ARRAY_LEN(order); i++)
		json_object_set_new(parties, role_name(order[i]), json_copy(t->parties[index[i]]));
	json_array_append_new(
	    files, json_pack("{s:s,s:s,s:{}}", "name", "", "file_format", "json", "metadata"));
	federated = json_pack("{s:s,s:o,s:{s:s,s:s,s:s,s:{}}}", "task_id", t->task_id, "parties",
			      parties, "component", "name", t->def->name, "provider", "norn",
			      "version", t->def->version, "metadata");
	party = json_pack("{s:s,s:s,s:s,s:o}", "party_task_id", t->party_task_id, "role",
			  role_name(t->role), "partyid", t->party_id, "models", files);
	return json_pack("{s:o,s:o}", "federated", federated, "party", party);
}

void task_output_done(struct norn_task *t, const char *key, json_t *metadata)
{
	const struct norn_artifact *a = find(t, NORN_OUT, key);
	const json_t *out = json_object_get(t->config, "output_artifacts");
	json_t *meta = metadata ? metadata : json_pack("{s:{}}", "metadata"), *entry;
	const char *group = group_of(a ? a->kind : NORN_DATAFRAME);

	json_object_set_new(meta, "source",
			    json_pack("{s:s,s:s,s:s,s:s,s:s,s:n}", "task_id", t->task_id,
				      "party_task_id", t->party_task_id, "task_name", t->task_name,
				      "component", t->def->name, "output_artifact_key", key,
				      "output_index"));
	if (a != NULL && a->kind == NORN_JSON_MODEL)
		json_object_set_new(meta, "model_overview", model_overview(t));
	entry = json_pack("{s:s,s:s,s:b,s:o}", "uri", js_str(json_object_get(out, key), "uri", ""),
			  "type_name", kind_names[a ? a->kind : NORN_DATAFRAME], "consumed", 1,
			  "metadata", meta);
	json_object_set_new(json_object_get(t->io_outputs, group), key, entry);
}

json_t *data_metadata(const json_t *schema, size_t count, json_t *samples, const char *name,
		      const char *namespace_)
{
	json_t *m = json_pack("{s:{s:o},s:{s:I,s:o}}", "metadata", "schema", json_deep_copy(schema),
			      "data_overview", "count", (json_int_t)count, "samples", samples);

	if (name != NULL)
		json_object_set_new(m, "name", json_string(name));
	if (namespace_ != NULL)
		json_object_set_new(m, "namespace", json_string(namespace_));
	return m;
}

bool norn_write_frame(struct norn_task *t, const char *key, const struct norn_frame *f,
		      const char *namespace_, const char *name, struct err *e)
{
	const char *uri = task_output_uri(t, key, e);
	json_t *samples, *schema;
	size_t i;

	if (uri == NULL)
		return false;
	if (!artifact_write_frame(uri, f, e))
		return err_prefix(e, "output %s", key);
	samples = json_array();
	for (i = 0; i < f->n_rows && i < ARTIFACT_SAMPLES; i++)
		json_array_append_new(samples, frame_row(f, i));
	schema = frame_schema(f);
	task_output_done(t, key, data_metadata(schema, f->n_rows, samples, name, namespace_));
	json_decref(schema);
	return true;
}

bool norn_write_model(struct norn_task *t, const char *key, const json_t *model, struct err *e)
{
	const char *uri = task_output_uri(t, key, e);
	char *path = NULL, *dir;
	bool ok;

	if (uri == NULL || !artifact_path(uri, &path, e))
		return false;
	dir = mem_strdup(path);
	ok = fs_mkdirs(dirname(dir), 0700, e) && js_save_file(path, model, e);
	free(dir);
	free(path);
	if (!ok)
		return err_prefix(e, "output %s", key);
	task_output_done(t, key, NULL);
	return true;
}

json_t *task_result_ok(const struct norn_task *t)
{
	return json_pack("{s:{s:i},s:{s:O,s:O}}", "status", "code", 0, "io_meta", "inputs",
			 t->io_inputs, "outputs", t->io_outputs);
}

json_t *task_result_failed(const struct err *e)
{
	return json_pack("{s:{s:i,s:s}}", "status", "code", -1, "exceptions",
			 e->msg[0] ? e->msg : "unknown error");
}
