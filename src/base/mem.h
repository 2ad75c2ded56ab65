/*
 * Allocation that cannot fail: out of memory on a small allocation ends the program with a
 * message. Anything whose size a client chooses is bounded before it is allocated.
 */
#ifndef NORN_BASE_MEM_H
#define NORN_BASE_MEM_H

#include "base/attr.h"

void *mem_alloc(size_t size);                     /* not cleared */
void *mem_zalloc(size_t size);                    /* cleared */
void *mem_array(size_t n, size_t size);           /* cleared, overflow-checked */
void *mem_resize(void *p, size_t n, size_t size); /* like reallocarray, new part not cleared */
char *mem_strdup(const char *s);                  /* NULL gives NULL */
char *mem_strndup(const char *s, size_t n);
char *mem_printf(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
