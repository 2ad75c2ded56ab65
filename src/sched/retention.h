/* What is older than the site wants to keep goes, hourly, by whichever node comes first. */
#ifndef NORN_SCHED_RETENTION_H
#define NORN_SCHED_RETENTION_H

#include "store/node.h"

/* Asks whether it is time, and does it; returns at once. */
void retention_look(struct node *n);

#endif
