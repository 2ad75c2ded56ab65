/*
 * The regular duties of a node: its sign of life, taking over the runs of dead nodes, grants that
 * expired, the partitions of the history, and what is older than the site keeps.
 */
#ifndef NORN_SCHED_JANITOR_H
#define NORN_SCHED_JANITOR_H

#include "store/node.h"

/* Registers the node under a new id, then calls ready (again after a lost lease). */
void janitor_start(struct node *n, void (*ready)(struct node *n),
		   void (*lease_lost)(struct node *n));
/* Tells the others that this node is going; done is called when they know, or cannot be told. */
void janitor_stop(struct node *n, void (*done)(struct node *n));
void janitor_free(void);

#endif
