#include "config.h"

#include "api/model_file.h"

#include "api/multipart.h"
#include "api/targz.h"
#include "api/untar.h"
#include "api/zip.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX  (256 << 20)  /* bytes of one file, and of one entry */
#define TOTAL_MAX (4ULL << 30) /* bytes of all entries */
#define STEP      (256 * 1024)
#define NAME_LEN  100
#define N_PARTS   6
#define META_END  ".meta.yaml"
#define FILES_MAX 10000

static const char *const part_names[N_PARTS] = {"model_id", "model_version", "role",
						"party_id", "task_name",     "output_key"};

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* ---- export ---- */

static bool add_file(struct zip_writer *w, const char *name, const struct buf *content,
		     struct err *e)
{
	struct buf b = {0};
	bool ok = tar_header(&b, name, content->len, (int64_t)time(NULL));

	if (!ok)
		err_set(e, ERR_LIMIT, "'%.300s' does not fit into an archive", name);
	ok = ok && zip_add(w, b.data, b.len, e) && zip_add(w, buf_str(content), content->len, e);
	buf_reset(&b);
	tar_pad(&b, content->len);
	ok = ok && (b.len == 0 || zip_add(w, b.data, b.len, e));
	buf_free(&b);
	return ok;
}

/* One file of a model and what is known of it: JSON, which is YAML too. */
static bool add_row(const struct model_export *x, const json_t *row, struct zip_writer *w,
		    struct err *e)
{
	const char *file = last_part(js_str(row, "path", ""));
	char *meta_name = mem_printf("%s" META_END, file);
	json_t *meta = json_object();
	struct buf path = {0};
	struct buf content = {0};
	struct buf text = {0};

	json_object_update(meta, json_object_get(row, "metadata"));
	json_object_set_new(meta, "model_key", json_string(file));
	json_object_set(meta, "type_name", json_object_get(row, "type_name"));
	json_object_set(meta, "index", json_object_get(row, "index"));
	js_dump(meta, &text);
	bool ok = fs_join(x->data_dir, js_str(row, "path", ""), &path, e) &&
		  fs_read(buf_str(&path), FILE_MAX, &content, e) &&
		  add_file(w, file, &content, e) && add_file(w, meta_name, &text, e);
	json_decref(meta);
	free(meta_name);
	buf_free(&path);
	buf_free(&content);
	buf_free(&text);
	return ok;
}

static bool end_entry(struct zip_writer *w, struct err *e)
{
	struct buf b = {0};

	tar_end(&b);
	bool ok = zip_add(w, b.data, b.len, e) && zip_end(w, e);
	buf_free(&b);
	return ok;
}

static bool write_entries(const struct model_export *x, struct zip_writer *w, struct err *e)
{
	char *open = mem_strdup("");
	bool ok = true;
	size_t i;
	json_t *row;

	json_array_foreach (x->rows, i, row) {
		char *name =
		    mem_printf("%s/%s/%s/%s/%s/%s", x->ids[0], x->ids[1], x->ids[2], x->ids[3],
			       js_str(row, "task_name", ""), js_str(row, "output_key", ""));
		if (strcmp(name, open) != 0) {
			ok = (open[0] == '\0' || end_entry(w, e)) && zip_begin(w, name, e);
			free(open);
			open = name;
		} else {
			free(name);
		}
		ok = ok && add_row(x, row, w, e);
		if (!ok)
			break;
	}
	ok = ok && end_entry(w, e) && zip_finish(w, e);
	free(open);
	return ok;
}

bool model_export(const struct model_export *x, struct err *e)
{
	char *dir = mem_strndup(x->path, (size_t)(last_part(x->path) - x->path));
	char fresh[17];
	struct zip_writer w;

	str_random_hex(fresh, 8);
	char *temp = mem_printf("%s.norn-%s", dir, fresh);
	int fd = -1;
	bool ok = fs_mkdirs(dir, 0700, e);
	if (ok) {
		fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		ok = fd >= 0 ||
		     err_set(e, ERR_IO, "path: %s cannot be written: %s", x->path, strerror(errno));
	}
	if (ok) {
		zip_write_init(&w, fd);
		ok = write_entries(x, &w, e);
		zip_write_free(&w);
	}
	if (fd >= 0) {
		if (ok && (fsync(fd) != 0 || rename(temp, x->path) != 0))
			ok = err_set(e, ERR_IO, "path: %s cannot be written: %s", x->path,
				     strerror(errno));
		close(fd);
		if (!ok)
			(void)unlink(temp);
	}
	free(temp);
	free(dir);
	return ok;
}

/* ---- import: the form ---- */

