#include "api/utf8.h"

#include "base/str.h"

/* Length of the UTF-8 character at p, 0 when what is there is none, -1 when it may only be cut off.
 */
static int char_len(const unsigned char *p, size_t left)
{
	int n = p[0] < 0x80                   ? 1
		: p[0] >= 0xc2 && p[0] < 0xe0 ? 2
		: (p[0] & 0xf0) == 0xe0       ? 3
		: p[0] >= 0xf0 && p[0] < 0xf5 ? 4
					      : 0;

	if (n == 0 || p[0] == 0)
		return 0;
	for (int i = 1; i < n; i++) {
		if ((size_t)i >= left)
			return -1;
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return str_is_utf8((const char *)p, (size_t)n) ? n : 0;
}

size_t utf8_clean(struct buf *out, const char *data, size_t len, bool final)
{
	const unsigned char *p = (const unsigned char *)data;
	size_t i = 0;

	while (i < len) {
		int n = char_len(p + i, len - i);
		if (n < 0 && !final)
			break;
		if (n <= 0) {
			buf_adds(out, "\xef\xbf\xbd");
			i++;
		} else {
			buf_add(out, p + i, (size_t)n);
			i += (size_t)n;
		}
	}
	return i;
}
