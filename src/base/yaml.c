/*
 * YAML into JSON values, from libyaml's events. An alias becomes a copy of what it names, so that
 * no two parts of the result share memory; copies are counted against the limits before they are
 * made, which is what stops a few lines of nested aliases from filling the memory.
 */
#include "config.h"
#include "base/js.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/yaml_scalar.h"
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* libyaml compares each %TAG directive with all before it. */
#define MAX_DIRECTIVE_LINES 64

struct anchor {
	json_t *value;
	size_t nodes, bytes, height; /* of the whole value; height counts containers */
};

struct reader {
	yaml_parser_t parser;
	const struct js_limits *lim;
	size_t nodes; /* made so far */
	size_t bytes; /* of text made by aliases */
	struct map *anchors;
	const char *text;
	size_t len;
	struct err *e;
};

static json_t *read_node(struct reader *r, yaml_event_t *ev, size_t depth);

static bool fail_at(struct reader *r, const yaml_mark_t *at, enum err_code code, const char *what)
{
	return err_set(r->e, code, "line %zu, column %zu: %s", at->line + 1, at->column + 1, what);
}

static bool fail_prefix(struct reader *r, const yaml_mark_t *at)
{
	return err_prefix(r->e, "line %zu, column %zu", at->line + 1, at->column + 1);
}

/* libyaml gives a byte offset for bad bytes, and a mark for everything else. */
static bool fail_parser(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	yaml_mark_t at = p->problem_mark;
	const char *problem = p->problem != NULL ? p->problem : "malformed YAML";

	if (p->error == YAML_READER_ERROR) {
		at = (yaml_mark_t){0};
		for (size_t i = 0; i < p->problem_offset && i < r->len; i++) {
			at.column++;
			if (r->text[i] == '\n') {
				at.line++;
				at.column = 0;
			}
		}
	}
	if (p->context == NULL)
		return fail_at(r, &at, ERR_PARSE, problem);
	return err_set(r->e, ERR_PARSE, "line %zu, column %zu: %s %s", at.line + 1, at.column + 1,
		       problem, p->context);
}

static bool next_event(struct reader *r, yaml_event_t *ev)
{
	memset(ev, 0, sizeof(*ev));
	return yaml_parser_parse(&r->parser, ev) != 0 || fail_parser(r);
}

/* Take note of one value more. */
static bool count_node(struct reader *r, const yaml_mark_t *at)
{
	if (r->nodes++ < r->lim->max_nodes)
		return true;
	err_set(r->e, ERR_LIMIT, "more than %zu values", r->lim->max_nodes);
	return fail_prefix(r, at);
}

static bool check_depth(struct reader *r, const yaml_mark_t *at, size_t depth)
{
	if (depth <= r->lim->max_depth)
		return true;
	err_set(r->e, ERR_LIMIT, "nested deeper than %zu levels", r->lim->max_depth);
	return fail_prefix(r, at);
}

static size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* Adds the size of v to a; the recursion is as deep as the limit allowed v to be. */
static size_t measure(json_t *v, struct anchor *a)
{
	size_t height = 0, i;
	const char *key;
	json_t *child;

	a->nodes++;
	a->bytes += json_string_length(v);
	if (json_is_object(v)) {
		json_object_foreach (v, key, child) {
			a->bytes += strlen(key);
			height = max_size(height, measure(child, a));
		}
	} else if (json_is_array(v)) {
		json_array_foreach (v, i, child)
			height = max_size(height, measure(child, a));
	}
	return json_is_object(v) || json_is_array(v) ? height + 1 : 0;
}

static void free_anchor(void *value)
{
	struct anchor *a = value;

	json_decref(a->value);
	free(a);
}

static void set_anchor(struct reader *r, const yaml_char_t *name, json_t *value)
{
	struct anchor *a, *old;

	if (name == NULL)
		return;
	a = mem_zalloc(sizeof(*a));
	a->value = json_incref(value);
	a->height = measure(value, a);
	old = map_set(r->anchors, (const char *)name, a);
	if (old != NULL)
		free_anchor(old);
}

