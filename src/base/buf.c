#include "config.h"
#include "base/buf.h"
#include "base/mem.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIN_CAP 64

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	if (b->data != NULL)
		b->data[0] = '\0';
}

void buf_reserve(struct buf *b, size_t extra)
{
	size_t need, cap = b->cap;

	if (__builtin_add_overflow(b->len, extra, &need) || need >= SIZE_MAX / 2) {
		b->data = mem_resize(b->data, SIZE_MAX, 2); /* says what is wrong and ends */
		return;
	}
	need++;
	if (need <= cap)
		return;
	cap = cap < MIN_CAP ? MIN_CAP : cap + cap / 2;
	if (cap < need)
		cap = need;
	b->data = mem_resize(b->data, cap, 1);
	if (b->cap == 0)
		b->data[0] = '\0';
	b->cap = cap;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	buf_reserve(b, len);
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	buf_reserve(b, MIN_CAP);
	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
	if (n < 0) {
		b->data[b->len] = '\0';
	} else {
		if ((size_t)n >= b->cap - b->len) {
			buf_reserve(b, (size_t)n);
			vsnprintf(b->data + b->len, b->cap - b->len, fmt, again);
		}
		b->len += (size_t)n;
	}
	va_end(again);
	va_end(ap);
}

void buf_drop(struct buf *b, size_t n)
{
	if (n >= b->len) {
		buf_reset(b);
		return;
	}
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->data, b->data + n, b->len + 1);
}

char *buf_take(struct buf *b)
{
	char *s = b->data;

	if (s == NULL)
		s = mem_zalloc(1);
	*b = (struct buf){0};
	return s;
}

const char *buf_str(const struct buf *b)
{
	return b->data == NULL ? "" : b->data;
}
