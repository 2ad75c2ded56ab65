/* upload, dataframe_transformer, download, reader: data into and out of a site. */
#include "config.h"

#include "component/builtin.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "component/artifact.h"
#include "component/rawtable.h"
#include "component/task.h"
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool import_file(struct norn_task *t, const char *path, const json_t *meta, struct err *e)
{
	struct raw_source src = {.head = norn_param_bool(t, "head"),
				 .extend_sid = norn_param_bool(t, "extend_sid"),
				 .meta = meta};
	const char *uri = task_output_uri(t, "table", e);
	const char *name = norn_param_str(t, "name"), *ns = norn_param_str(t, "namespace");
	struct artifact_writer w;
	json_t *schema = NULL, *samples = NULL;
	size_t count = 0;
	bool ok;

	if (uri == NULL || !artifact_begin(&w, uri, e))
		return false;
	src.in = fopen(path, "rbe");
	if (src.in == NULL) {
		artifact_abandon(&w);
		return err_set(e, ERR_FILE_NOT_FOUND, "cannot read %s: %s", path, strerror(errno));
	}
	ok = (rawtable_import(&src, w.out, &schema, &count, &samples, e) ||
	      err_prefix(e, "%s", path)) &&
	     artifact_finish(&w, schema, count, e);
	fclose(src.in);
	artifact_abandon(&w);
	if (ok) {
		task_output_done(t, "table", data_metadata(schema, count, samples, name, ns));
		norn_say(t, "%zu rows", count);
		norn_metric(t, "upload", NULL, NULL, 0,
			    json_pack("{s:s?,s:s?,s:I}", "name", name, "namespace", ns, "count",
				      (json_int_t)count));
	} else {
		json_decref(samples);
	}
	json_decref(schema);
	return ok;
}

static bool run_upload(struct norn_task *t, struct err *e)
{
	const char *path = norn_param_str(t, "file");
	json_t *meta;
	bool ok;

	if (path[0] != '/')
		return err_set(e, ERR_JOB_PARAMS,
			       "parameter file: '%.200s' is not an absolute path", path);
	meta = rawtable_check_meta(norn_param(t, "meta"), e);
	if (meta == NULL)
		return false;
	ok = import_file(t, path, meta, e);
	json_decref(meta);
	if (ok && norn_param_bool(t, "is_temp_file") && unlink(path) != 0)
		norn_say(t, "the temporary file could not be removed: %s", strerror(errno));
	return ok;
}

static const struct norn_param upload_params[] = {
    {"file", NORN_P_STR, NULL, 0, 0, NULL, 0, "path of the CSV file on this machine"},
    {"head", NORN_P_BOOL, "true", 0, 0, NULL, 0, "the first line names the columns"},
    {"partitions", NORN_P_INT, "null", 1, 1000000, NULL, 0,
     "accepted for compatibility: tables have one part"},
    {"meta", NORN_P_MAP, "{}", 0, 0, NULL, 0,
     "what the columns are: sample_id_name, match_id_name, label_name, dtype, delimiter ..."},
    {"extend_sid", NORN_P_BOOL, "false", 0, 0, NULL, 0, "make a sample id column"},
    {"namespace", NORN_P_STR, "null", 0, 0, NULL, 0, "namespace of the table"},
    {"name", NORN_P_STR, "null", 0, 0, NULL, 0, "name of the table"},
    {"storage_engine", NORN_P_STR, "null", 0, 0, "file|standalone", 0,
     "accepted for compatibility"},
    {"is_temp_file", NORN_P_BOOL, "false", 0, 0, NULL, 0, "remove the file after success"},
};
static const struct norn_artifact upload_artifacts[] = {
    {"table", NORN_OUT, NORN_TABLE, false, false, 0, 0, "the file as a checked raw table"},
};
const struct norn_component comp_upload = {
    "upload",
    BUILTIN_VERSION,
    "read a CSV file, check it and keep it as a raw table",
    NORN_LOCAL,
    NORN_DEFAULT,
    upload_params,
    ARRAY_LEN(upload_params),
    upload_artifacts,
    ARRAY_LEN(upload_artifacts),
    run_upload,
};

static bool run_transformer(struct norn_task *t, struct err *e)
{
	const char *uri = task_input_uri(t, "table", 0);
	struct artifact_reader a;
	struct norn_frame *f;
	bool ok;

	if (uri == NULL)
		return err_set(e, ERR_CONFIG, "input artifact table has no uri");
	if (!artifact_open(&a, uri, e))
		return err_prefix(e, "input table");
	if (js_str(a.schema, "type", NULL) != NULL) {
		artifact_close(&a);
		return err_set(e, ERR_COMPONENT_OUTPUT, "input table is already a data frame");
	}
	f = rawtable_to_frame(a.in, a.schema, a.count, norn_param_str(t, "site_name"), e);
	artifact_close(&a);
	if (f == NULL)
		return false;
	norn_say(t, "%zu rows, %zu columns%s%s", f->n_rows, f->n_columns, f->label ? ", label" : "",
		 f->weight ? ", weight" : "");
	ok = norn_write_frame(t, "dataframe_output", f, norn_param_str(t, "namespace"),
			      norn_param_str(t, "name"), e);
	norn_frame_free(f);
	return ok;
}