static json_t *read_alias(struct reader *r, const yaml_event_t *ev, size_t depth)
{
	const struct anchor *a = map_get(r->anchors, (const char *)ev->data.alias.anchor);
	json_t *copy;

	if (a == NULL) {
		fail_at(r, &ev->start_mark, ERR_PARSE,
			"the alias names an anchor that is not complete before it");
		return NULL;
	}
	if (!check_depth(r, &ev->start_mark, depth + a->height))
		return NULL;
	r->nodes += a->nodes; /* neither sum overflows: both parts are within the limits */
	r->bytes += a->bytes;
	if (r->nodes > r->lim->max_nodes || r->bytes > r->lim->max_bytes) {
		fail_at(r, &ev->start_mark, ERR_LIMIT, "aliases make the document too large");
		return NULL;
	}
	copy = json_deep_copy(a->value);
	if (copy == NULL)
		fail_at(r, &ev->start_mark, ERR_LIMIT, "out of memory");
	return copy;
}

static json_t *read_scalar(struct reader *r, const yaml_event_t *ev)
{
	bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	json_t *v;

	if (!count_node(r, &ev->start_mark))
		return NULL;
	v = yaml_scalar_value((const char *)ev->data.scalar.value, ev->data.scalar.length,
			      (const char *)ev->data.scalar.tag, plain, r->e);
	if (v == NULL) {
		fail_prefix(r, &ev->start_mark);
		return NULL;
	}
	set_anchor(r, ev->data.scalar.anchor, v);
	return v;
}

/* Is the tag of a container absent, or the one that says what it is anyway? */
static bool check_container(struct reader *r, const yaml_mark_t *at, const yaml_char_t *tag,
			    const char *name, size_t depth)
{
	const char *core = tag == NULL ? NULL : yaml_core_tag((const char *)tag);

	if (!check_depth(r, at, depth) || !count_node(r, at))
		return false;
	if (tag == NULL || str_eq((const char *)tag, "!") || str_eq(core, name))
		return true;
	err_set(r->e, ERR_PARSE, "the tag %.40s is not supported here", (const char *)tag);
	return fail_prefix(r, at);
}

static json_t *read_sequence(struct reader *r, const yaml_event_t *start, size_t depth)
{
	json_t *array, *item;
	yaml_event_t ev;

	if (!check_container(r, &start->start_mark, start->data.sequence_start.tag, "seq", depth))
		return NULL;
	array = json_array();
	for (;;) {
		if (!next_event(r, &ev))
			goto fail;
		if (ev.type == YAML_SEQUENCE_END_EVENT)
			break;
		item = read_node(r, &ev, depth);
		if (item == NULL)
			goto fail;
		json_array_append_new(array, item);
	}
	yaml_event_delete(&ev);
	set_anchor(r, start->data.sequence_start.anchor, array);
	return array;
fail:
	json_decref(array);
	return NULL;
}

/* The text of a mapping's key, owned by the caller; keys are texts in JSON, so 9999 is "9999". */
static char *read_key(struct reader *r, yaml_event_t *ev, bool *is_merge)
{
	const struct anchor *a;
	json_t *v;
	char *key = NULL;

	*is_merge = false;
	if (ev->type == YAML_ALIAS_EVENT) {
		a = map_get(r->anchors, (const char *)ev->data.alias.anchor);
		if (a == NULL || !json_is_string(a->value)) {
			fail_at(r, &ev->start_mark, ERR_PARSE,
				"an alias used as a key must name a text that stands before it");
		} else {
			r->bytes += a->bytes;
			if (r->bytes > r->lim->max_bytes)
				fail_at(r, &ev->start_mark, ERR_LIMIT,
					"aliases make the document too large");
			else
				key = mem_strdup(json_string_value(a->value));
		}
	} else if (ev->type != YAML_SCALAR_EVENT) {
		fail_at(r, &ev->start_mark, ERR_PARSE,
			"a key must be a text, not a list or a mapping");
	} else {
		v = yaml_scalar_value((const char *)ev->data.scalar.value, ev->data.scalar.length,
				      NULL, false, r->e);
		if (v == NULL) {
			fail_prefix(r, &ev->start_mark);
		} else {
			key = mem_strdup(json_string_value(v));
			*is_merge = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
				    ev->data.scalar.tag == NULL && str_eq(key, "<<");
			set_anchor(r, ev->data.scalar.anchor, v);
			json_decref(v);
		}
	}
	yaml_event_delete(ev);
	return key;
}

