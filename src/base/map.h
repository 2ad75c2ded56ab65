/* A hash map from strings to pointers (keys are copied; values are not owned). */
#ifndef NORN_BASE_MAP_H
#define NORN_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

struct map; /* opaque */

struct map *map_new(void);
void map_free(struct map *m, void (*free_value)(void *)); /* free_value may be NULL */
void *map_get(const struct map *m, const char *key);      /* NULL when absent */
void *map_set(struct map *m, const char *key,
	      void *value);                    /* returns the value replaced, or NULL */
void *map_del(struct map *m, const char *key); /* returns the value removed, or NULL */
size_t map_count(const struct map *m);
/* Calls fn for each entry; fn returns false to stop. The map must not change meanwhile. */
void map_each(const struct map *m, bool (*fn)(const char *key, void *value, void *arg), void *arg);

#endif
