/*
 * CSV as in RFC 4180, read record by record from a stream. Records end with LF, CRLF or the end of
 * the file; a quoted field may hold delimiters, doubled quotes and line ends; a UTF-8 byte order
 * mark at the start is dropped; empty lines are skipped. Everything else that is not well formed
 * is an error naming the line: a quote inside an unquoted field, text after a closing quote, an
 * unterminated quote, a NUL, text that is not UTF-8, a field or a record that is too long.
 */
#ifndef NORN_COMPONENT_CSV_H
#define NORN_COMPONENT_CSV_H

#include "base/buf.h"
#include "base/err.h"
#include <stdint.h>
#include <stdio.h>

#define CSV_FIELD_MAX  (1024 * 1024) /* bytes */
#define CSV_FIELDS_MAX 65536
#define CSV_RECORD_MAX (64 * 1024 * 1024) /* bytes */

struct csv_reader {
	FILE *in; /* not owned */
	char delimiter;
	int64_t line; /* where the last record started, from 1 */
	int64_t next_line;
	bool started;
	int pushed[3]; /* characters put back, last first */
	int n_pushed;
	struct buf text; /* the fields of the last record, each followed by a NUL */
	size_t *offsets; /* of the fields in text */
	size_t n_fields, cap_fields;
};

/* delimiter: any ASCII character but a quote, CR, LF and NUL. */
MUST_CHECK bool csv_reader_init(struct csv_reader *r, FILE *in, char delimiter, struct err *e);
void csv_reader_free(struct csv_reader *r);

enum csv_result { CSV_RECORD, CSV_END, CSV_ERROR };
enum csv_result csv_read(struct csv_reader *r, struct err *e);

/* A field of the last record, valid until the next csv_read(). */
const char *csv_field(const struct csv_reader *r, size_t i);

/* Append one field, quoted when needed. */
void csv_add(struct buf *out, const char *field, char delimiter);

#endif