/* The value of "<<" is one mapping or a list of them. */
static bool check_merge(struct reader *r, const yaml_mark_t *at, const json_t *value)
{
	size_t n = json_is_array(value) ? json_array_size(value) : 0;
	bool ok = json_is_object(value) || json_is_array(value);

	for (size_t i = 0; i < n; i++)
		ok = ok && json_is_object(json_array_get(value, i));
	return ok || fail_at(r, at, ERR_PARSE, "<< takes a mapping or a list of mappings");
}

/* Keys that stand in the mapping itself win, then those of the earlier source. */
static void merge_into(json_t *obj, json_t *source)
{
	const char *key;
	json_t *v;

	json_object_foreach (source, key, v) {
		if (json_object_get(obj, key) == NULL)
			json_object_set(obj, key, v);
	}
}

static void apply_merge(json_t *obj, json_t *merge)
{
	json_t *source;
	size_t i;

	if (json_is_object(merge))
		merge_into(obj, merge);
	json_array_foreach (merge, i, source)
		merge_into(obj, source);
}

/* Reads one key and its value into obj or *merge. ev holds the key's event, and is released. */
static bool read_pair(struct reader *r, yaml_event_t *ev, size_t depth, json_t *obj, json_t **merge)
{
	yaml_mark_t at = ev->start_mark;
	bool is_merge, ok = false;
	char *key = read_key(r, ev, &is_merge);
	yaml_event_t value_ev;
	json_t *v;

	if (key == NULL)
		return false;
	if (is_merge ? *merge != NULL : json_object_get(obj, key) != NULL) {
		err_set(r->e, ERR_PARSE, "the key \"%.100s\" stands here twice", key);
		fail_prefix(r, &at);
		goto out;
	}
	if (!next_event(r, &value_ev))
		goto out;
	at = value_ev.start_mark;
	v = read_node(r, &value_ev, depth);
	if (v == NULL)
		goto out;
	if (is_merge) {
		*merge = v;
		ok = check_merge(r, &at, v);
	} else {
		ok = json_object_set_new(obj, key, v) == 0;
	}
out:
	free(key);
	return ok;
}

static json_t *read_mapping(struct reader *r, const yaml_event_t *start, size_t depth)
{
	json_t *obj, *merge = NULL;
	yaml_event_t ev;

	if (!check_container(r, &start->start_mark, start->data.mapping_start.tag, "map", depth))
		return NULL;
	obj = json_object();
	for (;;) {
		if (!next_event(r, &ev))
			goto fail;
		if (ev.type == YAML_MAPPING_END_EVENT)
			break;
		if (!read_pair(r, &ev, depth, obj, &merge))
			goto fail;
	}
	yaml_event_delete(&ev);
	apply_merge(obj, merge);
	json_decref(merge);
	set_anchor(r, start->data.mapping_start.anchor, obj);
	return obj;
fail:
	json_decref(merge);
	json_decref(obj);
	return NULL;
}

