/* Files and directories: confined paths, whole-file reads and writes, tails. Blocking; small. */
#ifndef NORN_BASE_FS_H
#define NORN_BASE_FS_H

#include "base/buf.h"
#include "base/err.h"
#include <sys/types.h>
#include <stdint.h>

MUST_CHECK bool fs_mkdirs(const char *path, mode_t mode, struct err *e); /* like mkdir -p */
/*
 * Appends a regular file; never waits on pipes or devices. No file is ERR_FILE_NOT_FOUND, a larger
 * one ERR_LIMIT, anything else ERR_IO. out may hold a part of the file after a failure.
 */
MUST_CHECK bool fs_read(const char *path, size_t max_bytes, struct buf *out, struct err *e);
/* Temporary file, fsync, rename; mode is set as given, whatever the umask. */
MUST_CHECK bool fs_write(const char *path, const void *data, size_t len, mode_t mode,
			 struct err *e);
/* In place and without fsync: for a file that is read only after its writer has said that it is
 * complete, and that nobody asks for after the machine went down. Less of mode what umask says. */
MUST_CHECK bool fs_write_scratch(const char *path, const void *data, size_t len, mode_t mode,
				 struct err *e);
/* The last max_bytes of a file, cut at the front to a line start; "" when there is no file.
 * Of a line longer than max_bytes, its end. Appended to out. */
void fs_tail(const char *path, size_t max_bytes, struct buf *out);
/* Of any depth, without recursion; does not follow links. Nothing at path is success. */
MUST_CHECK bool fs_remove_tree(const char *path, struct err *e);
/* A path that leads where it seems to: neither "" nor with a part "..". */
MUST_CHECK bool fs_path_is_plain(const char *path);
/* base/rel, refusing absolute rel, "..", NUL and empty parts. out is appended to. */
MUST_CHECK bool fs_join(const char *base, const char *rel, struct buf *out, struct err *e);
bool fs_exists(const char *path);

#endif
