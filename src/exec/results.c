/* What a finished component has left: the result file, its data and its models, as rows. */
#include "exec/run.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"

#include <libgen.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_MAX_BYTES (1 << 30)

static const struct js_limits result_limits = {64 << 20, 64, 5000000};

bool results_read(struct run *r)
{
	char *path = run_file(r, RUN_RESULT);
	struct err e = {0};

	json_decref(r->result);
	r->result = js_load_file(path, &result_limits, &e);
	free(path);
	if (r->result == NULL && e.code == ERR_FILE_NOT_FOUND)
		return false;
	if (r->result == NULL) {
		buf_printf(&r->error, "its result file cannot be read: %s", e.msg);
		return false;
	}
	const json_t *status = json_object_get(r->result, "status");
	if (js_int(status, "code", -1) == 0)
		return true;
	const char *text = js_str(status, "exceptions", "");
	size_t n = strlen(text);
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		n--;
	/* Of a traceback the last line says what happened. */
	const char *last = text;
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\n')
			last = text + i + 1;
	}
	size_t len = n - (size_t)(last - text);
	buf_add(&r->error, last, len < 2000 ? len : 2000);
	return false;
}

static const char *last_part(const char *path)
{
	const char *s = strrchr(path, '/');

	return s == NULL ? path : s + 1;
}

static void add_output_row(struct run *r, struct db_batch *b, const char *key, int index,
			   const char *ns, const char *name, const json_t *a)
{
	db_add(b, Q_RUN_OUTPUT);
	db_int(b, r->run_no);
	db_text(b, key);
	db_int(b, index);
	db_text(b, ns);
	db_text(b, name);
	db_text(b, js_str(a, "uri", ""));
	db_text(b, js_str(a, "type_name", ""));
	db_json(b, json_object_get(a, "metadata"));
}

static bool add_data(struct run *r, struct db_batch *b, const char *key, int index, json_t *a,
		     struct err *e)
{
	const json_t *meta = json_object_get(a, "metadata");
	const json_t *overview = json_object_get(meta, "data_overview");
	bool unresolved = str_eq(js_str(a, "type_name", ""), "data_unresolved");
	char *ns = mem_printf("%s_%s", r->job_id, r->task_name);
	char *name = mem_printf("%d_%s_%s_%s_%d", r->attempt, r->role, r->party_id, key, index);
	const char *use_ns = js_str(meta, "namespace", ns);
	const char *use_name = js_str(meta, "name", name);

	if (strlen(use_ns) > 200 || strlen(use_name) > 200) {
		err_set(e, ERR_LIMIT, "output %s: namespace and name have at most 200 characters",
			key);
		free(ns);
		free(name);
		return false;
	}
	add_output_row(r, b, key, index, use_ns, use_name, a);
	if (!unresolved) {
		json_t *schema = js_get(meta, "metadata.schema");
		json_t *none = json_object();
		json_t *no_rows = json_array();
		const json_t *samples = json_object_get(overview, "samples");
		const json_t *source = json_object_get(meta, "source");
		db_add(b, Q_TABLE_PUT);
		db_text(b, use_ns);
		db_text(b, use_name);
		db_text(b, js_str(a, "uri", ""));
		db_text(b, js_str(a, "type_name", ""));
		if (overview != NULL)
			db_int(b, js_int(overview, "count", 0));
		else
			db_null(b);
		db_json(b, schema != NULL ? schema : none);
		db_json(b, samples != NULL ? samples : no_rows);
		db_json(b, source != NULL ? source : none);
		db_int(b, r->partitions);
		json_decref(none);
		json_decref(no_rows);
	}
	free(ns);
	free(name);
	return true;
}

static void sha256_hex(const struct buf *data, struct buf *out)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	EVP_Digest(data->data, data->len, md, &n, EVP_sha256(), NULL);
	str_hex(out, md, n);
}

/* A model moves from the run's work directory to its place in the data directory: the copy is what
 * counts. */
static bool add_model(struct run *r, struct db_batch *b, const char *key, int index, json_t *a,
		      struct err *e)
{
	const char *type = js_str(a, "type_name", "");
	const char *uri = js_str(a, "uri", "");
	struct buf content = {0};
	struct buf sum = {0};

	if (!str_eq(type, "json_model"))
		return err_set(e, ERR_UNSUPPORTED, "output %s: models of type %s are not supported",
			       key, type);
	if (!str_starts(uri, "file:///") || !fs_read(uri + 7, MODEL_MAX_BYTES, &content, e))
		return err_prefix(e, "output %s", key);
	char *rel = mem_printf("models/%s/%s/%s/%s/%s/%s", r->model_id, r->model_version, r->role,
			       r->party_id, r->task_name, key);
	char *dir = mem_printf("%s/%s", r->node->conf->data_dir, rel);
	char *file = mem_printf("%s/%d_%s", rel, r->attempt, last_part(uri));
	char *full = mem_printf("%s/%s", r->node->conf->data_dir, file);
	bool ok = fs_mkdirs(dir, 0700, e) && fs_write(full, content.data, content.len, 0600, e);

	if (ok) {
		sha256_hex(&content, &sum);
		db_add(b, Q_RUN_MODEL);
		db_int(b, r->run_no);
		db_text(b, key);
		db_int(b, index);
		db_text(b, type);
		db_text(b, file);
		db_text(b, buf_str(&sum));
		db_int(b, (int64_t)content.len);
		db_json(b, json_object_get(a, "metadata"));
		/* Later tasks of the job find it as an output, by the path where it stays. */
		char *kept = mem_printf("file://%s", full);
		json_t *copy = json_copy(a);
		json_object_set_new(copy, "uri", json_string(kept));
		add_output_row(r, b, key, index, r->model_id, r->task_name, copy);
		json_decref(copy);
		free(kept);
	}
	free(rel);
	free(dir);
	free(file);
	free(full);
	buf_free(&content);
	buf_free(&sum);
	return ok;
}

typedef bool add_fn(struct run *r, struct db_batch *b, const char *key, int index, json_t *a,
		    struct err *e);

static bool add_group(struct run *r, struct db_batch *b, const char *group, add_fn *add,
		      struct err *e)
{
	json_t *all = js_get(r->result, group);
	const char *key;
	json_t *v;

	json_object_foreach (all, key, v) {
		size_t n = json_is_array(v) ? json_array_size(v) : 1;
		for (size_t i = 0; i < n; i++) {
			json_t *a = json_is_array(v) ? json_array_get(v, i) : v;
			if (!js_bool(a, "consumed", true))
				continue;
			if (!str_is_name(key, 50))
				return err_set(e, ERR_COMPONENT_OUTPUT,
					       "output key '%s' is not a name", key);
			if (!add(r, b, key, (int)i, a, e))
				return false;
		}
	}
	return true;
}

bool results_add(struct run *r, struct db_batch *b, struct err *e)
{
	return add_group(r, b, "io_meta.outputs.data", add_data, e) &&
	       add_group(r, b, "io_meta.outputs.model", add_model, e);
}
