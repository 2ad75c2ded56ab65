/* One batch of claimed jobs on its way: rows to plan_job structs (load.c), effects to statements
 * (apply.c). */
#ifndef NORN_SCHED_CYCLE_H
#define NORN_SCHED_CYCLE_H

#include "db/db.h"
#include "plan/plan.h"
#include "store/node_conf.h"
#include <stdbool.h>
#include <stdint.h>

struct cycle_task {
	int64_t mark; /* of its task_work row; -1: none */
	enum status was;
	int attempt_was;
	int deps_were;
};

struct cycle_job {
	int64_t job_no;
	int64_t lease_no;
	int64_t poke;
	int rank; /* place in the claim, which is in the order of the queue */
	bool loaded;
	bool more_tasks; /* that need attention than were loaded */
	char job_id[65];
	int64_t version;
	int64_t now_ms;    /* the database's clock at loading */
	int64_t queued_ms; /* since it was submitted; -1: it was run again */
	int64_t asked_ms;  /* since its resources were first asked for; -1: they were not */
	struct plan_job plan;
	struct cycle_task *tasks; /* beside plan.tasks */
	struct plan_result result;
	enum status was;
};

struct cycle {
	int n_jobs;
	struct cycle_job *jobs; /* ascending job_no */
	int *order;             /* indexes of jobs by rank */
};

/* From the answer of sched_claim (statement k). */
struct cycle *cycle_claimed(const struct db_result *r, int k);
void cycle_free(struct cycle *c);

/* The load statements, and their answers. */
void cycle_load_batch(const struct cycle *c, struct db_batch *b);
void cycle_loaded(struct cycle *c, const struct node_conf *conf, const struct db_result *r);

/* What the effects will wake when they are committed. */
struct cycle_wakes {
	bool exec;
	bool outbox;
	bool sched; /* resources were released */
};
/* Plans every loaded job and adds the statements; the last one is sched_leave: returns its index.
 */
int cycle_apply_batch(struct cycle *c, const struct plan_policy *policy, struct db_batch *b,
		      struct cycle_wakes *wakes);

#endif
