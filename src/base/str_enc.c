/* Encodings: UTF-8 checks, escaping for logs, hex and base64. */
#include "config.h"
#include "base/str.h"
#include <string.h>

/* Length of the well-formed UTF-8 sequence at s, 0 when there is none; the code point in *cp. */
static size_t utf8_next(const unsigned char *s, size_t len, uint32_t *cp)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n;

	if (s[0] < 0x80) {
		*cp = s[0];
		return 1;
	}
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (n > len)
		return 0;
	*cp = s[0] & (0xffU >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | (s[i] & 0x3f);
	}
	if (*cp < smallest[n] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp <= 0xdfff))
		return 0;
	return n;
}

bool str_is_utf8(const char *s, size_t len)
{
	uint32_t cp;

	while (len > 0) {
		size_t n = utf8_next((const unsigned char *)s, len, &cp);

		if (n == 0)
			return false;
		s += n;
		len -= n;
	}
	return true;
}

/* Characters which a terminal or a pager would not show as one glyph in its place. */
static bool is_unprintable(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp <= 0x9f) || (cp >= 0x200b && cp <= 0x200f) ||
	       (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff;
}

/* Append one character of n bytes; cp is 0 for a byte that is no UTF-8. */
static void vis_one(struct buf *out, const char *s, size_t n, uint32_t cp)
{
	switch (cp) {
	case '\n':
		buf_adds(out, "\\n");
		return;
	case '\r':
		buf_adds(out, "\\r");
		return;
	case '\t':
		buf_adds(out, "\\t");
		return;
	case '"':
	case '\\':
		buf_addc(out, '\\');
		break;
	default:
		break;
	}
	if (!is_unprintable(cp)) {
		buf_add(out, s, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "\\x%02x", (unsigned char)s[i]);
}

void str_vis(struct buf *out, const char *s, size_t len)
{
	while (len > 0) {
		uint32_t cp = 0;
		size_t n = utf8_next((const unsigned char *)s, len, &cp);

		if (n == 0) {
			n = 1;
			cp = 0;
		}
		vis_one(out, s, n, cp);
		s += n;
		len -= n;
	}
}

void str_hex(struct buf *out, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = data;

	buf_reserve(out, len * 2);
	for (size_t i = 0; i < len; i++) {
		buf_addc(out, digits[p[i] >> 4]);
		buf_addc(out, digits[p[i] & 15]);
	}
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool str_unhex(const char *s, struct buf *out)
{
	size_t len = strlen(s), before = out->len;

	if (len % 2 != 0)
		return false;
	buf_reserve(out, len / 2);
	for (size_t i = 0; i < len; i += 2) {
		int high = hex_value(s[i]), low = hex_value(s[i + 1]);

		if (high < 0 || low < 0) {
			out->len = before;
			out->data[before] = '\0';
			return false;
		}
		buf_addc(out, (char)(high << 4 | low));
	}
	return true;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void str_base64(struct buf *out, const void *data, size_t len)
{
	const unsigned char *p = data;

	buf_reserve(out, len / 3 * 4 + 4);
	for (size_t i = 0; i < len; i += 3) {
		uint32_t group = (uint32_t)p[i] << 16;
		char text[4];

		if (i + 1 < len)
			group |= (uint32_t)p[i + 1] << 8;
		if (i + 2 < len)
			group |= p[i + 2];
		text[0] = base64_digits[group >> 18];
		text[1] = base64_digits[group >> 12 & 63];
		text[2] = i + 1 < len ? base64_digits[group >> 6 & 63] : '=';
		text[3] = i + 2 < len ? base64_digits[group & 63] : '=';
		buf_add(out, text, sizeof(text));
	}
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One group of four digits, of which the last pad ones are '='. One text per value: spare bits are
 * 0. */
static bool unbase64_group(const char *s, size_t pad, struct buf *out)
{
	uint32_t group = 0;

	for (size_t i = 0; i < 4 - pad; i++) {
		int v = base64_value(s[i]);

		if (v < 0)
			return false;
		group |= (uint32_t)v << (18 - 6 * i);
	}
	if ((pad == 1 && (group & 0xff) != 0) || (pad == 2 && (group & 0xffff) != 0))
		return false;
	for (size_t i = 0; i < 3 - pad; i++)
		buf_addc(out, (char)(group >> (16 - 8 * i) & 0xff));
	return true;
}

bool str_unbase64(const char *s, size_t len, struct buf *out)
{
	size_t before = out->len;

	if (len % 4 != 0)
		return false;
	buf_reserve(out, len / 4 * 3);
	for (size_t i = 0; i < len; i += 4) {
		size_t pad = 0;

		if (i + 4 == len && s[i + 3] == '=')
			pad = s[i + 2] == '=' ? 2 : 1;
		if (!unbase64_group(s + i, pad, out)) {
			out->len = before;
			out->data[before] = '\0';
			return false;
		}
	}
	return true;
}
