/* Loops over independent items on several threads. */
#ifndef NORN_COMPONENT_PAR_H
#define NORN_COMPONENT_PAR_H

#include "base/err.h"
#include <stddef.h>

/*
 * Calls fn(arg, from, to, e) for pieces that cover 0..n, on at most `threads` threads including
 * the caller's. After a failure no new piece starts; the first error is returned.
 */
typedef bool par_fn(void *arg, size_t from, size_t to, struct err *e);
MUST_CHECK bool par_for(size_t n, unsigned threads, par_fn *fn, void *arg, struct err *e);

#endif
