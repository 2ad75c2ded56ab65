/* Any bytes as a form, fed in pieces whose size the first byte gives; the pieces must not change
 * the outcome. */
#include "api/multipart.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool collect(const void *data, size_t len, void *arg, struct err *e)
{
	buf_add(arg, data, len);
	return true;
}

static bool run(const uint8_t *data, size_t size, size_t piece, struct buf *file, json_t **fields)
{
	struct err e;
	struct multipart *m = multipart_new("multipart/form-data; boundary=B", collect, file, &e);
	bool ok = true;

	for (size_t i = 0; ok && i < size; i += piece)
		ok = multipart_feed(m, data + i, size - i < piece ? size - i : piece, &e);
	ok = ok && multipart_end(m, &e);
	*fields = json_incref(multipart_fields(m));
	multipart_free(m);
	return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf a = {0}, b = {0};
	json_t *fa, *fb;

	if (size == 0)
		return 0;
	bool whole = run(data + 1, size - 1, size, &a, &fa);
	bool cut = run(data + 1, size - 1, (size_t)data[0] % 17 + 1, &b, &fb);
	if (whole != cut || (whole && (a.len != b.len || !json_equal(fa, fb))))
		abort();
	json_decref(fa);
	json_decref(fb);
	buf_free(&a);
	buf_free(&b);
	return 0;
}
