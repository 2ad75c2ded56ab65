/* Several parties of one task as threads of the test, with channels in memory. */
#ifndef COMP_PARTIES_H
#define COMP_PARTIES_H

#include "base/err.h"
#include "component/channel.h"

struct party {
	const char *role, *id;
	/* The party's program; runs in a thread of its own. */
	bool (*run)(struct party *self);
	void *arg;
	struct channel *ch; /* set by parties_run() */
	struct err e;       /* filled by run */
	bool ok;
};

/* Runs all and waits; true when all succeeded. A failure wakes the others, whose waits then fail.
 */
bool parties_run(struct party *p, size_t n);

/* The only suite of a test program; returns its exit status. */
#include <check.h>
int run_suite(Suite *s);

#endif
