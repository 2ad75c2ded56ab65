/*
 * Binary message bodies: big-endian integers and IEEE doubles, length-prefixed bytes. Readers never
 * pass the end; the first bad read makes every following one fail, so that one check at the end
 * (wire_done) is enough.
 */
#ifndef NORN_COMPONENT_WIRE_H
#define NORN_COMPONENT_WIRE_H

#include "base/buf.h"
#include "base/err.h"
#include <stdint.h>

void wire_put_u8(struct buf *b, uint8_t v);
void wire_put_u32(struct buf *b, uint32_t v);
void wire_put_u64(struct buf *b, uint64_t v);
void wire_put_f64(struct buf *b, double v);
void wire_put_str(struct buf *b, const char *s); /* at most 4 GiB - 1 */

struct wire {
	const unsigned char *at, *end;
	bool bad;
};

void wire_init(struct wire *w, const void *data, size_t len);
size_t wire_left(const struct wire *w);
uint8_t wire_u8(struct wire *w); /* 0 on a bad read */
uint32_t wire_u32(struct wire *w);
uint64_t wire_u64(struct wire *w);
double wire_f64(struct wire *w);
/* n bytes, borrowed; NULL on a bad read. */
const unsigned char *wire_bytes(struct wire *w, size_t n);
/* A new string, or NULL on a bad read (also when it holds a NUL). */
char *wire_str(struct wire *w);
/* Everything was read, and all reads were good. */
MUST_CHECK bool wire_done(const struct wire *w, struct err *e);

#endif
