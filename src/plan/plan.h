/*
 * The planner: what a job needs next. Pure: a snapshot and the time in, a list of effects out. It
 * looks only at tasks that need attention and at those that run, never at the whole DAG.
 */
#ifndef NORN_PLAN_PLAN_H
#define NORN_PLAN_PLAN_H

#include "plan/status.h"
#include <stdbool.h>
#include <stdint.h>

enum plan_create { CREATE_ASKED, CREATE_OK, CREATE_REFUSED };
enum plan_reserve { RESERVE_NONE, RESERVE_ASKED, RESERVE_GRANTED, RESERVE_REFUSED, RESERVE_NEVER };

struct plan_party {
	enum plan_create create;
	enum plan_reserve reserve;
	bool local; /* of the scheduler's site */
	int order; /* among the parties when they are asked one by one: the same way for all jobs */
	int cores; /* reserved for the job at this party */
	int cores_used; /* by its running tasks, without those in plan_job.tasks */
};

struct plan_task_party {
	int party; /* index into plan_job.parties */
	int cores;
	enum status status; /* as last reported for the current attempt */
	bool node_lost;     /* the run ended because its node died */
	bool no_retry;      /* ended with an exit code that is never tried again */
};

struct plan_task {
	int task_no;
	enum status status;
	int attempt;
	int deps_left;
	int retries_left;
	int rescues;         /* new attempts after lost nodes, so far */
	int64_t retry_at_ms; /* waiting for a retry: not before; 0 none */
	int n_parties;
	struct plan_task_party *parties; /* in job order */
};

/* An edge from a task in plan_job.tasks to a child, which is in plan_job.tasks too. */
struct plan_edge {
	int parent; /* indexes */
	int child;
};

struct plan_job {
	enum status status;
	enum status stop_status;     /* ST_COUNT: nobody asked to stop */
	bool suspended;              /* starts nothing new */
	struct status_counts counts; /* of all tasks, current attempts */
	int n_parties;
	struct plan_party *parties;
	int n_tasks; /* those needing attention, and waiting children of theirs */
	struct plan_task *tasks;
	int n_edges;
	struct plan_edge *edges;
	int reserve_tries; /* rounds of asking the parties; counted up by the plan */
	unsigned salt; /* differs between jobs, so that their retries do not meet again and again */
	int64_t deadline_ms; /* 0 none */
};

enum plan_kind {
	PLAN_JOB_STATUS, /* to status; an end status also ends it at every party */
	/* Ask a party for the job's resources, or all at once (party -1); due_ms is for when this
	 * site refuses at once. */
	PLAN_RESERVE,
	PLAN_RELEASE, /* give back what was granted; try again later */
	PLAN_TASK_START,
	PLAN_TASK_END,   /* federated status; stops it at every party */
	PLAN_TASK_RETRY, /* the attempt has ended with status; a new one is started at at_ms */
};

/* Why; stable codes that stand in the history. */
enum plan_reason {
	WHY_NONE,
	WHY_CREATED,
	WHY_PARTY_REFUSED,
	WHY_RESOURCES_NEVER,
	WHY_RESOURCES_REFUSED,
	WHY_RESOURCES_GRANTED,
	WHY_DEPENDENCIES_DONE,
	WHY_ALL_PARTIES_DONE,
	WHY_PARTY_ENDED,
	WHY_RETRY,
	WHY_NODE_LOST,
	WHY_STOP_REQUESTED,
	WHY_DEADLINE,
	WHY_TASKS_DONE,
	WHY_TASK_FAILED,
	WHY_SUSPENDED,
};
const char *plan_reason_name(enum plan_reason r);

struct plan_effect {
	enum plan_kind kind;
	enum plan_reason reason;
	enum status
	    status; /* PLAN_JOB_STATUS, PLAN_TASK_END, PLAN_TASK_RETRY (of the old attempt) */
	int task;   /* index into plan_job.tasks; -1 */
	int party;  /* the party that caused it, or is asked; -1 */
	int64_t at_ms;
};

struct plan_result {
	int n_effects;
	int cap;
	struct plan_effect *effects;
	struct status_counts counts; /* afterwards */
	int progress;
	int64_t due_ms; /* look again then; 0: only when something happens */
	bool blocked;   /* waits for resources */
};

struct plan_policy {
	int64_t reserve_retry_ms;     /* first wait after a refusal */
	int64_t reserve_retry_max_ms; /* doubled up to this */
	/* The same when all parties are local. A release here wakes the job, so this is only a
	 * safety net; with many jobs waiting, trying often would take the time of those that run.
	 */
	int64_t reserve_retry_local_ms;
	int64_t reserve_ttl_ms; /* how long a grant holds; asked again when it has passed */
	int64_t retry_delay_ms; /* before a new attempt of a failed task, doubled with each */
	int64_t retry_delay_max_ms;
	int max_rescues; /* new attempts of one task because of lost nodes */
};
extern const struct plan_policy plan_policy_default;

/* out is zeroed first; free with plan_result_free. job->tasks is left with the statuses after the
 * plan. */
void plan_job(struct plan_job *job, const struct plan_policy *policy, int64_t now_ms,
	      struct plan_result *out);
void plan_result_free(struct plan_result *r);

/* Whether all its parties are of the scheduler's site. */
bool plan_all_local(const struct plan_job *job);

#endif