static bool keep_file(const void *data, size_t len, void *arg, struct err *e)
{
	const int *fd = arg;
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(*fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, ERR_IO, "the uploaded file cannot be kept: %s",
				       strerror(n < 0 ? errno : ENOSPC));
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool read_form(struct model_import *x, struct multipart *form, struct err *e)
{
	char *block = mem_alloc(STEP);
	bool ok = lseek(x->body_fd, 0, SEEK_SET) == 0;
	ssize_t n = 0;

	while (ok && (n = read(x->body_fd, block, STEP)) > 0)
		ok = multipart_feed(form, block, (size_t)n, e);
	free(block);
	if (ok && n < 0)
		return err_set(e, ERR_IO, "the body cannot be read again: %s", strerror(errno));
	return ok && multipart_end(form, e);
}

static const char *form_id(const struct multipart *form, const char *name, struct err *e)
{
	const char *v = js_str(multipart_fields(form), name, NULL);

	if (v == NULL)
		err_set(e, ERR_API_PARAMETER,
			"Invalid request. %s: Missing data for required field.", name);
	else if (str_is_name(v, NAME_LEN))
		return v;
	else
		err_set(e, ERR_API_PARAMETER, "Invalid parameter: %s: '%.100s' is not a name", name,
			v);
	return NULL;
}

/* ---- import: one entry ---- */

struct entry {
	struct model_import *x;
	const char *parts[N_PARTS];
};

/* "id/version/role/party/task/key", cut at the slashes; the first two are the importer's. */
static bool split(char *name, struct entry *n, struct err *e)
{
	static const char *const roles[] = {"guest", "host", "arbiter", "local"};
	char *p = name;
	bool known = false;

	for (int i = 0; i < N_PARTS; i++) {
		char *slash = strchr(p, '/');
		if ((slash == NULL) != (i == N_PARTS - 1))
			return err_set(e, ERR_PARSE,
				       "its name is not of the form <model id>/<version>/<role>/"
				       "<party id>/<task>/<output key>");
		if (slash != NULL)
			*slash = '\0';
		if (!str_is_name(p, NAME_LEN))
			return err_set(e, ERR_PARSE, "%s: '%.100s' is not a name", part_names[i],
				       p);
		if (i >= 2)
			n->parts[i] = p;
		p += strlen(p) + 1;
	}
	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		known |= str_eq(n->parts[2], roles[i]);
	return known || err_set(e, ERR_PARSE, "'%.100s' is not a role", n->parts[2]);
}

/* Where the descriptions are, by the names of their files: {name: [offset, bytes]}. Made once for
 * an archive, so that many files do not mean many readings of it. */
static json_t *find_metas(const struct buf *tar, struct err *e)
{
	struct untar t = {.data = buf_str(tar), .len = tar->len};
	struct untar_file f = {0};
	json_t *all = json_object();
	int more;

	while ((more = untar_next(&t, &f, e)) > 0) {
		const char *name = last_part(f.name);
		if (!str_ends(name, META_END))
			continue;
		char *file = mem_strndup(name, strlen(name) - strlen(META_END));
		if (str_is_name(file, NAME_LEN) && json_object_get(all, file) == NULL)
			json_object_set_new(
			    all, file,
			    json_pack("[I, I]", (json_int_t)(f.data - t.data), (json_int_t)f.len));
		free(file);
		if (json_object_size(all) > FILES_MAX) {
			err_set(e, ERR_LIMIT, "more than %d files of the kind *" META_END,
				FILES_MAX);
			more = -1;
			break;
		}
	}
	if (more == 0)
		return all;
	json_decref(all);
	return NULL;
}

static json_t *meta_of(const struct buf *tar, const json_t *metas, const char *file, struct err *e)
{
	const json_t *at = json_object_get(metas, file);

	if (at == NULL)
		return json_object();
	json_t *v = js_parse_yaml(buf_str(tar) + json_integer_value(json_array_get(at, 0)),
				  (size_t)json_integer_value(json_array_get(at, 1)), NULL, e);
	if (v == NULL || json_is_object(v))
		return v;
	json_decref(v);
	err_set(e, ERR_PARSE, "%s" META_END " is no map", file);
	return NULL;
}

static void sha256_hex(const void *data, size_t len, struct buf *out)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	if (EVP_Digest(data, len, md, &n, EVP_sha256(), NULL) == 1)
		str_hex(out, md, n);
}

/* Takes meta. */
static bool keep_model(struct entry *n, const struct untar_file *f, json_t *meta, int64_t at,
		       struct err *e)
{
	char fresh[17];
	struct buf sum = {0};
	const char *name = last_part(f->name);

