/* Text for people: cleaned of control bytes, measured in terminal columns, laid out in tables. */
#ifndef NORN_CLI_TEXT_H
#define NORN_CLI_TEXT_H

#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Copies without control characters (a server's text must not drive the terminal). Bytes that are
 * not UTF-8 become '?'. Caller frees. */
char *text_clean_line(const char *s);                        /* newlines and tabs become blanks */
void text_clean(struct buf *out, const char *s, size_t len); /* keeps newlines and tabs */

size_t text_width(const char *s); /* terminal columns of clean text */
/* Appends s cut to at most width columns, the last one an ellipsis when it was cut. */
void text_cut(struct buf *out, const char *s, size_t width, bool utf8);
void text_pad(struct buf *out, const char *s, size_t width); /* s, then blanks up to width */
int text_terminal_width(void); /* of standard output; 80 when unknown */
int text_terminal_height(void);

void text_elapsed(int64_t ms, char *out, size_t size); /* "" for negative ms */
/* Local time "2026-01-31 23:59:59"; "" for 0 or less. */
void text_time(int64_t wall_ms, char *out, size_t size);

/* A table: columns as wide as their widest cell; the last ones are cut to the terminal. */
struct table;
/* heads are borrowed; a head that starts with '>' makes a right-aligned column. */
struct table *table_new(const char *const *heads, size_t n_heads);
void table_free(struct table *t);
void table_cell(struct table *t, const char *text); /* the next cell, row by row; cleaned */
void table_cellf(struct table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* max_width 0: not limited. */
void table_print(const struct table *t, FILE *f, size_t max_width, bool utf8);
size_t table_rows(const struct table *t);

#endif
