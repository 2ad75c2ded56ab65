#include "api/archive.h"

#include "api/targz.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STEP        (64 * 1024)
#define MEMBERS_MAX 100000

struct member {
	char *name;
	char *path; /* opened when its turn comes; NULL: fd or text */
	int fd;     /* -1: text */
	struct buf text;
	uint64_t size;
	int64_t mtime_s;
};

struct archive {
	bool gzip;
	struct member *members;
	size_t n;
	size_t room;
	/* sending */
	struct http_req *r;
	struct gzip gz;
	size_t at;      /* the member that is sent */
	uint64_t sent;  /* of its content */
	bool in_member; /* its header has been sent */
	bool ended;     /* everything has been handed over */
	bool closed;    /* the client is gone */
	bool pumping;
};

struct archive *archive_new(bool gzip)
{
	struct archive *a = mem_zalloc(sizeof(*a));

	a->gzip = gzip;
	return a;
}

void archive_free(struct archive *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->n; i++) {
		if (a->members[i].fd >= 0)
			close(a->members[i].fd);
		buf_free(&a->members[i].text);
		free(a->members[i].name);
		free(a->members[i].path);
	}
	free(a->members);
	free(a);
}

static struct member *add(struct archive *a, const char *name, uint64_t size, int64_t mtime_s,
			  struct err *e)
{
	struct buf probe = {0};
	bool ok = tar_header(&probe, name, size, mtime_s);

	buf_free(&probe);
	if (!ok || a->n >= MEMBERS_MAX) {
		err_set(e, ERR_LIMIT,
			ok ? "too many files for one archive"
			   : "'%.300s' does not fit into an archive",
			name);
		return NULL;
	}
	if (a->n == a->room) {
		a->room = a->room > 0 ? a->room * 2 : 16;
		a->members = mem_resize(a->members, a->room, sizeof(*a->members));
	}
	struct member *m = &a->members[a->n++];
	memset(m, 0, sizeof(*m));
	m->name = mem_strdup(name);
	m->fd = -1;
	m->size = size;
	m->mtime_s = mtime_s;
	return m;
}

bool archive_add_file(struct archive *a, const char *name, const char *path, struct err *e)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		err_set(e, ERR_FILE_NOT_FOUND, "No found file or dir: path[%s] (%s)", path,
			fd < 0 ? strerror(errno) : "no regular file");
		if (fd >= 0)
			close(fd);
		return false;
	}
	struct member *m = add(a, name, (uint64_t)st.st_size, (int64_t)st.st_mtime, e);
	if (m == NULL) {
		close(fd);
		return false;
	}
	m->fd = fd;
	return true;
}

bool archive_add_later(struct archive *a, const char *name, const char *path, struct err *e)
{
	struct member *m = add(a, name, 0, 0, e);

	if (m != NULL)
		m->path = mem_strdup(path);
	return m != NULL;
}

bool archive_add_text(struct archive *a, const char *name, struct buf *text, struct err *e)
{
	struct member *m = add(a, name, text->len, (int64_t)time(NULL), e);

	if (m == NULL)
		return false;
	m->text = *text;
	memset(text, 0, sizeof(*text));
	return true;
}

/* ---- sending ---- */

/* False: the file is not there any more. */
static bool open_later(struct member *m)
{
	struct stat st;

	m->fd = open(m->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (m->fd < 0 || fstat(m->fd, &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	m->size = (uint64_t)st.st_size;
	m->mtime_s = (int64_t)st.st_mtime;
	return true;
}

static void member_done(struct archive *a)
{
	struct member *m = &a->members[a->at++];

	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
}

/* The next bytes of the tar stream into out; false: a file could not be read. */
static bool next_tar(struct archive *a, struct buf *out)
{
	struct member *m = &a->members[a->at];
	char block[STEP];

	if (a->at == a->n) {
		tar_end(out);
		a->ended = true;
		return true;
	}
	if (!a->in_member) {
		if (m->path != NULL && !open_later(m)) {
			member_done(a);
			return true;
		}
		a->in_member = true;
		a->sent = 0;
		return tar_header(out, m->name, m->size, m->mtime_s);
	}
	if (a->sent < m->size) {
		size_t want = m->size - a->sent < STEP ? (size_t)(m->size - a->sent) : STEP;
		if (m->fd >= 0) {
			ssize_t got = pread(m->fd, block, want, (off_t)a->sent);
			if (got <= 0)
				return false; /* shorter than it was */
			want = (size_t)got;
			buf_add(out, block, want);
		} else {
			buf_add(out, m->text.data + a->sent, want);
		}
		a->sent += want;
		return true;
	}
	tar_pad(out, m->size);
	a->in_member = false;
	member_done(a);
	return true;
}

static bool next_piece(struct archive *a, struct buf *out)
{
	struct buf tar = {0};

	if (!a->gzip)
		return next_tar(a, out);
	bool ok = next_tar(a, &tar);
	if (ok) {
		gzip_add(&a->gz, out, tar.data, tar.len);
		if (a->ended)
			gzip_end(&a->gz, out);
	}
	buf_free(&tar);
	return ok;
}

static void pump(struct archive *a)
{
	bool room = true;
	bool ok = true;

	a->pumping = true;
	while (room && ok && !a->ended && !a->closed) {
		struct buf out = {0};
		ok = next_piece(a, &out);
		if (ok)
			room = http_reply_chunk(a->r, out.data, out.len);
		else
			log_error(LOG_CTX_NONE,
				  "an archive was cut short: %s could not be read to its end",
				  a->members[a->at].name);
		buf_free(&out);
	}
	a->pumping = false;
	if (!ok || a->ended || a->closed) {
		struct http_req *r = a->r;
		archive_free(a);
		http_req_on_close(r, NULL, NULL);
		http_reply_end(r);
	}
}

static void on_room(struct http_req *r, void *arg)
{
	struct archive *a = arg;

	if (!a->pumping)
		pump(a);
}

static void on_close(void *arg)
{
	struct archive *a = arg;

	a->closed = true;
	if (!a->pumping)
		pump(a);
}

void archive_send(struct archive *a, struct http_req *r, const char *file_name)
{
	struct buf header = {0};
	struct buf start = {0};

	a->r = r;
	buf_printf(&header, "attachment; filename=%s", file_name);
	http_reply_header(r, "Content-Disposition", buf_str(&header));
	buf_free(&header);
	a->pumping = true;
	http_req_on_close(r, on_close, a);
	http_reply_start(r, 200, a->gzip ? "application/gzip" : "application/x-tar", on_room, a);
	if (a->gzip) {
		gzip_begin(&a->gz, &start);
		(void)http_reply_chunk(r, start.data, start.len);
		buf_free(&start);
	}
	pump(a);
}
