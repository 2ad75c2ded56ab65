/*
 * One output stream of a component: read from a pipe, kept in a file up to a bound, the rest
 * dropped and counted, and the last bytes always held in memory. Only libc is used.
 */
#ifndef NORN_EXEC_CAPLOG_H
#define NORN_EXEC_CAPLOG_H

#include "base/attr.h"
#include "exec/launch.h"
#include <stdbool.h>
#include <stdint.h>

#define CAPLOG_FLAGS (O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY)
#define CAPLOG_MODE  0600

struct caplog {
	int pipe_fd;      /* read end, non-blocking; -1 after its end */
	int file_fd;      /* -1: keep nothing, unless there is a path */
	const char *path; /* borrowed: the file is made there when the first byte comes */
	int64_t max;      /* bytes to keep; 0: no bound */
	int64_t kept;
	int64_t dropped; /* beyond the bound, or refused by the file system */
	char last;       /* byte kept last */
	bool noted;      /* the file says that it is cut */
	char ring[LAUNCH_TAIL_MAX];
	uint64_t seen; /* bytes in all; the ring's next place is seen % LAUNCH_TAIL_MAX */
};

/* Takes the two descriptors. */
void caplog_init(struct caplog *c, int pipe_fd, int file_fd, int64_t max);
void caplog_add(struct caplog *c, const char *data, size_t len);
/* One read of the pipe; returns how many bytes came. Closes the pipe at its end. */
size_t caplog_pump(struct caplog *c);
/* What is in the pipe now, though a stranger may still hold and fill it; then closes both. */
void caplog_finish(struct caplog *c);
/* The last bytes, oldest first; returns how many. */
size_t caplog_tail(const struct caplog *c, char out[LAUNCH_TAIL_MAX]);

#endif
