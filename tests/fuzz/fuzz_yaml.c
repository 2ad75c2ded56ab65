/*
 * YAML: whatever the bytes are, the value that comes out is within the limits, and is JSON: written
 * and read back it is the same, by either parser.
 */
#include "config.h"
#include "base/js.h"
#include <stdlib.h>

#define MAX_DEPTH 32
#define MAX_NODES 2000

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static size_t count(json_t *v, size_t depth)
{
	size_t n = 1, i;
	const char *key;
	json_t *child;

	if ((json_is_object(v) || json_is_array(v)) && depth >= MAX_DEPTH)
		abort();
	json_object_foreach(v, key, child) n += count(child, depth + 1);
	json_array_foreach(v, i, child) n += count(child, depth + 1);
	return n;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	const struct js_limits lim = {
	    .max_bytes = 65536, .max_depth = MAX_DEPTH, .max_nodes = MAX_NODES};
	struct err e;
	struct buf text = {0};
	json_t *v = js_parse_yaml((const char *)data, size, &lim, &e), *again;

	if (v == NULL)
		return 0;
	if (count(v, 0) > MAX_NODES)
		abort();
	js_dump(v, &text);
	again = js_parse(text.data, text.len, NULL, &e);
	if (again == NULL || !json_equal(v, again))
		abort();
	json_decref(again);
	json_decref(v);
	buf_free(&text);
	return 0;
}
