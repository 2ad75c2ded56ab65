#include "api/files.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER_MAX (1 << 20) /* bytes of a header line */

static bool below(const char *path, const char *base)
{
	size_t n = strlen(base);

	return strncmp(path, base, n) == 0 && path[n] == '/';
}

/* Both as the kernel sees them, so that a link leads nowhere else. */
static bool confine(const struct node *n, const char *path, struct buf *out, struct err *e)
{
	char *base = realpath(n->conf->data_dir, NULL);
	char *real = base != NULL ? realpath(path, NULL) : NULL;
	bool ok = real != NULL && below(real, base);

	if (ok)
		buf_adds(out, real);
	else if (real != NULL)
		err_set(e, ERR_FILE_NOT_FOUND,
			"No found file or dir: path[%s] lies outside the data directory", path);
	else
		err_set(e, ERR_FILE_NOT_FOUND, "No found file or dir: path[%s] (%s)", path,
			strerror(errno));
	free(base);
	free(real);
	return ok;
}

bool files_data_dir(const struct node *n, const char *uri, struct buf *out, struct err *e)
{
	if (!str_starts(uri, "file:///") || strlen(uri) > PATH_MAX)
		return err_set(e, ERR_UNSUPPORTED,
			       "data at '%.200s' cannot be downloaded: only file:// is supported",
			       uri);
	return confine(n, uri + strlen("file://"), out, e);
}

bool files_model_path(const struct node *n, const char *rel, struct buf *out, struct err *e)
{
	struct buf path = {0};
	bool ok = fs_join(n->conf->data_dir, rel, &path, e) && confine(n, buf_str(&path), out, e);

	buf_free(&path);
	return ok;
}

/* The next field of an RFC 4180 line into field, unquoted; returns behind it, or NULL at the end of
 * the line. */
static const char *csv_field(const char *p, const char *end, struct buf *field)
{
	bool quoted = p < end && *p == '"';

	if (quoted)
		p++;
	while (p < end) {
		if (quoted && *p == '"') {
			if (p + 1 < end && p[1] == '"') {
				buf_addc(field, '"');
				p += 2;
				continue;
			}
			quoted = false;
			p++;
			continue;
		}
		if (!quoted && *p == ',')
			return p + 1;
		buf_addc(field, *p++);
	}
	return NULL;
}

static json_t *header_of(const char *line, size_t len)
{
	json_t *names = json_array();
	const char *end = line + len;
	const char *p = line;

	while (end > line && (end[-1] == '\n' || end[-1] == '\r'))
		end--;
	while (p != NULL) {
		struct buf field = {0};
		p = csv_field(p, end, &field);
		if (str_is_utf8(buf_str(&field), field.len))
			json_array_append_new(names, json_stringn(buf_str(&field), field.len));
		buf_free(&field);
	}
	return names;
}

/* {"header": [...]} from the first line of the file. */
static bool make_meta(const char *csv_path, struct buf *out, struct err *e)
{
	FILE *f = fopen(csv_path, "re");
	char *line = NULL;
	size_t cap = 0;

	if (f == NULL)
		return err_set(e, ERR_FILE_NOT_FOUND, "No found file or dir: path[%s] (%s)",
			       csv_path, strerror(errno));
	line = mem_alloc(HEADER_MAX);
	cap = fread(line, 1, HEADER_MAX, f);
	fclose(f);
	const char *end = memchr(line, '\n', cap);
	json_t *meta =
	    json_pack("{s:o}", "header", header_of(line, end != NULL ? (size_t)(end - line) : cap));
	js_dump(meta, out);
	json_decref(meta);
	free(line);
	return true;
}

bool files_add_table(const struct node *n, struct archive *a, const char *prefix, int64_t i,
		     const char *uri, struct err *e)
{
	struct buf path = {0};
	struct buf meta = {0};
	char *csv_name = mem_printf("%s/%lld.csv", prefix, (long long)i);
	char *meta_name = mem_printf("%s/%lld.meta", prefix, (long long)i);
	bool ok = files_data_dir(n, uri, &path, e);

	if (ok) {
		buf_adds(&path, "/data.csv");
		ok = make_meta(buf_str(&path), &meta, e) &&
		     archive_add_file(a, csv_name, buf_str(&path), e) &&
		     archive_add_text(a, meta_name, &meta, e);
	}
	buf_free(&path);
	buf_free(&meta);
	free(csv_name);
	free(meta_name);
	return ok;
}

bool files_add_model(const struct node *n, struct archive *a, const struct db_result *res, int row,
		     struct err *e)
{
	struct buf path = {0};
	struct buf meta = {0};
	const char *rel = db_get(res, 0, row, "path");
	const char *file = strrchr(rel, '/') != NULL ? strrchr(rel, '/') + 1 : rel;
	char *meta_name = mem_printf("%s.meta.yaml", file);
	json_t *m = db_get_json(res, 0, row, "metadata");

	if (!json_is_object(m)) {
		json_decref(m);
		m = json_object();
	}
	json_object_set_new(m, "model_key", json_string(file));
	json_object_set_new(m, "type_name", json_string(db_get(res, 0, row, "type_name")));
	js_dump(m, &meta);
	bool ok = files_model_path(n, rel, &path, e) &&
		  archive_add_file(a, file, buf_str(&path), e) &&
		  archive_add_text(a, meta_name, &meta, e);
	json_decref(m);
	free(meta_name);
	buf_free(&path);
	buf_free(&meta);
	return ok;
}
