/* Strings: strict number parsing, names, escaping, hex and base64. Nothing here depends on the
 * locale. */
#ifndef NORN_BASE_STR_H
#define NORN_BASE_STR_H

#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

/* Copy with truncation; always terminates; returns false when it did not fit. */
bool str_copy(char *dst, size_t size, const char *src);
bool str_eq(const char *a, const char *b); /* NULL-safe; two NULLs are equal */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

/* The whole string must be a decimal number in range. */
MUST_CHECK bool str_to_i64(const char *s, int64_t *out);
MUST_CHECK bool str_to_double(const char *s, double *out); /* finite only */

/* 1..max bytes of [A-Za-z0-9_.-], not starting with '.' or '-', no "..": safe as a path part. */
bool str_is_name(const char *s, size_t max);
bool str_is_utf8(const char *s, size_t len); /* strict: no surrogates, no overlong forms */

/* Edit distance, for "did you mean". Cost is the product of the lengths: bound them before. */
size_t str_distance(const char *a, const char *b);

/* Append s with control bytes, quotes and backslashes escaped, so that it cannot forge a log line.
 */
void str_vis(struct buf *out, const char *s, size_t len);

void str_hex(struct buf *out, const void *data, size_t len);
MUST_CHECK bool str_unhex(const char *s, struct buf *out);
void str_base64(struct buf *out, const void *data, size_t len);
MUST_CHECK bool str_unbase64(const char *s, size_t len, struct buf *out);

/* Compares in time that does not depend on the contents. */
bool str_eq_secret(const void *a, const void *b, size_t len);

/* n random bytes as 2n hex digits into out (size >= 2n+1), from the kernel. Aborts if there are
 * none. */
void str_random_hex(char *out, size_t n_bytes);

#endif
