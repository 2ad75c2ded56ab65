/* JSON: whatever the bytes are, the parser keeps its limits, and what it reads survives a round
 * trip. */
#include "config.h"
#include "base/js.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	const struct js_limits lim = {.max_bytes = 65536, .max_depth = 32, .max_nodes = 2000};
	struct err e;
	struct buf text = {0};
	json_t *v = js_parse((const char *)data, size, &lim, &e), *again;

	if (v == NULL)
		return 0;
	js_dump(v, &text);
	again = js_parse(text.data, text.len, NULL, &e);
	if (again == NULL || !json_equal(v, again))
		abort();
	json_decref(again);
	json_decref(v);
	buf_free(&text);
	return 0;
}
