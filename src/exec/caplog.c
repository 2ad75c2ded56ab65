#include "config.h"
#include "exec/caplog.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void caplog_init(struct caplog *c, int pipe_fd, int file_fd, int64_t max)
{
	memset(c, 0, sizeof(*c));
	c->pipe_fd = pipe_fd;
	c->file_fd = file_fd;
	c->max = max;
	c->last = '\n';
}

/* False: there is no file, and none is wanted or none can be made. */
static bool have_file(struct caplog *c)
{
	if (c->file_fd < 0 && c->path != NULL)
		c->file_fd = open(c->path, CAPLOG_FLAGS | O_CREAT, CAPLOG_MODE);
	return c->file_fd >= 0;
}

/* Bytes written; fewer than len when the file system refuses, as when it is full. */
static size_t write_all(int fd, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

static void note_cut(struct caplog *c)
{
	char text[128];
	int n;

	c->noted = true;
	n = snprintf(text, sizeof(text),
		     "%snorn-run: the log limit of %lld bytes is reached, the rest is not kept\n",
		     c->last == '\n' ? "" : "\n", (long long)c->max);
	(void)write_all(c->file_fd, text, (size_t)n);
}

static void remember(struct caplog *c, const char *data, size_t len)
{
	size_t skip = len > LAUNCH_TAIL_MAX ? len - LAUNCH_TAIL_MAX : 0;
	size_t at = (size_t)((c->seen + skip) % LAUNCH_TAIL_MAX);
	size_t n = len - skip;
	size_t first = n < LAUNCH_TAIL_MAX - at ? n : LAUNCH_TAIL_MAX - at;

	memcpy(c->ring + at, data + skip, first);
	memcpy(c->ring, data + skip + first, n - first);
	c->seen += len;
}

void caplog_add(struct caplog *c, const char *data, size_t len)
{
	size_t keep = len, done;

	if (len == 0)
		return;
	remember(c, data, len);
	if (!have_file(c)) {
		if (c->path != NULL)
			c->dropped += (int64_t)len;
		return;
	}
	if (c->max > 0 && (int64_t)keep > c->max - c->kept)
		keep = (size_t)(c->max - c->kept);
	done = write_all(c->file_fd, data, keep);
	if (done > 0)
		c->last = data[done - 1];
	c->kept += (int64_t)done;
	c->dropped += (int64_t)(len - done);
	if (keep < len && !c->noted)
		note_cut(c);
}

static void close_pipe(struct caplog *c)
{
	(void)close(c->pipe_fd);
	c->pipe_fd = -1;
}

size_t caplog_pump(struct caplog *c)
{
	static char chunk[64 * 1024];
	ssize_t n;

	if (c->pipe_fd < 0)
		return 0;
	n = read(c->pipe_fd, chunk, sizeof(chunk));
	if (n > 0) {
		caplog_add(c, chunk, (size_t)n);
		return (size_t)n;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_pipe(c);
	return 0;
}

void caplog_finish(struct caplog *c)
{
	if (c->pipe_fd >= 0) {
		int room = fcntl(c->pipe_fd, F_GETPIPE_SZ);
		size_t left = room > 0 ? (size_t)room : 65536;

		while (left > 0) {
			size_t n = caplog_pump(c);

			if (n == 0)
				break;
			left -= n < left ? n : left;
		}
		if (c->pipe_fd >= 0)
			close_pipe(c);
	}
	if (c->file_fd >= 0)
		(void)close(c->file_fd);
	c->file_fd = -1;
}

size_t caplog_tail(const struct caplog *c, char out[LAUNCH_TAIL_MAX])
{
	size_t at = (size_t)(c->seen % LAUNCH_TAIL_MAX);

	if (c->seen < LAUNCH_TAIL_MAX) {
		memcpy(out, c->ring, at);
		return at;
	}
	memcpy(out, c->ring + at, LAUNCH_TAIL_MAX - at);
	memcpy(out + LAUNCH_TAIL_MAX - at, c->ring, at);
	return LAUNCH_TAIL_MAX;
}
