/*
 * Walking through a directory tree on the event loop, a portion at a time: counting what it holds,
 * or removing it. Links are not followed.
 */
#ifndef NORN_STORE_TREE_H
#define NORN_STORE_TREE_H

#include "base/err.h"
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

/* bytes in regular files; e NULL: no error. A tree that is not there is empty. */
typedef void tree_cb(int64_t bytes, const struct err *e, void *arg);

/* cb is called once, never from inside. */
void tree_walk(struct event_base *base, const char *path, bool remove, tree_cb *cb, void *arg);

#endif
