#include "api/zip.h"

#include "api/inflate.h"
#include "api/targz.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCAL_MAGIC   0x04034b50U
#define CENTRAL_MAGIC 0x02014b50U
#define END_MAGIC     0x06054b50U
#define LOCAL_SIZE    30
#define CENTRAL_SIZE  46
#define END_SIZE      22
#define COMMENT_MAX   65535
#define DIRECTORY_MAX (16 << 20)
#define LIMIT         0xffffffffULL
#define DATE          0x21 /* 1980-01-01, the first there is */
#define FLAG_SECRET   0x0001
#define FLAG_UTF8     0x0800

static void put(struct buf *b, uint32_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		buf_addc(b, (char)(unsigned char)(v >> (8 * i)));
}

static uint32_t get(const char *p, int bytes)
{
	uint32_t v = 0;

	for (int i = 0; i < bytes; i++)
		v |= (uint32_t)(unsigned char)p[i] << (8 * i);
	return v;
}

/* ---- writing ---- */

void zip_write_init(struct zip_writer *w, int fd)
{
	memset(w, 0, sizeof(*w));
	w->fd = fd;
}

void zip_write_free(struct zip_writer *w)
{
	buf_free(&w->directory);
}

static bool write_at(struct zip_writer *w, uint64_t at, const char *p, size_t len, struct err *e)
{
	while (len > 0) {
		ssize_t n = pwrite(w->fd, p, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, ERR_IO, "the zip file cannot be written: %s",
				       strerror(n < 0 ? errno : ENOSPC));
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

static bool append(struct zip_writer *w, const void *p, size_t len, struct err *e)
{
	if (w->at + len > LIMIT)
		return err_set(e, ERR_LIMIT, "the zip file would be larger than 4 GiB");
	if (!write_at(w, w->at, p, len, e))
		return false;
	w->at += len;
	return true;
}

/* What the header in front of an entry and its row in the directory have in common. */
static void add_common(const struct zip_writer *w, struct buf *b)
{
	put(b, 20, 2); /* version needed */
	put(b, FLAG_UTF8, 2);
	put(b, 0, 2); /* stored */
	put(b, 0, 2); /* time */
	put(b, DATE, 2);
	put(b, w->entry_crc, 4);
	put(b, (uint32_t)w->entry_size, 4);
	put(b, (uint32_t)w->entry_size, 4);
	put(b, (uint32_t)strlen(w->name), 2);
	put(b, 0, 2); /* extra */
}

static void add_local(const struct zip_writer *w, struct buf *b)
{
	put(b, LOCAL_MAGIC, 4);
	add_common(w, b);
	buf_adds(b, w->name);
}

bool zip_begin(struct zip_writer *w, const char *name, struct err *e)
{
	struct buf head = {0};

	if (strlen(name) > ZIP_NAME_MAX || w->n >= ZIP_ENTRIES_MAX)
		return err_set(e, ERR_LIMIT, "%s",
			       w->n >= ZIP_ENTRIES_MAX ? "too many entries for one zip file"
						       : "a name is too long for a zip file");
	memcpy(w->name, name, strlen(name) + 1);
	w->entry_at = w->at;
	w->entry_size = 0;
	w->entry_crc = 0;
	add_local(w, &head);
	bool ok = append(w, head.data, head.len, e);
	buf_free(&head);
	return ok;
}

bool zip_add(struct zip_writer *w, const void *data, size_t len, struct err *e)
{
	w->entry_crc = crc32_add(w->entry_crc, data, len);
	w->entry_size += len;
	return append(w, data, len, e);
}

bool zip_end(struct zip_writer *w, struct err *e)
{
	struct buf head = {0};

	add_local(w, &head);
	bool ok = write_at(w, w->entry_at, head.data, head.len, e);
	buf_free(&head);
	put(&w->directory, CENTRAL_MAGIC, 4);
	put(&w->directory, 0x0314, 2); /* made by: Unix, 2.0 */
	add_common(w, &w->directory);
	put(&w->directory, 0, 2);                       /* comment */
	put(&w->directory, 0, 2);                       /* disk */
	put(&w->directory, 0, 2);                       /* internal attributes */
	put(&w->directory, (uint32_t)0100600 << 16, 4); /* file mode */
	put(&w->directory, (uint32_t)w->entry_at, 4);
	buf_adds(&w->directory, w->name);
	w->n++;
	return ok;
}

bool zip_finish(struct zip_writer *w, struct err *e)
{
	uint64_t start = w->at;
	size_t size = w->directory.len;

	put(&w->directory, END_MAGIC, 4);
	put(&w->directory, 0, 4); /* disks */
	put(&w->directory, w->n, 2);
	put(&w->directory, w->n, 2);
	put(&w->directory, (uint32_t)size, 4);
	put(&w->directory, (uint32_t)start, 4);
	put(&w->directory, 0, 2); /* comment */
	return append(w, w->directory.data, w->directory.len, e);
}

/* ---- reading ---- */

static bool read_at(int fd, uint64_t at, size_t len, struct buf *out, struct err *e)
{
	char *block = mem_alloc(len > 0 ? len : 1);
	size_t have = 0;

	while (have < len) {
		ssize_t n = pread(fd, block + have, len - have, (off_t)(at + have));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	buf_add(out, block, have);
	free(block);
	return have == len || err_set(e, ERR_PARSE, "the zip file is cut off");
}

/* The end record: how many entries, where the directory is. */
static bool find_end(int fd, uint64_t size, uint32_t *n, uint32_t *at, uint32_t *len, struct err *e)
{
	uint64_t look = size < END_SIZE + COMMENT_MAX ? size : END_SIZE + COMMENT_MAX;
	struct buf tail = {0};
	bool found = false;

	if (size >= END_SIZE && read_at(fd, size - look, (size_t)look, &tail, e)) {
		for (size_t i = tail.len - END_SIZE + 1; !found && i-- > 0;) {
			const char *p = tail.data + i;
			found = get(p, 4) == END_MAGIC && get(p + 20, 2) == tail.len - i - END_SIZE;
			if (found) {
				*n = get(p + 10, 2);
				*len = get(p + 12, 4);
				*at = get(p + 16, 4);
			}
		}
	}
	buf_free(&tail);
	if (!found || (uint64_t)*at + *len > size)
		return err_set(e, ERR_PARSE, "the file is no zip file");
	if (*n > ZIP_ENTRIES_MAX || *len > DIRECTORY_MAX)
		return err_set(e, ERR_LIMIT, "the zip file has more than %d entries",
			       ZIP_ENTRIES_MAX);
	return true;
}

static bool add_entry(struct zip_reader *z, const char *p, const char *end, size_t *used,
		      struct err *e)
{
	struct zip_entry *x = &z->entries[z->n];

	if (end - p < CENTRAL_SIZE || get(p, 4) != CENTRAL_MAGIC)
		return err_set(e, ERR_PARSE, "the directory of the zip file is damaged");
	size_t name = get(p + 28, 2);
	*used = CENTRAL_SIZE + name + get(p + 30, 2) + get(p + 32, 2);
	if ((size_t)(end - p) < *used || name > ZIP_NAME_MAX ||
	    memchr(p + CENTRAL_SIZE, '\0', name) != NULL)
		return err_set(e, ERR_PARSE, "the directory of the zip file is damaged");
	if ((get(p + 8, 2) & FLAG_SECRET) != 0 || get(p + 20, 4) == LIMIT ||
	    get(p + 24, 4) == LIMIT)
		return err_set(e, ERR_UNSUPPORTED,
			       "the zip file has encrypted entries or entries over 4 GiB");
	x->method = (uint16_t)get(p + 10, 2);
	x->crc = get(p + 16, 4);
	x->packed = get(p + 20, 4);
	x->size = get(p + 24, 4);
	x->header_at = get(p + 42, 4);
	x->name = mem_strndup(p + CENTRAL_SIZE, name);
	z->n++;
	return true;
}

bool zip_open(struct zip_reader *z, int fd, struct err *e)
{
	struct buf dir = {0};
	struct stat st;
	uint32_t n = 0;
	uint32_t at = 0;
	uint32_t len = 0;

	memset(z, 0, sizeof(*z));
	z->fd = fd;
	if (fstat(fd, &st) != 0)
		return err_set(e, ERR_IO, "the zip file cannot be read: %s", strerror(errno));
	bool ok =
	    find_end(fd, (uint64_t)st.st_size, &n, &at, &len, e) && read_at(fd, at, len, &dir, e);
	if (ok)
		z->entries = mem_array(n > 0 ? n : 1, sizeof(*z->entries));
	size_t i = 0;
	while (ok && z->n < n) {
		size_t used = 0;
		ok = add_entry(z, buf_str(&dir) + i, buf_str(&dir) + dir.len, &used, e);
		i += used;
	}
	buf_free(&dir);
	if (!ok)
		zip_close(z);
	return ok;
}

void zip_close(struct zip_reader *z)
{
	for (size_t i = 0; i < z->n; i++)
		free(z->entries[i].name);
	free(z->entries);
	z->entries = NULL;
	z->n = 0;
}

bool zip_read(const struct zip_reader *z, const struct zip_entry *x, size_t max_bytes,
	      struct buf *out, struct err *e)
{
	struct buf head = {0};
	struct buf packed = {0};
	size_t before = out->len;

	if (x->size > max_bytes || x->packed > max_bytes)
		return err_set(e, ERR_LIMIT, "%s: larger than %zu bytes", x->name, max_bytes);
	if (x->method != 0 && x->method != 8)
		return err_set(e, ERR_UNSUPPORTED,
			       "%s: compressed by method %u; stored and deflate are known", x->name,
			       x->method);
	bool ok = read_at(z->fd, x->header_at, LOCAL_SIZE, &head, e) &&
		  (get(head.data, 4) == LOCAL_MAGIC ||
		   err_set(e, ERR_PARSE, "the entry's header is damaged")) &&
		  read_at(z->fd,
			  (uint64_t)x->header_at + LOCAL_SIZE + get(head.data + 26, 2) +
			      get(head.data + 28, 2),
			  x->packed, &packed, e);
	if (ok && x->method == 8)
		ok = inflate_all(buf_str(&packed), packed.len, x->size, out, e);
	else if (ok)
		buf_add(out, buf_str(&packed), packed.len);
	if (ok && (out->len - before != x->size ||
		   crc32_add(0, buf_str(out) + before, x->size) != x->crc))
		ok = err_set(e, ERR_PARSE, "its checksum is wrong");
	buf_free(&head);
	buf_free(&packed);
	return ok || err_prefix(e, "%s", x->name);
}
