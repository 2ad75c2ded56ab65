/*
 * Where metrics go: each record is posted at once to an http:// URI, or all are kept and written as
 * one JSON list to a file:// URI when the task ends (steps of one name and group joined).
 */
#ifndef NORN_COMPONENT_METRICS_H
#define NORN_COMPONENT_METRICS_H

#include "base/err.h"
#include <jansson.h>

struct metrics;

/* token may be NULL. */
MUST_CHECK struct metrics *metrics_open(const char *uri, const char *token, struct err *e);
/* record is stolen. Failures to deliver are warned about on standard error. */
void metrics_add(struct metrics *m, json_t *record);
/* Writes the file. */
MUST_CHECK bool metrics_flush(struct metrics *m, struct err *e);
void metrics_free(struct metrics *m); /* NULL is allowed */

/* {name, type, groups: [default, groups...], step_axis, data}; data is stolen. type may be NULL. */
json_t *metrics_record(const char *name, const char *type, const char *const *groups,
		       size_t n_groups, const char *axis, json_t *data);

#endif
