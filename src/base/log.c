#include "config.h"
#include "base/log.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MSG_MAX       8192 /* bytes of a message before escaping */
#define RECHECK_MS    1000 /* how often to look whether the file is still in its place */
#define KEEP_MAX      1000
#define NODE_NAME_MAX 64

static struct {
	char *path;      /* NULL: standard error */
	int fd;          /* -1: not open; lines go to standard error */
	bool complained; /* about lines going to standard error instead of the file */
	enum log_level level;
	int64_t size, rotate_bytes;
	int keep;
	int64_t checked_ms;
	char node[NODE_NAME_MAX];
	log_job_hook *hook;
	bool in_hook;
} logger = {.fd = -1, .level = LOG_INFO};

static const char *const level_names[] = {"ERROR", "WARN", "INFO", "DEBUG"};

static void write_fd(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* there is nobody left to tell */
		data += n;
		len -= (size_t)n;
	}
}

/* Say once that the file cannot be written; until it can, lines go to standard error. */
static void lose_file(const char *why)
{
	if (logger.fd >= 0)
		close(logger.fd);
	logger.fd = -1;
	if (!logger.complained)
		fprintf(stderr, "cannot write the log file %s: %s; logging to standard error\n",
			logger.path, why);
	logger.complained = true;
}

static bool open_file(void)
{
	struct stat st;
	int fd = open(logger.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);

	if (fd < 0)
		return false;
	logger.size = fstat(fd, &st) == 0 ? (int64_t)st.st_size : 0;
	logger.fd = fd;
	return true;
}

bool log_open(const char *path, enum log_level level, int64_t rotate_bytes, int keep, struct err *e)
{
	log_close();
	logger.level = level;
	logger.rotate_bytes = rotate_bytes < 0 ? 0 : rotate_bytes;
	logger.keep = keep < 0 ? 0 : keep > KEEP_MAX ? KEEP_MAX : keep;
	logger.path = mem_strdup(path);
	if (path != NULL && !open_file()) {
		err_set(e, ERR_IO, "cannot open the log file %s: %s", path, strerror(errno));
		log_close();
		return false;
	}
	logger.checked_ms = clock_mono_ms();
	return true;
}

void log_close(void)
{
	if (logger.fd >= 0)
		close(logger.fd);
	free(logger.path);
	logger.fd = -1;
	logger.path = NULL;
	logger.complained = false;
}

void log_set_node(const char *name)
{
	if (!str_copy(logger.node, sizeof(logger.node), name == NULL ? "" : name))
		return; /* a truncated name still tells nodes apart */
}

bool log_level_parse(const char *s, enum log_level *out)
{
	static const char *const words[] = {"error", "warn", "info", "debug"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (str_eq(s, words[i])) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

void log_set_job_hook(log_job_hook *hook)
{
	logger.hook = hook;
}

/* FILE.1 becomes FILE.2 and so on; the oldest is overwritten. */
static bool shift_files(void)
{
	char *to, *from;

	if (logger.keep == 0)
		return unlink(logger.path) == 0 || errno == ENOENT;
	to = mem_printf("%s.%d", logger.path, logger.keep);
	for (int i = logger.keep - 1; i > 0; i--) {
		from = mem_printf("%s.%d", logger.path, i);
		(void)!rename(from, to); /* there may be none yet */
		free(to);
		to = from;
	}
	if (rename(logger.path, to) != 0 && errno != ENOENT) {
		free(to);
		return false;
	}
	free(to);
	return true;
}

static void rotate(void)
{
	if (!shift_files()) {
		logger.size = 0; /* rather a file that grows than a line that is lost */
		return;
	}
	close(logger.fd);
	logger.fd = -1;
	if (!open_file())
		lose_file(strerror(errno));
}

/* Somebody may have moved the file or removed its directory: look now and then. */
static void recheck(void)
{
	struct stat at_path, open_one;
	int64_t now = clock_mono_ms();

	if (now - logger.checked_ms < RECHECK_MS)
		return;
	logger.checked_ms = now;
	if (logger.fd >= 0) {
		if (stat(logger.path, &at_path) == 0 && fstat(logger.fd, &open_one) == 0 &&
		    at_path.st_ino == open_one.st_ino && at_path.st_dev == open_one.st_dev)
			return;
		close(logger.fd);
		logger.fd = -1;
	}
	if (!open_file())
		lose_file(strerror(errno));
}

static void write_line(const char *line, size_t len)
{
	ssize_t n;

	if (logger.path != NULL) {
		recheck();
		if (logger.fd >= 0 && logger.rotate_bytes > 0 && logger.size > 0 &&
		    logger.size + (int64_t)len > logger.rotate_bytes)
			rotate();
	}
	if (logger.fd < 0) {
		write_fd(STDERR_FILENO, line, len);
		return;
	}
	do
		n = write(logger.fd, line, len);
	while (n < 0 && errno == EINTR);
	if (n < 0 || (size_t)n < len) {
		lose_file(n < 0 ? strerror(errno) : "the file system is full");
		write_fd(STDERR_FILENO, line, len);
		return;
	}
	logger.complained = false;
	logger.size += (int64_t)len;
}

static bool is_bare(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		bool letter = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z');

		if (!letter && (*s < '0' || *s > '9') && strchr("_-.:/@+", *s) == NULL)
			return false;
	}
	return true;
}

static void add_field(struct buf *b, const char *key, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(b, " %s=", key);
	if (is_bare(value)) {
		buf_adds(b, value);
		return;
	}
	buf_addc(b, '"');
	str_vis(b, value, strlen(value));
	buf_addc(b, '"');
}

static void format_line(struct buf *line, enum log_level level, const struct log_ctx *ctx,
			const char *msg)
{
	char now[32];

	clock_format_utc(clock_wall_ms(), now, sizeof(now));
	buf_printf(line, "%s %s", now, level_names[level]);
	if (logger.node[0] != '\0')
		add_field(line, "node", logger.node);
	if (ctx != NULL) {
		add_field(line, "job", ctx->job_id);
		add_field(line, "task", ctx->task_name);
		add_field(line, "role", ctx->role);
		add_field(line, "party", ctx->party_id);
		if (ctx->attempt >= 0)
			buf_printf(line, " attempt=%d", ctx->attempt);
		add_field(line, "request", ctx->request_id);
	}
	buf_adds(line, " msg=\"");
	str_vis(line, msg, strlen(msg));
	buf_adds(line, "\"\n");
}

static void log_message(enum log_level level, const struct log_ctx *ctx, const char *msg)
{
	struct buf line = {0};

	format_line(&line, level, ctx, msg);
	write_line(line.data, line.len);
	/* A hook that logs about the same job must not call itself for ever. */
	if (logger.hook != NULL && !logger.in_hook && ctx != NULL && ctx->job_id != NULL) {
		logger.in_hook = true;
		logger.hook(level, ctx->job_id, line.data, line.len);
		logger.in_hook = false;
	}
	buf_free(&line);
}

void log_at(enum log_level level, const struct log_ctx *ctx, const char *fmt, ...)
{
	int saved_errno = errno;
	char msg[MSG_MAX];
	va_list ap;

	if (level > logger.level)
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	log_message(level, ctx, msg);
	errno = saved_errno;
}

void log_die(int status, const char *fmt, ...)
{
	char msg[MSG_MAX];
	struct buf line = {0};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	str_vis(&line, msg, strlen(msg));
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, buf_str(&line));
	buf_free(&line);
	if (logger.path != NULL)
		log_message(LOG_ERROR, LOG_CTX_NONE, msg);
	log_close();
	exit(status);
}
