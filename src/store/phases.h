/*
 * How long each step on the way of a task takes, as this process has seen it: histograms for
 * /metrics.
 */
#ifndef NORN_STORE_PHASES_H
#define NORN_STORE_PHASES_H

#include "base/buf.h"
#include <stdint.h>

enum phase {
	PHASE_QUEUED,   /* a job was submitted -> it has got its resources and starts */
	PHASE_RESERVED, /* resources are asked for the first time -> all parties have granted them
			 */
	PHASE_PLANNED,  /* a scheduler asks for due jobs -> what they need is written */
	PHASE_SENT,     /* the start of a task is written -> an executor has claimed the run */
	PHASE_STARTED,  /* the claim -> the component's process is there */
	PHASE_RAN,      /* the process is there -> it has ended */
	PHASE_REPORTED, /* the process has ended -> the end is recorded, and the scheduler told */
	PHASE_COUNT
};

void phase_seen(enum phase p, int64_t us); /* less than 0 counts as 0 */
/* norn_phase_seconds, a Prometheus histogram with the label phase; appended. */
void phases_print(struct buf *out);

#endif
