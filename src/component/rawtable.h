/*
 * Raw tables: text cells with a header, made from a user's CSV file (upload) and turned into data
 * frames (dataframe_transformer). The description that travels with a raw table uses FATE's names:
 * sample_id_name, match_id_name, label_name, label_type, dtype, delimiter, header ...
 */
#ifndef NORN_COMPONENT_RAWTABLE_H
#define NORN_COMPONENT_RAWTABLE_H

#include "base/err.h"
#include "component/csv.h"
#include "component/frame.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* What the user says of the file. */
struct raw_source {
	FILE *in;           /* not owned */
	bool head;          /* the first line names the columns */
	bool extend_sid;    /* make sample ids, in a column of this name */
	const json_t *meta; /* checked: rawtable_check_meta() */
};

/* Known keys with defaults filled in, nulls left out; new reference, NULL on error. */
MUST_CHECK json_t *rawtable_check_meta(const json_t *meta, struct err *e);

/*
 * Check the file and write it as data.csv: sample id first, comma, ids present and unique, every
 * row as long as the header. *schema is the description (new reference), *samples up to 100 pairs
 * [id, rest of the row] (new reference).
 */
MUST_CHECK bool rawtable_import(const struct raw_source *src, FILE *out, json_t **schema,
				size_t *count, json_t **samples, struct err *e);

/* Read data.csv of a raw table as a data frame. site_name may be NULL. NULL on error. */
MUST_CHECK struct norn_frame *rawtable_to_frame(FILE *data, const json_t *schema, size_t count,
						const char *site_name, struct err *e);

#endif
