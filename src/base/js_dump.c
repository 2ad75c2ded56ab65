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

static int by_name(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static void dump_object(const json_t *v, struct buf *out)
{
	size_t n = json_object_size(v), i = 0;
	const char **keys = mem_array(n, sizeof(*keys));
	/* jansson's iteration takes a non-const value, though it changes nothing. */
	json_t *obj = (json_t *)(uintptr_t)v;

	for (void *it = json_object_iter(obj); it != NULL; it = json_object_iter_next(obj, it))
		keys[i++] = json_object_iter_key(it);
	qsort(keys, n, sizeof(*keys), by_name);
	buf_addc(out, '{');
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(out, ',');
		dump_string(keys[i], strlen(keys[i]), out);
		buf_addc(out, ':');
		js_dump(json_object_get(v, keys[i]), out);
	}
	buf_addc(out, '}');
	free(keys);
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
		buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
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