static const struct norn_param transformer_params[] = {
    {"namespace", NORN_P_STR, "null", 0, 0, NULL, 0, "namespace of the data frame"},
    {"name", NORN_P_STR, "null", 0, 0, NULL, 0, "name of the data frame"},
    {"site_name", NORN_P_STR, "null", 0, 0, NULL, 0, "fixes the anonymous site name"},
};
static const struct norn_artifact transformer_artifacts[] = {
    {"table", NORN_IN, NORN_TABLE, false, false, 0, 0, "raw table"},
    {"dataframe_output", NORN_OUT, NORN_DATAFRAME, false, false, 0, 0, "typed data frame"},
};
const struct norn_component comp_dataframe_transformer = {
    "dataframe_transformer",
    BUILTIN_VERSION,
    "give the columns of a raw table their types and meanings",
    NORN_LOCAL | NORN_GUEST | NORN_HOST,
    NORN_DEFAULT,
    transformer_params,
    ARRAY_LEN(transformer_params),
    transformer_artifacts,
    ARRAY_LEN(transformer_artifacts),
    run_transformer,
};

static bool copy_stream(FILE *in, FILE *out, struct err *e)
{
	char block[65536];
	size_t n;

	while ((n = fread(block, 1, sizeof block, in)) > 0)
		if (fwrite(block, 1, n, out) != n)
			return err_set(e, ERR_IO, "cannot write: %s", strerror(errno));
	return !ferror(in) || err_set(e, ERR_IO, "cannot read the table");
}

static bool run_download(struct norn_task *t, struct err *e)
{
	const char *path = norn_param_str(t, "path"), *uri = task_input_uri(t, "table", 0);
	struct artifact_reader a;
	char *dir, *part;
	FILE *out;
	bool ok;

	if (path[0] != '/')
		return err_set(e, ERR_JOB_PARAMS,
			       "parameter path: '%.200s' is not an absolute path", path);
	if (uri == NULL)
		return err_set(e, ERR_CONFIG, "input artifact table has no uri");
	if (!artifact_open(&a, uri, e))
		return err_prefix(e, "input table");
	dir = mem_strdup(path);
	part = mem_printf("%s.part", path);
	ok = fs_mkdirs(dirname(dir), 0755, e);
	out = ok ? fopen(part, "wbe") : NULL;
	if (ok && out == NULL)
		ok = err_set(e, ERR_IO, "cannot write %s: %s", part, strerror(errno));
	if (out != NULL) {
		ok = copy_stream(a.in, out, e);
		if (fclose(out) != 0 && ok)
			ok = err_set(e, ERR_IO, "cannot write %s: %s", part, strerror(errno));
		if (ok && rename(part, path) != 0)
			ok = err_set(e, ERR_IO, "cannot write %s: %s", path, strerror(errno));
		if (!ok)
			(void)remove(part);
	}
	if (ok)
		norn_say(t, "%zu rows written to %s", a.count, path);
	artifact_close(&a);
	free(dir);
	free(part);
	return ok;
}

static const struct norn_param download_params[] = {
    {"path", NORN_P_STR, NULL, 0, 0, NULL, 0, "where to write the CSV file on this machine"},
    {"namespace", NORN_P_STR, "null", 0, 0, NULL, 0, "namespace of the table, for the record"},
    {"name", NORN_P_STR, "null", 0, 0, NULL, 0, "name of the table, for the record"},
};
static const struct norn_artifact download_artifacts[] = {
    {"table", NORN_IN, NORN_TABLE, false, false, 0, 0, "raw table or data frame"},
};
const struct norn_component comp_download = {
    "download",
    BUILTIN_VERSION,
    "write a table as a CSV file",
    NORN_LOCAL,
    NORN_DEFAULT,
    download_params,
    ARRAY_LEN(download_params),
    download_artifacts,
    ARRAY_LEN(download_artifacts),
    run_download,
};

static bool run_reader(struct norn_task *t, struct err *e)
{
	(void)e;
	task_output_done(t, "output_data",
			 json_pack("{s:{},s:s,s:s}", "metadata", "name", norn_param_str(t, "name"),
				   "namespace", norn_param_str(t, "namespace")));
	return true;
}

static const struct norn_param reader_params[] = {
    {"name", NORN_P_STR, NULL, 0, 0, NULL, 0, "name of the table"},
    {"namespace", NORN_P_STR, NULL, 0, 0, NULL, 0, "namespace of the table"},
};
static const struct norn_artifact reader_artifacts[] = {
    {"output_data", NORN_OUT, NORN_DATA_UNRESOLVED, false, false, 0, 0, "the table of that name"},
};
const struct norn_component comp_reader = {
    "reader",
    BUILTIN_VERSION,
    "name a table of the site as input of the tasks after it",
    NORN_GUEST | NORN_HOST | NORN_ARBITER,
    NORN_DEFAULT,
    reader_params,
    ARRAY_LEN(reader_params),
    reader_artifacts,
    ARRAY_LEN(reader_artifacts),
    run_reader,
};
