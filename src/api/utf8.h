/* Text of unknown origin as UTF-8. */
#ifndef NORN_API_UTF8_H
#define NORN_API_UTF8_H

#include "base/buf.h"
#include <stdbool.h>

/*
 * Appends data to out; bytes that are no UTF-8, and NUL, become U+FFFD. Returns how many bytes were
 * taken: all, or when not final, all but a character at the end that is cut off.
 */
size_t utf8_clean(struct buf *out, const char *data, size_t len, bool final);

#endif
