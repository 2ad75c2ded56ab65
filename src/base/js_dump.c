/*
 * Writing JSON. Not jansson's writer, because that prints 0.1 as 0.10000000000000001: here a number
 * takes the fewest digits that read back as the same value.
 */
#include "config.h"
#include "base/js.h"
#include "base/mem.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Members that are sorted where they stand, without a call for each comparison. */
#define FEW_MEMBERS 12

static void dump_string(const char *s, size_t len, struct buf *out)
{
	size_t start = 0;

	buf_addc(out, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buf_add(out, s + start, i - start);
		start = i + 1;
		switch (c) {
		case '"':
		case '\\':
			buf_addc(out, '\\');
			buf_addc(out, (char)c);
			break;
		case '\n':
			buf_adds(out, "\\n");
			break;
		case '\r':
			buf_adds(out, "\\r");
			break;
		case '\t':
			buf_adds(out, "\\t");
			break;
		default:
			buf_printf(out, "\\u%04x", c);
		}
	}
	buf_add(out, s + start, len - start);
	buf_addc(out, '"');
}

static void dump_real(double v, struct buf *out)
{
	char text[40];

	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	for (char *p = text; *p != '\0'; p++) {
		if (*p == ',')
			*p = '.'; /* a locale may be set */
	}
	buf_adds(out, text);
	if (strpbrk(text, ".e") == NULL)
		buf_adds(out, ".0"); /* stays a real when read back */
}

static void dump_integer(json_int_t v, struct buf *out)
{
	char digits[24];
	size_t at = sizeof(digits);
	bool negative = v < 0;
	/* the smallest has no positive counterpart of its own type */
	unsigned long long left = negative ? 0ULL - (unsigned long long)v : (unsigned long long)v;

	do {
		digits[--at] = (char)('0' + left % 10);
		left /= 10;
	} while (left > 0);
	if (negative)
		digits[--at] = '-';
	buf_add(out, digits + at, sizeof(digits) - at);
}

struct member {
	const char *key;
	const json_t *value;
};

static int by_name(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	return strcmp(x->key, y->key);
}

static void sort_few(struct member *list, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct member m = list[i];
		size_t k = i;

		for (; k > 0 && strcmp(list[k - 1].key, m.key) > 0; k--)
			list[k] = list[k - 1];
		list[k] = m;
	}
}

static void dump_object(const json_t *v, struct buf *out)
{
	size_t n = json_object_size(v), i = 0;
	struct member few[FEW_MEMBERS];
	struct member *list = n <= FEW_MEMBERS ? few : mem_array(n, sizeof(*list));
	/* jansson's iteration takes a non-const value, though it changes nothing. */
	json_t *obj = (json_t *)(uintptr_t)v;

	for (void *it = json_object_iter(obj); it != NULL; it = json_object_iter_next(obj, it))
		list[i++] = (struct member){json_object_iter_key(it), json_object_iter_value(it)};
	if (list == few)
		sort_few(list, n);
	else
		qsort(list, n, sizeof(*list), by_name);
	buf_addc(out, '{');
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(out, ',');
		dump_string(list[i].key, strlen(list[i].key), out);
		buf_addc(out, ':');
		js_dump(list[i].value, out);
	}
	buf_addc(out, '}');
	if (list != few)
		free(list);
}

void js_dump(const json_t *v, struct buf *out)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		dump_object(v, out);
		break;
	case JSON_ARRAY:
		buf_addc(out, '[');
		for (size_t i = 0; i < json_array_size(v); i++) {
			if (i > 0)
				buf_addc(out, ',');
			js_dump(json_array_get(v, i), out);
		}
		buf_addc(out, ']');
		break;
	case JSON_STRING:
		dump_string(json_string_value(v), json_string_length(v), out);
		break;
	case JSON_INTEGER:
		dump_integer(json_integer_value(v), out);
		break;
	case JSON_REAL:
		dump_real(json_real_value(v), out);
		break;
	case JSON_TRUE:
		buf_adds(out, "true");
		break;
	case JSON_FALSE:
		buf_adds(out, "false");
		break;
	case JSON_NULL:
		buf_adds(out, "null");
		break;
	}
}

char *js_dump_str(const json_t *v)
{
	struct buf out = {0};

	js_dump(v, &out);
	return buf_take(&out);
}
