#include "config.h"
#include "base/js.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include <stdlib.h>
#include <string.h>

const struct js_limits js_limits_default = {
    .max_bytes = 16U << 20,
    .max_depth = 64,
    .max_nodes = 1000000,
};

/* Where the scan stands. Columns count characters, from 1. */
struct scan {
	const char *p;
	const char *end;
	size_t line, column;
};

static void advance(struct scan *s)
{
	if (*s->p == '\n') {
		s->line++;
		s->column = 1;
	} else if (((unsigned char)*s->p & 0xc0) != 0x80) {
		s->column++;
	}
	s->p++;
}

static void skip_string(struct scan *s)
{
	advance(s);
	while (s->p < s->end && *s->p != '"') {
		if (*s->p == '\\' && s->p + 1 < s->end)
			advance(s);
		advance(s);
	}
	if (s->p < s->end)
		advance(s);
}

static bool is_scalar_byte(char c)
{
	return strchr(" \t\r\n,:[]{}\"", c) == NULL;
}

/*
 * Check depth and number of values before the parser builds anything. The text may be malformed:
 * that is for the parser to say, here it only must not get past the limits.
 */
static bool prescan(const char *text, size_t len, const struct js_limits *lim, struct err *e)
{
	struct scan s = {.p = text, .end = text + len, .line = 1, .column = 1};
	size_t depth = 0, nodes = 0;

	while (s.p < s.end) {
		char c = *s.p;

		if (c == '\0')
			return err_set(e, ERR_PARSE, "line %zu, column %zu: NUL byte", s.line,
				       s.column);
		if (c == '[' || c == '{') {
			nodes++;
			if (++depth > lim->max_depth)
				return err_set(
				    e, ERR_LIMIT,
				    "line %zu, column %zu: nested deeper than %zu levels", s.line,
				    s.column, lim->max_depth);
			advance(&s);
		} else if (c == ']' || c == '}') {
			if (depth > 0)
				depth--;
			advance(&s);
		} else if (c == '"') {
			nodes++;
			skip_string(&s);
		} else if (c == ':') {
			if (nodes > 0)
				nodes--; /* what stood before was a key */
			advance(&s);
		} else if (is_scalar_byte(c)) {
			nodes++;
			while (s.p < s.end && *s.p != '\0' && is_scalar_byte(*s.p))
				advance(&s);
		} else {
			advance(&s);
		}
		if (nodes > lim->max_nodes)
			return err_set(e, ERR_LIMIT, "line %zu, column %zu: more than %zu values",
				       s.line, s.column, lim->max_nodes);
	}
	return true;
}

json_t *js_parse(const char *text, size_t len, const struct js_limits *lim, struct err *e)
{
	json_error_t je;
	json_t *v;

	if (lim == NULL)
		lim = &js_limits_default;
	if (len > lim->max_bytes) {
		err_set(e, ERR_LIMIT, "the text has %zu bytes, at most %zu are allowed", len,
			lim->max_bytes);
		return NULL;
	}
	if (len == 0) {
		err_set(e, ERR_PARSE, "line 1, column 1: the text is empty");
		return NULL;
	}
	if (!prescan(text, len, lim, e))
		return NULL;
	v = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &je);
	if (v == NULL)
		err_set(e, ERR_PARSE, "line %d, column %d: %s", je.line,
			je.column < 1 ? 1 : je.column, je.text);
	return v;
}

json_t *js_load_file(const char *path, const struct js_limits *lim, struct err *e)
{
	struct buf text = {0};
	json_t *v = NULL;

	if (lim == NULL)
		lim = &js_limits_default;
	if (!fs_read(path, lim->max_bytes, &text, e))
		goto out;
	v = str_ends(path, ".json") ? js_parse(buf_str(&text), text.len, lim, e)
				    : js_parse_yaml(buf_str(&text), text.len, lim, e);
	if (v == NULL)
		err_prefix(e, "%s", path);
out:
	buf_free(&text);
	return v;
}

static bool save(const char *path, const json_t *v, bool durable, struct err *e)
{
	struct buf text = {0};
	bool ok;

	js_dump(v, &text);
	buf_addc(&text, '\n');
	ok = durable ? fs_write(path, text.data, text.len, 0600, e)
		     : fs_write_scratch(path, text.data, text.len, 0600, e);
	buf_free(&text);
	return ok;
}

bool js_save_file(const char *path, const json_t *v, struct err *e)
{
	return save(path, v, true, e);
}

bool js_save_scratch(const char *path, const json_t *v, struct err *e)
{
	return save(path, v, false, e);
}

const char *js_str(const json_t *obj, const char *key, const char *def)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s == NULL ? def : s;
}

int64_t js_int(const json_t *obj, const char *key, int64_t def)
{
	const json_t *v = json_object_get(obj, key);

	return json_is_integer(v) ? (int64_t)json_integer_value(v) : def;
}

double js_num(const json_t *obj, const char *key, double def)
{
	const json_t *v = json_object_get(obj, key);

	return json_is_number(v) ? json_number_value(v) : def;
}

bool js_bool(const json_t *obj, const char *key, bool def)
{
	const json_t *v = json_object_get(obj, key);

	return json_is_boolean(v) ? json_is_true(v) : def;
}

json_t *js_get(const json_t *obj, const char *dotted_path)
{
	json_t *v = NULL;

	for (;;) {
		size_t len = strcspn(dotted_path, ".");
		char *key = mem_strndup(dotted_path, len);

		v = json_object_get(obj, key);
		free(key);
		if (v == NULL || dotted_path[len] == '\0')
			return v;
		obj = v;
		dotted_path += len + 1;
	}
}
