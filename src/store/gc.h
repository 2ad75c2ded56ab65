/*
 * What jobs leave behind, and getting rid of it: rows first, in one transaction that marks the
 * directories in norn.gc_dir; then these, entry by entry in small portions of the event loop. A
 * node that dies in between leaves the marks, and the next clean-up goes on from them. Models and
 * tables with a name of their own stay.
 */
#ifndef NORN_STORE_GC_H
#define NORN_STORE_GC_H

#include "base/err.h"
#include "store/node.h"
#include <jansson.h>

#define GC_JOBS_MAX 10000 /* of one call */

struct gc_opts {
	int64_t keep_days;   /* jobs that ended longer ago go; negative: no job does */
	int64_t events_days; /* the history older than this goes, in whole days; 0: none does */
	int64_t limit;       /* jobs, at most GC_JOBS_MAX */
	bool dry_run;
};

struct gc_result {
	struct err error; /* code ERR_OK: none; what was done before it counts below */
	int64_t n_jobs;
	int64_t bytes;      /* in files */
	bool more;          /* there are more jobs than limit */
	json_t *jobs;       /* [{job_id, end_ms}], with bytes in a dry run; borrowed */
	json_t *partitions; /* names; borrowed */
};
typedef void gc_cb(const struct gc_result *r, void *arg);

/* cb is called once, never from inside. One at a time: a second one while it runs gets
 * ERR_CONFLICT. */
void gc_run(struct node *n, const struct gc_opts *opts, gc_cb *cb, void *arg);
/* Only goes on with marked directories, when nothing does already; nobody is told. */
void gc_sweep(struct node *n);
/* "file://<data directory>/", appended: what URIs of artifacts start with. */
void gc_data_uri(const struct node *n, struct buf *out);

#endif
