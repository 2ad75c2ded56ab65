#include "api/targz.h"

#include <stdio.h>
#include <string.h>

/* ---- tar ---- */

#define NAME_FIELD     100
#define PREFIX_FIELD   155
#define SIZE_OCTAL_MAX ((1ULL << 33) - 1) /* eleven octal digits */

static bool name_fits(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= TAR_NAME_MAX && name[0] != '/' && strncmp(name, "../", 3) != 0 &&
	       strcmp(name, "..") != 0 && strstr(name, "/../") == NULL &&
	       !(len >= 3 && strcmp(name + len - 3, "/..") == 0);
}

/* A name longer than its field is cut at a slash, its front going to the prefix field. */
static bool put_name(char *h, const char *name)
{
	size_t len = strlen(name);

	if (len <= NAME_FIELD) {
		memcpy(h, name, len);
		return true;
	}
	for (size_t i = len - NAME_FIELD - 1; i <= PREFIX_FIELD && i < len - 1; i++) {
		if (name[i] == '/') {
			memcpy(h + 345, name, i);
			memcpy(h, name + i + 1, len - i - 1);
			return true;
		}
	}
	return false;
}

static void put_octal(char *h, size_t width, uint64_t v)
{
	h[width - 1] = '\0';
	for (size_t i = width - 1; i-- > 0; v >>= 3)
		h[i] = (char)('0' + (v & 7));
}

static void put_size(char *h, uint64_t size)
{
	if (size <= SIZE_OCTAL_MAX) {
		put_octal(h, 12, size);
		return;
	}
	for (size_t i = 12; i-- > 1; size >>= 8) /* base 256, marked by the first bit */
		h[i] = (char)(unsigned char)(size & 0xff);
	h[0] = (char)0x80;
}

bool tar_header(struct buf *out, const char *name, uint64_t size, int64_t mtime_s)
{
	char h[TAR_BLOCK] = {0};
	unsigned sum = 0;

	if (!name_fits(name) || !put_name(h, name))
		return false;
	put_octal(h + 100, 8, 0644);
	put_octal(h + 108, 8, 0);
	put_octal(h + 116, 8, 0);
	put_size(h + 124, size);
	put_octal(h + 136, 12, mtime_s > 0 ? (uint64_t)mtime_s : 0);
	h[156] = '0';
	memcpy(h + 257, "ustar\00000", 8);
	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < sizeof(h); i++)
		sum += (unsigned char)h[i];
	put_octal(h + 148, 7, sum);
	buf_add(out, h, sizeof(h));
	return true;
}

static const char zeros[2 * TAR_BLOCK];

void tar_pad(struct buf *out, uint64_t size)
{
	size_t rest = (size_t)(size % TAR_BLOCK);

	if (rest > 0)
		buf_add(out, zeros, TAR_BLOCK - rest);
}

void tar_end(struct buf *out)
{
	buf_add(out, zeros, sizeof(zeros));
}

/* ---- gzip ---- */

#define STORED_MAX 65535

uint32_t crc32_add(uint32_t crc, const void *data, size_t len)
{
	static uint32_t table[256];
	const unsigned char *p = data;

	if (table[1] == 0) {
		for (uint32_t n = 0; n < 256; n++) {
			uint32_t c = n;
			for (int k = 0; k < 8; k++)
				c = (c & 1) != 0 ? 0xedb88320U ^ (c >> 1) : c >> 1;
			table[n] = c;
		}
	}
	crc = ~crc;
	for (size_t i = 0; i < len; i++)
		crc = table[(crc ^ p[i]) & 0xff] ^ (crc >> 8);
	return ~crc;
}

static void put_le(struct buf *out, uint32_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		buf_addc(out, (char)(unsigned char)(v >> (8 * i)));
}

void gzip_begin(struct gzip *g, struct buf *out)
{
	static const char head[10] = {0x1f, (char)0x8b, 8, 0, 0, 0, 0, 0, 0, (char)0xff};

	memset(g, 0, sizeof(*g));
	buf_add(out, head, sizeof(head));
}

static void stored_block(struct buf *out, bool last, const void *data, size_t len)
{
	buf_addc(out, last ? 1 : 0);
	put_le(out, (uint32_t)len, 2);
	put_le(out, ~(uint32_t)len, 2);
	buf_add(out, data, len);
}

void gzip_add(struct gzip *g, struct buf *out, const void *data, size_t len)
{
	const char *p = data;

	g->crc = crc32_add(g->crc, data, len);
	g->size += (uint32_t)len;
	while (len > 0) {
		size_t n = len < STORED_MAX ? len : STORED_MAX;
		stored_block(out, false, p, n);
		p += n;
		len -= n;
	}
}

void gzip_end(struct gzip *g, struct buf *out)
{
	stored_block(out, true, "", 0);
	put_le(out, g->crc, 4);
	put_le(out, g->size, 4);
}
