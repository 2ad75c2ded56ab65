/*
 * A user's CSV file: import as a raw table, then as a data frame. The first byte chooses the
 * options. What the import accepts, the conversion must read with the same number of rows, or
 * refuse because of a cell.
 */
#include "config.h"

#include "base/js.h"
#include "component/rawtable.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *make_meta(uint8_t options)
{
	struct err e;
	json_t *given = json_pack("{s:s,s:s}", "delimiter", options & 1 ? ";" : ",", "dtype",
				  options & 2 ? "float64" : "np_object");
	json_t *meta;

	if (options & 4)
		json_object_set_new(given, "label_name", json_string("y"));
	if (options & 8)
		json_object_set_new(given, "match_id_name", json_string("m"));
	if (options & 16)
		json_object_set_new(given, "header", json_string("m,y,x"));
	meta = rawtable_check_meta(given, &e);
	json_decref(given);
	return meta;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *meta, *schema = NULL, *samples = NULL;
	struct raw_source src = {0};
	struct norn_frame *f;
	size_t count = 0;
	struct err e;
	FILE *out;
	char *text;

	if (size < 2)
		return 0;
	meta = make_meta(data[0]);
	text = malloc(size);
	if (meta == NULL || text == NULL)
		abort();
	for (size_t i = 1; i < size; i++)
		text[i - 1] = (char)data[i];
	src.in = fmemopen(text, size - 1, "r");
	src.head = !(data[0] & 16);
	src.extend_sid = (data[0] & 32) != 0;
	src.meta = meta;
	out = tmpfile();
	if (src.in == NULL || out == NULL)
		abort();
	if (rawtable_import(&src, out, &schema, &count, &samples, &e)) {
		rewind(out);
		f = rawtable_to_frame(out, schema, count, NULL, &e);
		if (f != NULL && f->n_rows != count)
			abort();
		norn_frame_free(f);
	}
	json_decref(schema);
	json_decref(samples);
	json_decref(meta);
	fclose(src.in);
	fclose(out);
	free(text);
	return 0;
}
