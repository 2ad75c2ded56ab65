/*
 * Logging: one line an event, key=value, every value escaped:
 *   2026-01-31T23:59:59.123Z INFO node=n1 job=2026... task=psi_0 role=guest party=9999 attempt=0
 *   request=... msg="..." (one line)
 * The file rotates by size: FILE, FILE.1 ... FILE.<keep>. When it cannot be written, or somebody
 * moves it or removes its directory, lines go to standard error until it can be opened again, which
 * is tried once a second. Messages longer than 8 KiB are cut. Secrets must not be passed in.
 */
#ifndef NORN_BASE_LOG_H
#define NORN_BASE_LOG_H

#include "base/attr.h"
#include "base/err.h"
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* What a line is about; any member may be NULL, attempt < 0 means none. */
struct log_ctx {
	const char *job_id;
	const char *task_name;
	const char *role;
	const char *party_id;
	const char *request_id;
	int attempt;
};
#define LOG_CTX_NONE ((const struct log_ctx *)0)

/* path NULL: standard error. rotate_bytes 0: never rotates. */
MUST_CHECK bool log_open(const char *path, enum log_level level, int64_t rotate_bytes, int keep,
			 struct err *e);
void log_close(void);
void log_set_node(const char *name);
MUST_CHECK bool log_level_parse(const char *s, enum log_level *out);

void log_at(enum log_level level, const struct log_ctx *ctx, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
#define log_error(ctx, ...) log_at(LOG_ERROR, ctx, __VA_ARGS__)
#define log_warn(ctx, ...)  log_at(LOG_WARN, ctx, __VA_ARGS__)
#define log_info(ctx, ...)  log_at(LOG_INFO, ctx, __VA_ARGS__)
#define log_debug(ctx, ...) log_at(LOG_DEBUG, ctx, __VA_ARGS__)

/* Called with every finished line that names a job (level at or under the set one), for job logs.
 */
typedef void log_job_hook(enum log_level level, const char *job_id, const char *line, size_t len);
void log_set_job_hook(log_job_hook *hook);

/* Message to standard error and to the log, then exit(status). */
void log_die(int status, const char *fmt, ...) PRINTF_LIKE(2, 3) NORETURN;

#endif