/* The value that begins with ev, which is released; depth is that of the container around it. */
static json_t *read_node(struct reader *r, yaml_event_t *ev, size_t depth)
{
	json_t *v = NULL;

	switch (ev->type) {
	case YAML_ALIAS_EVENT:
		v = read_alias(r, ev, depth);
		break;
	case YAML_SCALAR_EVENT:
		v = read_scalar(r, ev);
		break;
	case YAML_SEQUENCE_START_EVENT:
		v = read_sequence(r, ev, depth + 1);
		break;
	case YAML_MAPPING_START_EVENT:
		v = read_mapping(r, ev, depth + 1);
		break;
	default:
		fail_at(r, &ev->start_mark, ERR_PARSE, "a value is missing");
	}
	yaml_event_delete(ev);
	return v;
}

/* The one document of the stream. Nothing at all is null, as an empty value is. */
static json_t *read_stream(struct reader *r)
{
	json_t *v = NULL;
	yaml_event_t ev;

	for (;;) {
		yaml_event_type_t type;
		yaml_mark_t at;

		if (!next_event(r, &ev))
			break;
		type = ev.type;
		at = ev.start_mark;
		if (type == YAML_STREAM_END_EVENT) {
			yaml_event_delete(&ev);
			return v != NULL ? v : json_null();
		}
		if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_END_EVENT) {
			yaml_event_delete(&ev);
			continue;
		}
		if (type == YAML_DOCUMENT_START_EVENT) {
			yaml_event_delete(&ev);
			if (v != NULL) {
				fail_at(r, &at, ERR_PARSE, "only one document is allowed");
				break;
			}
			continue;
		}
		v = read_node(r, &ev, 0);
		if (v == NULL)
			break;
	}
	json_decref(v);
	return NULL;
}

/* YAML has more line breaks than LF and CR: NEL, LS and PS. */
static bool is_line_start(const char *text, size_t i)
{
	const char *p = text + i;

	return i == 0 || p[-1] == '\n' || p[-1] == '\r' ||
	       (i >= 2 && memcmp(p - 2, "\xc2\x85", 2) == 0) ||
	       (i >= 3 &&
		(memcmp(p - 3, "\xe2\x80\xa8", 3) == 0 || memcmp(p - 3, "\xe2\x80\xa9", 3) == 0));
}

static bool check_text(const char *text, size_t len, const struct js_limits *lim, struct err *e)
{
	size_t line = 1, directives = 0;

	if (len > lim->max_bytes)
		return err_set(e, ERR_LIMIT, "the text has %zu bytes, at most %zu are allowed", len,
			       lim->max_bytes);
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\0')
			return err_set(e, ERR_PARSE, "line %zu: NUL byte", line);
		if (text[i] == '%' && is_line_start(text, i) && ++directives > MAX_DIRECTIVE_LINES)
			return err_set(e, ERR_LIMIT, "line %zu: more than %d directives", line,
				       MAX_DIRECTIVE_LINES);
		if (text[i] == '\n')
			line++;
	}
	return true;
}

/*
 * A text that begins as JSON most often is JSON, which the JSON parser reads faster and without
 * YAML's restrictions on keys and escapes. When it is not, it may still be YAML's flow style.
 */
static json_t *try_json(const char *text, size_t len, const struct js_limits *lim)
{
	size_t i = 0;

	while (i < len && strchr(" \t\r\n", text[i]) != NULL)
		i++;
	if (i == len || (text[i] != '{' && text[i] != '['))
		return NULL;
	return js_parse(text, len, lim, NULL);
}

json_t *js_parse_yaml(const char *text, size_t len, const struct js_limits *lim, struct err *e)
{
	struct reader r = {.lim = lim, .text = text, .len = len, .e = e};
	json_t *v;

	if (lim == NULL)
		r.lim = &js_limits_default;
	if (!check_text(text, len, r.lim, e))
		return NULL;
	v = try_json(text, len, r.lim);
	if (v != NULL)
		return v;
	if (yaml_parser_initialize(&r.parser) == 0) {
		err_set(e, ERR_LIMIT, "out of memory");
		return NULL;
	}
	r.anchors = map_new();
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	v = read_stream(&r);
	map_free(r.anchors, free_anchor);
	yaml_parser_delete(&r.parser);
	return v;
}
