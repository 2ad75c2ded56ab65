/* Files and directories: confined paths, whole-file reads and writes, tails. Blocking; small. */
#ifndef NORN_BASE_FS_H
#define NORN_BASE_FS_H

#include "base/buf.h"
#include "base/err.h"
#include <sys/types.h>
#include <stdint.h>

MUST_CHECK bool fs_mkdirs(const char *path, mode_t mode, struct err *e); /* like mkdir -p */
MUST_CHECK bool fs_read(const char *path, size_t max_bytes, struct buf *out, struct err *e);
/* Temporary file, fsync, rename. */
MUST_CHECK bool fs_write(const char *path, const void *data, size_t len, mode_t mode, struct err *e);
/* The last max_bytes of a file, cut at the front to a line start; "" when there is no file. */
void fs_tail(const char *path, size_t max_bytes, struct buf *out);
MUST_CHECK bool fs_remove_tree(const char *path, struct err *e); /* does not follow links */
/* base/rel, refusing absolute rel, "..", NUL and empty parts. out is appended to. */
MUST_CHECK bool fs_join(const char *base, const char *rel, struct buf *out, struct err *e);
bool fs_exists(const char *path);

#endif