	str_random_hex(fresh, 8);
	char *dir = mem_printf("%s/%s/%s/%s/%s", n->x->dir, n->parts[2], n->parts[3], n->parts[4],
			       n->parts[5]);
	char *rel = mem_printf("%s/%s_%s", dir, fresh, name);
	char *full_dir = mem_printf("%s/%s", n->x->data_dir, dir);
	char *full = mem_printf("%s/%s", n->x->data_dir, rel);
	bool ok = fs_mkdirs(full_dir, 0700, e) && fs_write(full, f->data, f->len, 0600, e);
	if (ok) {
		sha256_hex(f->data, f->len, &sum);
		json_t *row =
		    json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:O}", "index",
			      (json_int_t)js_int(meta, "index", at), "component",
			      js_str(json_object_get(meta, "source"), "component", ""), "type_name",
			      js_str(meta, "type_name", "json_model"), "path", rel, "sha256",
			      buf_str(&sum), "size_bytes", (json_int_t)f->len, "metadata", meta);
		for (int i = 0; i < N_PARTS; i++)
			json_object_set_new(row, part_names[i], json_string(n->parts[i]));
		json_array_append_new(n->x->rows, row);
	}
	buf_free(&sum);
	free(dir);
	free(rel);
	free(full_dir);
	free(full);
	json_decref(meta);
	return ok;
}

static bool import_files(struct entry *n, const struct buf *tar, const json_t *metas, struct err *e)
{
	struct untar t = {.data = buf_str(tar), .len = tar->len};
	struct untar_file f = {0};
	int64_t found = 0;
	int more;

	while ((more = untar_next(&t, &f, e)) > 0) {
		const char *name = last_part(f.name);
		if (str_ends(name, ".yaml"))
			continue;
		if (!str_is_name(name, NAME_LEN))
			return err_set(e, ERR_PARSE, "'%.100s' is not the name of a file", name);
		if (json_array_size(n->x->rows) >= FILES_MAX)
			return err_set(e, ERR_LIMIT, "more than %d files", FILES_MAX);
		json_t *meta = meta_of(tar, metas, name, e);
		if (meta == NULL || !keep_model(n, &f, meta, found, e))
			return false;
		found++;
	}
	if (more == 0 && found == 0)
		return err_set(e, ERR_PARSE, "there is no model in it");
	return more == 0;
}

static bool import_tar(struct entry *n, const struct buf *tar, struct err *e)
{
	json_t *metas = find_metas(tar, e);
	bool ok = metas != NULL && import_files(n, tar, metas, e);

	json_decref(metas);
	return ok;
}

static bool import_entries(struct entry *n, const struct zip_reader *z, struct err *e)
{
	uint64_t total = 0;
	bool any = false;

	for (size_t i = 0; i < z->n; i++) {
		const struct zip_entry *entry = &z->entries[i];
		struct buf tar = {0};
		total += entry->size;
		if (total > TOTAL_MAX)
			return err_set(e, ERR_LIMIT, "file: more than %llu bytes when unpacked",
				       (unsigned long long)TOTAL_MAX);
		if (str_ends(entry->name, "/")) /* a directory */
			continue;
		char *name = mem_strdup(entry->name);
		bool ok = split(name, n, e) && zip_read(z, entry, FILE_MAX, &tar, e) &&
			  import_tar(n, &tar, e);
		buf_free(&tar);
		free(name);
		if (!ok)
			return err_prefix(e, "file: entry %.200s", entry->name);
		any = true;
	}
	return any || err_set(e, ERR_PARSE, "file: the zip file is empty");
}

bool model_import(struct model_import *x, struct err *e)
{
	struct entry n = {.x = x};
	struct zip_reader z;
	char *path = mem_printf("%s/uploads", x->data_dir);
	bool ok = fs_mkdirs(path, 0700, e);
	int fd = -1;

	x->rows = json_array();
	free(path);
	path = mem_printf("%s/uploads/.import.XXXXXX", x->data_dir);
	if (ok) {
		fd = mkostemp(path, O_CLOEXEC);
		if (fd >= 0)
			(void)unlink(path); /* gone with its descriptor */
		else
			ok = err_set(e, ERR_IO, "the uploaded file cannot be kept: %s",
				     strerror(errno));
	}
	free(path);
	struct multipart *form = ok ? multipart_new(x->content_type, keep_file, &fd, e) : NULL;
	ok = form != NULL && read_form(x, form, e);
	if (ok) {
		n.parts[0] = form_id(form, "model_id", e);
		n.parts[1] = n.parts[0] != NULL ? form_id(form, "model_version", e) : NULL;
		ok = n.parts[1] != NULL;
	}
	if (ok && !multipart_has_file(form))
		ok = err_set(e, ERR_API_NO_FILE, "No Found File");
	if (ok && zip_open(&z, fd, e)) {
		ok = import_entries(&n, &z, e);
		zip_close(&z);
	} else {
		ok = false;
	}
	multipart_free(form);
	if (fd >= 0)
		close(fd);
	return ok;
}

void model_import_free(struct model_import *x)
{
	json_decref(x->rows);
	free(x->content_type);
	free(x->dir);
	if (x->body_fd >= 0)
		close(x->body_fd);
}
