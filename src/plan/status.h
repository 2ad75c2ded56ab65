/*
 * The states of jobs and tasks (FATE's names) and the legal steps between them: one table. The
 * database enforces the same table (norn.job_step_ok, norn.task_step_ok); a test compares the two.
 */
#ifndef NORN_PLAN_STATUS_H
#define NORN_PLAN_STATUS_H

#include "base/attr.h"
#include <stdbool.h>
#include <stddef.h>

/* In FATE's order of levels: an aggregate takes the lowest interrupt of a task's parties and the
 * highest of a job's tasks. */
enum status {
	ST_WAITING,
	ST_READY, /* jobs: not yet created at every party */
	ST_RUNNING,
	ST_CANCELED,
	ST_TIMEOUT,
	ST_FAILED,
	ST_PASS, /* tasks: counts as success */
	ST_SUCCESS,
	ST_COUNT
};

const char *status_name(enum status s);
MUST_CHECK bool status_parse(const char *s, enum status *out);
bool status_is_end(enum status s);
bool status_name_is_end(const char *name); /* false for what is no status */
bool status_is_interrupt(enum status s);   /* canceled, timeout, failed */
bool status_job_step_ok(enum status from, enum status to);
bool status_task_step_ok(enum status from, enum status to);

/* The federated status of a task from those of its parties (n > 0). */
enum status status_of_task(const enum status *parties, size_t n);

/* What a job's tasks amount to. */
struct status_counts {
	int waiting;
	int running;
	int canceled;
	int timeout;
	int failed;
	int success; /* and pass */
};
void status_count(struct status_counts *c, enum status s);
/* can_start: a waiting task could still be started. */
enum status status_of_job(const struct status_counts *c, bool can_start);
int status_progress(const struct status_counts *c); /* 0-100, truncated */

#endif
