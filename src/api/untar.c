#include "api/untar.h"

#include "api/targz.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Octal digits, or base 256 when the first bit says so. */
static bool number(const char *p, size_t width, uint64_t *out)
{
	uint64_t v = 0;
	size_t i = 0;

	if (((unsigned char)p[0] & 0x80) != 0) {
		for (v = (unsigned char)p[0] & 0x7f, i = 1; i < width; i++) {
			if (v >> 55 != 0)
				return false;
			v = v << 8 | (unsigned char)p[i];
		}
		*out = v;
		return true;
	}
	while (i < width && p[i] == ' ')
		i++;
	for (; i < width && p[i] >= '0' && p[i] <= '7'; i++)
		v = v << 3 | (uint64_t)(p[i] - '0');
	*out = v;
	return i == width || p[i] == '\0' || p[i] == ' ';
}

static bool sum_fits(const char *h)
{
	uint64_t want;
	uint64_t sum = 0;

	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += i >= 148 && i < 156 ? ' ' : (unsigned char)h[i];
	return number(h + 148, 8, &want) && want == sum;
}

static bool is_zero(const char *h)
{
	for (size_t i = 0; i < TAR_BLOCK; i++) {
		if (h[i] != '\0')
			return false;
	}
	return true;
}

static void take_name(const char *h, struct untar_file *f)
{
	int prefix = memcmp(h + 257, "ustar\0", 6) == 0 ? (int)strnlen(h + 345, 155) : 0;

	snprintf(f->name, sizeof(f->name), "%.*s%s%.*s", prefix, h + 345, prefix > 0 ? "/" : "",
		 (int)strnlen(h, 100), h);
}

int untar_next(struct untar *t, struct untar_file *f, struct err *e)
{
	while (t->len - t->at >= TAR_BLOCK && !is_zero(t->data + t->at)) {
		const char *h = t->data + t->at;
		uint64_t size;
		if (!sum_fits(h) || !number(h + 124, 12, &size) ||
		    size > t->len - t->at - TAR_BLOCK) {
			err_set(e, ERR_PARSE, "the tar archive is damaged at byte %zu", t->at);
			return -1;
		}
		size_t padded = (size_t)((size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK);
		size_t left = t->len - t->at - TAR_BLOCK;
		t->at += TAR_BLOCK + (padded < left ? padded : left);
		switch (h[156]) {
		case '\0':
		case '0':
			take_name(h, f);
			f->data = h + TAR_BLOCK;
			f->len = (size_t)size;
			return 1;
		case '5': /* a directory */
		case 'x': /* extended headers: times and the like */
		case 'g':
			break;
		default:
			err_set(e, ERR_UNSUPPORTED,
				"the tar archive holds something else than files (type %c)",
				h[156] >= ' ' && h[156] < 127 ? h[156] : '?');
			return -1;
		}
	}
	return 0;
}
