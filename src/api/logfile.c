#include "api/logfile.h"

#include "api/utf8.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK           (64 * 1024)
#define LINE_MAX_BYTES  (64 * 1024) /* of one line; the rest of it is left out */
#define LINES_MAX_BYTES (4 << 20)   /* in one answer */
#define LINES_MAX       10000

bool logfile_path(const char *dir, struct buf *out, struct err *e, const char *part, ...)
{
	bool ok = true;
	va_list ap;

	buf_adds(out, dir);
	va_start(ap, part);
	for (const char *p = part; ok && p != NULL; p = va_arg(ap, const char *)) {
		ok = str_is_name(p, 128);
		if (ok)
			buf_printf(out, "/%s", p);
		else
			err_set(e, ERR_API_PARAMETER, "'%.128s' is not a name", p);
	}
	va_end(ap);
	return ok;
}

bool logfile_latest(struct buf *dir, const char *file)
{
	DIR *d = opendir(buf_str(dir));
	int64_t best = -1;
	struct dirent *entry;

	while (d != NULL && (entry = readdir(d)) != NULL) {
		int64_t n;
		if (isdigit((unsigned char)entry->d_name[0]) && str_to_i64(entry->d_name, &n) &&
		    n > best)
			best = n;
	}
	if (d != NULL)
		closedir(d);
	if (best >= 0)
		buf_printf(dir, "/%lld/%s", (long long)best, file);
	return best >= 0;
}

bool logfile_read(const char *path, int64_t offset, size_t max, bool final, struct buf *out,
		  int64_t *next, bool *at_end, struct err *e)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	*next = offset;
	*at_end = true;
	if (fd < 0 && errno == ENOENT)
		return true;
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return err_set(e, ERR_FILE_NOT_FOUND, "the log cannot be read: %s",
			       fd < 0 ? strerror(errno) : "no regular file");
	}
	char *block = mem_alloc(max);
	ssize_t n = pread(fd, block, max, (off_t)offset);
	int saved = errno;
	close(fd);
	if (n > 0) {
		/* Only at the end of a log that grows no more is a cut character an error. */
		bool last = final && offset + n >= (int64_t)st.st_size;
		*next = offset + (int64_t)utf8_clean(out, block, (size_t)n, last);
		*at_end = *next >= (int64_t)st.st_size;
	}
	free(block);
	return n >= 0 || err_set(e, ERR_IO, "the log cannot be read: %s", strerror(saved));
}

/* ---- lines ---- */

static int open_log(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static ssize_t next_block(int fd, char *block)
{
	ssize_t n;

	do
		n = fd >= 0 ? read(fd, block, BLOCK) : 0;
	while (n < 0 && errno == EINTR);
	return n;
}

int64_t logfile_count(const char *path)
{
	int fd = open_log(path);
	char *block = mem_alloc(BLOCK);
	int64_t lines = 0;
	ssize_t n;

	while ((n = next_block(fd, block)) > 0)
		for (const char *p = block; (p = memchr(p, '\n', (size_t)(block + n - p))); p++)
			lines++;
	free(block);
	if (fd >= 0)
		close(fd);
	return lines;
}

/* Length of an IPv4 address at s, 0 when there is none. */
static size_t ipv4_len(const char *s, size_t len)
{
	size_t i = 0;

	for (int part = 0; part < 4; part++) {
		size_t digits = 0;
		while (i + digits < len && digits < 3 && isdigit((unsigned char)s[i + digits]))
			digits++;
		if (digits == 0)
			return 0;
		i += digits;
		if (part < 3) {
			if (i >= len || s[i] != '.')
				return 0;
			i++;
		}
	}
	return i < len && isdigit((unsigned char)s[i]) ? 0 : i;
}

static json_t *masked(const char *s, size_t len)
{
	struct buf out = {0};
	size_t i = 0;

	while (i < len) {
		bool fresh = i == 0 || !isdigit((unsigned char)s[i - 1]);
		size_t n = fresh ? ipv4_len(s + i, len - i) : 0;
		if (n > 0) {
			buf_adds(&out, "xxx.xxx.xxx.xxx");
			i += n;
		} else {
			buf_addc(&out, s[i++]);
		}
	}
	json_t *v = json_stringn(buf_str(&out), out.len);
	buf_free(&out);
	return v;
}

/* Where the reader of lines stands. */
struct lines {
	int64_t begin, end;
	int64_t number;  /* of the line being read */
	bool inside;     /* something of it has come */
	struct buf line; /* that, when it is wanted */
	json_t *out;
	size_t bytes; /* in out */
};

static bool enough(const struct lines *l)
{
	return l->number > l->end || l->bytes >= LINES_MAX_BYTES ||
	       json_array_size(l->out) >= LINES_MAX;
}

static void end_line(struct lines *l)
{
	if (l->number >= l->begin) {
		struct buf text = {0};
		utf8_clean(&text, buf_str(&l->line), l->line.len, true);
		json_array_append_new(l->out,
				      json_pack("{s:I, s:o}", "line_num", (json_int_t)l->number,
						"content", masked(buf_str(&text), text.len)));
		l->bytes += text.len;
		buf_free(&text);
		buf_reset(&l->line);
	}
	l->number++;
	l->inside = false;
}

static void take_block(struct lines *l, const char *p, const char *stop)
{
	while (p < stop && !enough(l)) {
		const char *nl = memchr(p, '\n', (size_t)(stop - p));
		size_t len = (size_t)((nl != NULL ? nl : stop) - p);
		size_t room = LINE_MAX_BYTES - l->line.len;
		l->inside = true;
		if (l->number >= l->begin)
			buf_add(&l->line, p, len < room ? len : room);
		p += len;
		if (nl != NULL) {
			end_line(l);
			p++;
		}
	}
}

json_t *logfile_lines(const char *path, int64_t begin, int64_t end)
{
	struct lines l = {.begin = begin, .end = end, .number = 1, .out = json_array()};
	int fd = open_log(path);
	char *block = mem_alloc(BLOCK);
	ssize_t n;

	while (!enough(&l) && (n = next_block(fd, block)) > 0)
		take_block(&l, block, block + n);
	if (l.inside && !enough(&l))
		end_line(&l);
	free(block);
	buf_free(&l.line);
	if (fd >= 0)
		close(fd);
	return l.out;
}
