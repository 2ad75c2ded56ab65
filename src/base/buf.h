/*
 * A growing byte buffer. A zeroed struct is an empty buffer. data is NUL-terminated whenever it
 * is not NULL; the NUL is not counted in len.
 */
#ifndef NORN_BASE_BUF_H
#define NORN_BASE_BUF_H

#include "base/attr.h"

struct buf {
	char *data;
	size_t len;
	size_t cap;
};

void buf_free(struct buf *b);  /* releases and zeroes */
void buf_reset(struct buf *b); /* len = 0, keeps the memory */
void buf_reserve(struct buf *b, size_t extra);
void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_drop(struct buf *b, size_t n);   /* removes n bytes from the front */
char *buf_take(struct buf *b);            /* caller owns the string; b is empty after */
const char *buf_str(const struct buf *b); /* "" when empty, never NULL */

#endif
