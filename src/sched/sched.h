/*
 * The scheduler of a node: claims jobs that are due, loads what the planner needs, plans, and
 * writes the effects in one transaction tied to each job's version and lease. Any number of them
 * work on one database. Tickless: it sleeps until the next job is due or somebody wakes it.
 */
#ifndef NORN_SCHED_SCHED_H
#define NORN_SCHED_SCHED_H

#include "store/node.h"

void sched_start(struct node *n); /* sets n->sched and registers for WAKE_SCHED */
void sched_stop(struct node *n);  /* no new claims; a cycle on its way still ends */
void sched_free(struct node *n);

#endif
