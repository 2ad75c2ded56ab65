#include "config.h"

#include "component/wire.h"

#include "base/mem.h"
#include <string.h>

void wire_put_u8(struct buf *b, uint8_t v)
{
	buf_add(b, &v, 1);
}

void wire_put_u32(struct buf *b, uint32_t v)
{
	unsigned char p[4];
	int i;

	for (i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (24 - 8 * i));
	buf_add(b, p, sizeof p);
}

void wire_put_u64(struct buf *b, uint64_t v)
{
	wire_put_u32(b, (uint32_t)(v >> 32));
	wire_put_u32(b, (uint32_t)v);
}

void wire_put_f64(struct buf *b, double v)
{
	uint64_t u;

	memcpy(&u, &v, sizeof u);
	wire_put_u64(b, u);
}

void wire_put_str(struct buf *b, const char *s)
{
	size_t n = strlen(s);

	wire_put_u32(b, (uint32_t)n);
	buf_add(b, s, n);
}

void wire_init(struct wire *w, const void *data, size_t len)
{
	static const unsigned char empty;

	w->at = len > 0 ? data : &empty;
	w->end = w->at + len;
	w->bad = false;
}

size_t wire_left(const struct wire *w)
{
	return (size_t)(w->end - w->at);
}

const unsigned char *wire_bytes(struct wire *w, size_t n)
{
	const unsigned char *p = w->at;

	if (w->bad || wire_left(w) < n) {
		w->bad = true;
		return NULL;
	}
	w->at += n;
	return p;
}

uint8_t wire_u8(struct wire *w)
{
	const unsigned char *p = wire_bytes(w, 1);

	return p ? *p : 0;
}

uint32_t wire_u32(struct wire *w)
{
	const unsigned char *p = wire_bytes(w, 4);

	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

uint64_t wire_u64(struct wire *w)
{
	uint64_t hi = wire_u32(w);

	return hi << 32 | wire_u32(w);
}

double wire_f64(struct wire *w)
{
	uint64_t u = wire_u64(w);
	double v;

	memcpy(&v, &u, sizeof v);
	return v;
}

char *wire_str(struct wire *w)
{
	uint32_t n = wire_u32(w);
	const unsigned char *p = wire_bytes(w, n);

	if (p == NULL)
		return NULL;
	if (n > 0 && memchr(p, 0, n) != NULL) {
		w->bad = true;
		return NULL;
	}
	return mem_strndup((const char *)p, n);
}

bool wire_done(const struct wire *w, struct err *e)
{
	if (w->bad || w->at != w->end)
		return err_set(e, ERR_PEER, "a message of the peer has a wrong length");
	return true;
}
