/*
 * Writing tar archives (POSIX ustar) and gzip streams piece by piece. Pure: bytes go into a buffer.
 * The gzip stream uses stored blocks only, so it is as long as its content and a few bytes per 64
 * KiB; any gunzip reads it.
 */
#ifndef NORN_API_TARGZ_H
#define NORN_API_TARGZ_H

#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

#define TAR_BLOCK    512
#define TAR_NAME_MAX 255

/* A file's header; size in bytes, mtime in seconds since 1970. False: the name is empty, too long,
 * or starts with '/' or has a ".." part. */
MUST_CHECK bool tar_header(struct buf *out, const char *name, uint64_t size, int64_t mtime_s);
/* Zeros up to the next block after size bytes of content. */
void tar_pad(struct buf *out, uint64_t size);
void tar_end(struct buf *out); /* two zero blocks */

struct gzip {
	uint32_t crc;
	uint32_t size; /* of the content, modulo 2^32 */
};
void gzip_begin(struct gzip *g, struct buf *out);
void gzip_add(struct gzip *g, struct buf *out, const void *data, size_t len);
void gzip_end(struct gzip *g, struct buf *out);

/* CRC-32 as in gzip and zip, continued from crc (0 at first). */
uint32_t crc32_add(uint32_t crc, const void *data, size_t len);

#endif
