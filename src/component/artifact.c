#include "config.h"

#include "component/artifact.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

bool artifact_path(const char *uri, char **path, struct err *e)
{
	const char *p;

	if (uri == NULL || !str_starts(uri, "file://"))
		return err_set(e, ERR_UNSUPPORTED,
			       "artifact URI '%.200s': only file:// is supported", uri ? uri : "");
	p = uri + strlen("file://");
	if (str_starts(p, "localhost/"))
		p += strlen("localhost");
	if (*p != '/' || strlen(p) > 4000)
		return err_set(e, ERR_USAGE, "artifact URI '%.200s' does not name an absolute path",
			       uri);
	if (strstr(p, "/../") != NULL || str_ends(p, "/.."))
		return err_set(e, ERR_USAGE, "artifact URI '%.200s' contains '..'", uri);
	*path = mem_strdup(p);
	return true;
}

bool artifact_begin(struct artifact_writer *w, const char *uri, struct err *e)
{
	char *file, *info;

	memset(w, 0, sizeof *w);
	if (!artifact_path(uri, &w->dir, e))
		return false;
	if (!fs_mkdirs(w->dir, 0700, e)) {
		artifact_abandon(w);
		return false;
	}
	/* A table left by an earlier try must not look complete while it is overwritten. */
	info = mem_printf("%s/table.json", w->dir);
	(void)remove(info);
	free(info);
	file = mem_printf("%s/data.csv", w->dir);
	w->out = fopen(file, "wbe");
	if (w->out == NULL)
		err_set(e, ERR_IO, "cannot write %s: %s", file, strerror(errno));
	free(file);
	if (w->out == NULL)
		artifact_abandon(w);
	return w->dir != NULL;
}

void artifact_abandon(struct artifact_writer *w)
{
	if (w->out != NULL)
		fclose(w->out);
	if (w->dir != NULL) {
		/* What is there of it would only take the room that may have been missing. */
		char *file = mem_printf("%s/data.csv", w->dir);
		(void)remove(file);
		free(file);
	}
	free(w->dir);
	memset(w, 0, sizeof *w);
}

/* SHA-256 of the rest of a stream as hex, and its length. */
static bool hash_stream(FILE *in, struct buf *hex, size_t *bytes, struct err *e)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char md[EVP_MAX_MD_SIZE], block[16384];
	unsigned len = 0;
	size_t n;
	bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

	*bytes = 0;
	while (ok && (n = fread(block, 1, sizeof block, in)) > 0) {
		ok = EVP_DigestUpdate(ctx, block, n) == 1;
		*bytes += n;
	}
	ok = ok && EVP_DigestFinal_ex(ctx, md, &len) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return err_set(e, ERR_CRYPTO, "SHA-256 failed");
	if (ferror(in))
		return err_set(e, ERR_IO, "cannot read the table");
	str_hex(hex, md, len);
	return true;
}

bool artifact_finish(struct artifact_writer *w, const json_t *schema, size_t count, struct err *e)
{
	char *file = mem_printf("%s/data.csv", w->dir), *info = NULL;
	struct buf hex = {0};
	json_t *o = NULL;
	size_t bytes = 0;
	FILE *out = w->out, *in = NULL;
	bool ok = false;

	w->out = NULL;
	if (fclose(out) != 0) {
		err_set(e, ERR_IO, "cannot write %s: %s", file, strerror(errno));
		goto out;
	}
	in = fopen(file, "rbe");
	if (in == NULL) {
		err_set(e, ERR_IO, "cannot read %s: %s", file, strerror(errno));
		goto out;
	}
	if (!hash_stream(in, &hex, &bytes, e))
		goto out;
	o = json_object();
	json_object_set_new(o, "schema", json_deep_copy(schema));
	json_object_set_new(o, "count", json_integer((json_int_t)count));
	json_object_set_new(o, "bytes", json_integer((json_int_t)bytes));
	json_object_set_new(o, "sha256", json_string(buf_str(&hex)));
	info = mem_printf("%s/table.json", w->dir);
	ok = js_save_file(info, o, e);
out:
	if (in != NULL)
		fclose(in);
	json_decref(o);
	buf_free(&hex);
	free(file);
	free(info);
	if (ok) {
		free(w->dir);
		memset(w, 0, sizeof *w);
	} else {
		artifact_abandon(w);
	}
	return ok;
}

static bool check_info(struct artifact_reader *r, struct err *e)
{
	int64_t count = js_int(r->info, "count", -1);
	const char *want = js_str(r->info, "sha256", "");
	struct buf hex = {0};
	bool same;

	r->schema = json_object_get(r->info, "schema");
	if (!json_is_object(r->schema) || count < 0)
		return err_set(e, ERR_PARSE, "table.json lacks a schema or a count");
	if (!hash_stream(r->in, &hex, &r->bytes, e)) {
		buf_free(&hex);
		return false;
	}
	same = strcmp(buf_str(&hex), want) == 0;
	buf_free(&hex);
	if (!same)
		return err_set(e, ERR_IO,
			       "data.csv does not match its checksum: the table was "
			       "changed or damaged");
	if ((uint64_t)count > r->bytes)
		return err_set(e, ERR_PARSE, "table.json gives more rows than the data can hold");
	r->count = (size_t)count;
	rewind(r->in);
	return true;
}

bool artifact_open(struct artifact_reader *r, const char *uri, struct err *e)
{
	char *dir = NULL, *file, *info;
	bool ok = false;

	memset(r, 0, sizeof *r);
	if (!artifact_path(uri, &dir, e))
		return false;
	file = mem_printf("%s/data.csv", dir);
	info = mem_printf("%s/table.json", dir);
	r->info = js_load_file(info, &js_limits_default, e);
	if (r->info == NULL)
		goto out;
	r->in = fopen(file, "rbe");
	if (r->in == NULL) {
		err_set(e, ERR_FILE_NOT_FOUND, "cannot read %s: %s", file, strerror(errno));
		goto out;
	}
	ok = check_info(r, e) || err_prefix(e, "table %s", dir);
out:
	if (!ok)
		artifact_close(r);
	free(dir);
	free(file);
	free(info);
	return ok;
}

void artifact_close(struct artifact_reader *r)
{
	if (r->in != NULL)
		fclose(r->in);
	json_decref(r->info);
	memset(r, 0, sizeof *r);
}

struct norn_frame *artifact_read_frame(const char *uri, struct err *e)
{
	struct artifact_reader a;
	struct csv_reader csv;
	struct norn_frame *f = NULL;

	if (!artifact_open(&a, uri, e))
		return NULL;
	if (strcmp(js_str(a.schema, "type", ""), "fate.arch.dataframe") != 0)
		err_set(e, ERR_COMPONENT_OUTPUT,
			"the table is not a data frame: run dataframe_transformer on it first");
	else if (json_array_size(js_get(a.schema, "schema_meta.fields")) * a.count > a.bytes)
		err_set(e, ERR_PARSE, "table.json gives more cells than the data can hold");
	else if (csv_reader_init(&csv, a.in, ',', e)) {
		f = frame_read_csv(&csv, a.schema, a.count, e);
		csv_reader_free(&csv);
	}
	artifact_close(&a);
	return f;
}

bool artifact_write_frame(const char *uri, const struct norn_frame *f, struct err *e)
{
	struct artifact_writer w;
	json_t *schema;
	bool ok;

	if (!artifact_begin(&w, uri, e))
		return false;
	schema = frame_schema(f);
	ok = frame_write_csv(f, w.out, e) && artifact_finish(&w, schema, f->n_rows, e);
	json_decref(schema);
	artifact_abandon(&w);
	return ok;
}
