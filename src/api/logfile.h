/* Reading log files: confined paths, bounded memory, text that is always UTF-8. Blocking. */
#ifndef NORN_API_LOGFILE_H
#define NORN_API_LOGFILE_H

#include "base/buf.h"
#include "base/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* dir/part/part/..., the parts ended by NULL; each must be a name. Appended to out. */
MUST_CHECK bool logfile_path(const char *dir, struct buf *out, struct err *e, const char *part,
			     ...);
/* Makes a task's directory into the path of `file` in its highest numbered attempt; false: there is
 * none. */
MUST_CHECK bool logfile_latest(struct buf *dir, const char *file);

/*
 * Up to max bytes from offset, cut at a whole character unless final. Bytes that are not UTF-8, and
 * NUL, become U+FFFD, so *next, where to go on, counts bytes of the file. A missing file is empty.
 * *at_end: nothing follows.
 */
MUST_CHECK bool logfile_read(const char *path, int64_t offset, size_t max, bool final,
			     struct buf *out, int64_t *next, bool *at_end, struct err *e);
/* These two read the whole file, so they belong into a thread; 0 and [] when it cannot be read. */
int64_t logfile_count(const char *path);
/* [{line_num, content}] of the lines begin..end (from 1), IPv4 addresses masked as FATE does. At
 * most 10,000 lines and about 4 MiB, and 64 KiB of each line: go on behind the last one. */
json_t *logfile_lines(const char *path, int64_t begin, int64_t end);

#endif
