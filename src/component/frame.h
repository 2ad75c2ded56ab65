/*
 * Data frames (struct norn_frame of the public header) and their stored form: the schema map of
 * FATE's data frames, and CSV text with the fields in schema order (sample id, match id, label,
 * weight, columns).
 */
#ifndef NORN_COMPONENT_FRAME_H
#define NORN_COMPONENT_FRAME_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "component/csv.h"
#include "norn/component.h"

#define FRAME_COLUMNS_MAX 60000

const char *dtype_name(enum norn_dtype t);
MUST_CHECK bool dtype_parse(const char *name, enum norn_dtype *out);

/* One cell of text as a value of the type; the reason of a refusal goes to *why. */
MUST_CHECK bool cell_parse(const char *text, enum norn_dtype t, double *out, const char **why);
/* The value as text that reads back as the same value. */
void cell_format(struct buf *out, enum norn_dtype t, double value);

/* {type, schema_meta: {fields, anonymous_summary}, partition_order_mappings}; new reference. */
json_t *frame_schema(const struct norn_frame *f);
/* The header line and all rows. */
MUST_CHECK bool frame_write_csv(const struct norn_frame *f, FILE *out, struct err *e);
/* Row values in field order; new reference. */
json_t *frame_row(const struct norn_frame *f, size_t row);

/* Read a frame of n_rows rows whose fields the schema describes; NULL on error. */
MUST_CHECK struct norn_frame *frame_read_csv(struct csv_reader *r, const json_t *schema,
					     size_t n_rows, struct err *e);

/* Rows of b below those of a; both must have the same fields. New frame; NULL on error. */
MUST_CHECK struct norn_frame *frame_stack(const struct norn_frame *a, const struct norn_frame *b,
					  struct err *e);

/* SHA-256 over the sample ids in order: equal at parties whose rows are aligned. */
MUST_CHECK bool frame_ids_hash(const struct norn_frame *f, unsigned char out[32], struct err *e);

/* Row numbers with a duplicated id, from 1; false when there is none. */
bool frame_find_duplicate(char *const *ids, size_t n, size_t *first, size_t *second);

#endif
