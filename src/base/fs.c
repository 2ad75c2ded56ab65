#include "config.h"
#include "base/fs.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 65536

/* An error of the system about a path. */
static bool fail(struct err *e, const char *what, const char *path)
{
	int no = errno;

	return err_set(e, no == ENOENT ? ERR_FILE_NOT_FOUND : ERR_IO, "cannot %s %s: %s", what,
		       path, strerror(no));
}

static bool is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* One directory, whose parent exists; one that is there is fine. */
static bool make_dir(const char *path, mode_t mode, struct err *e)
{
	int no;

	if (mkdir(path, mode) == 0)
		return true;
	no = errno;
	/* Of an existing directory on a read-only file system, mkdir may say EROFS. */
	if (is_dir(path))
		return true;
	errno = no == EEXIST ? ENOTDIR : no;
	return fail(e, "create the directory", path);
}

/* From below: most often all above it are there. */
bool fs_mkdirs(const char *path, mode_t mode, struct err *e)
{
	size_t len = strlen(path);
	char *part = mem_strdup(path), *slash;
	bool ok;

	if (len == 0) {
		free(part);
		return err_set(e, ERR_IO, "cannot create a directory: the path is empty");
	}
	while (len > 1 && part[len - 1] == '/')
		part[--len] = '\0';
	while (mkdir(part, mode) != 0 && errno == ENOENT && (slash = strrchr(part, '/')) != NULL &&
	       slash != part)
		*slash = '\0';
	ok = make_dir(part, mode, e);
	while (ok && strlen(part) < len) {
		part[strlen(part)] = '/';
		ok = make_dir(part, mode, e);
	}
	free(part);
	return ok;
}

/* Opens a regular file. Never waits, which a pipe put in its place would make it do. */
static int open_regular(const char *path, struct stat *st)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), no = 0;

	if (fd < 0)
		return -1;
	if (fstat(fd, st) != 0)
		no = errno;
	else if (S_ISDIR(st->st_mode))
		no = EISDIR;
	else if (!S_ISREG(st->st_mode))
		no = EINVAL;
	if (no == 0)
		return fd;
	close(fd);
	errno = no;
	return -1;
}

bool fs_read(const char *path, size_t max_bytes, struct buf *out, struct err *e)
{
	struct stat st;
	size_t total = 0;
	int fd = open_regular(path, &st);

	if (fd < 0) {
		if (errno == EINVAL)
			return err_set(e, ERR_IO, "cannot read %s: not a regular file", path);
		return fail(e, "read", path);
	}
	for (;;) {
		ssize_t n;

		buf_reserve(out, CHUNK);
		n = read(fd, out->data + out->len, CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			bool ok = n == 0 || fail(e, "read", path);

			close(fd);
			return ok;
		}
		out->len += (size_t)n;
		out->data[out->len] = '\0';
		total += (size_t)n;
		if (total > max_bytes) {
			close(fd);
			return err_set(e, ERR_LIMIT, "%s is larger than the allowed %zu bytes",
				       path, max_bytes);
		}
	}
}

static bool write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* Makes the rename itself durable. */
static bool sync_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL   ? mem_strdup(".")
		    : slash == path ? mem_strdup("/")
				    : mem_strndup(path, (size_t)(slash - path));
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok;

	free(dir);
	if (fd < 0)
		return false;
	ok = fsync(fd) == 0 || errno == EINVAL; /* not every file system knows it */
	close(fd);
	return ok;
}

bool fs_write(const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
	char *tmp = mem_printf("%s.XXXXXX", path);
	int fd = mkostemp(tmp, O_CLOEXEC);
	bool ok;

	if (fd < 0) {
		ok = fail(e, "write", path);
		free(tmp);
		return ok;
	}
	ok = write_all(fd, data, len) && fchmod(fd, mode) == 0 && fsync(fd) == 0;
	if (!ok)
		fail(e, "write", path);
	if (close(fd) != 0 && ok)
		ok = fail(e, "write", path);
	if (ok && rename(tmp, path) != 0)
		ok = fail(e, "replace", path);
	if (!ok)
		unlink(tmp);
	else if (!sync_parent(path))
		ok = fail(e, "sync the directory of", path);
	free(tmp);
	return ok;
}

bool fs_write_scratch(const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
	int fd = open(path,
		      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
		      mode);
	bool ok;

	if (fd < 0)
		return fail(e, "write", path);
	ok = write_all(fd, data, len) || fail(e, "write", path);
	if (close(fd) != 0 && ok)
		ok = fail(e, "write", path);
	return ok;
}

static size_t read_at(int fd, char *data, size_t len, off_t from)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, data + got, len - got, from + (off_t)got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	return got;
}

void fs_tail(const char *path, size_t max_bytes, struct buf *out)
{
	struct stat st;
	int fd = open_regular(path, &st);
	size_t len, got;
	const char *start, *newline;
	char *data;

	if (fd < 0)
		return;
	if (st.st_size <= 0 || max_bytes == 0) {
		close(fd);
		return;
	}
	if ((uintmax_t)st.st_size <= max_bytes) {
		len = (size_t)st.st_size;
		data = mem_alloc(len);
		got = read_at(fd, data, len, 0);
		buf_add(out, data, got);
	} else {
		/* One byte more tells whether the cut falls on a line start. */
		len = max_bytes + 1;
		data = mem_alloc(len);
		got = read_at(fd, data, len, st.st_size - (off_t)len);
		newline = memchr(data, '\n', got);
		if (newline != NULL && newline + 1 < data + got) {
			start = newline + 1;
		} else {
			/* One long line: rather its end than nothing; not from inside a character.
			 */
			start = data + (got > 0 ? 1 : 0);
			while (start < data + got && ((unsigned char)*start & 0xc0) == 0x80)
				start++;
		}
		buf_add(out, start, (size_t)(data + got - start));
	}
	free(data);
	close(fd);
}

bool fs_path_is_plain(const char *path)
{
	for (const char *p = path;; p++) {
		size_t len = strcspn(p, "/");
		if (len == 2 && p[0] == '.' && p[1] == '.')
			return false;
		p += len;
		if (*p == '\0')
			return *path != '\0';
	}
}

bool fs_join(const char *base, const char *rel, struct buf *out, struct err *e)
{
	size_t base_len = strlen(base);
	const char *p = rel;

	if (*rel == '/')
		return err_set(e, ERR_API_PARAMETER, "the path must be relative");
	if (base_len + 1 + strnlen(rel, PATH_MAX) >= PATH_MAX)
		return err_set(e, ERR_LIMIT, "the path is longer than %d bytes", PATH_MAX - 1);
	for (;;) {
		size_t len = strcspn(p, "/");

		if (len == 0)
			return err_set(e, ERR_API_PARAMETER, "the path has an empty part");
		if (len == 2 && p[0] == '.' && p[1] == '.')
			return err_set(e, ERR_API_PARAMETER,
				       "the path must not have a part \"..\"");
		if (p[len] == '\0')
			break;
		p += len + 1;
	}
	buf_adds(out, base);
	if (base_len > 0 && base[base_len - 1] != '/')
		buf_addc(out, '/');
	buf_adds(out, rel);
	return true;
}

bool fs_exists(const char *path)
{
	return access(path, F_OK) == 0;
}
