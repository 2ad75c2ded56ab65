/*
 * JSON and YAML into jansson values, with limits, because input is hostile. YAML is read as its
 * JSON-like part: plain scalars resolve to null, booleans, integers, floats or strings by the YAML
 * 1.2 core schema; quoted ones are strings; anchors and aliases are allowed within the node limit;
 * `<<` merge keys are supported; tags other than the core ones are refused. Keys are texts (9999:
 * is "9999"). An empty YAML document is null; a second one is an error. No two parts of a value
 * share memory, and the text made by aliases counts against max_bytes. Duplicate keys are errors in
 * both. All text is UTF-8 without NUL.
 */
#ifndef NORN_BASE_JS_H
#define NORN_BASE_JS_H

#include "base/buf.h"
#include "base/err.h"
#include <jansson.h>
#include <stdint.h>

struct js_limits {
	size_t max_bytes;
	size_t max_depth;
	size_t max_nodes; /* YAML after alias expansion; JSON values */
};
extern const struct js_limits js_limits_default; /* 16 MiB, depth 64, 1,000,000 nodes */

/* New references; lim NULL means js_limits_default. Errors carry ERR_PARSE or ERR_LIMIT and say
 * line and column. */
MUST_CHECK json_t *js_parse(const char *text, size_t len, const struct js_limits *lim,
			    struct err *e);
MUST_CHECK json_t *js_parse_yaml(const char *text, size_t len, const struct js_limits *lim,
				 struct err *e);
/* By the name's end: .json is JSON, else YAML (which JSON files also are). */
MUST_CHECK json_t *js_load_file(const char *path, const struct js_limits *lim, struct err *e);
/* Write whole, via a temporary file and rename; mode 0600. */
MUST_CHECK bool js_save_file(const char *path, const json_t *v, struct err *e);
/* Not made durable, see fs_write_scratch(). */
MUST_CHECK bool js_save_scratch(const char *path, const json_t *v, struct err *e);

/* Compact, keys sorted, reals with the fewest digits that read back the same; appended to out. */
void js_dump(const json_t *v, struct buf *out);
char *js_dump_str(const json_t *v); /* caller frees */

/* Borrowed values; the default when missing or of another type. obj may be NULL. */
const char *js_str(const json_t *obj, const char *key, const char *def);
int64_t js_int(const json_t *obj, const char *key, int64_t def);
double js_num(const json_t *obj, const char *key, double def);
bool js_bool(const json_t *obj, const char *key, bool def);
json_t *js_get(const json_t *obj, const char *dotted_path); /* borrowed or NULL: "dag.conf.task" */

#endif
