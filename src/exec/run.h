/* One run: an attempt of a task at one party, from the claim to the end of its process. */
#ifndef NORN_EXEC_RUN_H
#define NORN_EXEC_RUN_H

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "exec/launch.h"
#include "party/channel.h"
#include "store/node.h"
#include "store/phases.h"
#include <jansson.h>
#include <sys/queue.h>

struct exec;

/* Names for run_file(). Both are written in place: nobody reads one before it is complete. */
#define RUN_CONFIG "task_parameters.json"
#define RUN_RESULT "task_result.json"

enum run_state {
	RUN_PREPARING, /* inputs are looked up */
	RUN_RUNNING,   /* the process is there */
	RUN_RECORDING, /* it has ended; the result is being written */
};

struct run {
	LIST_ENTRY(run) next;
	struct exec *exec;
	struct node *node;
	enum run_state state;
	int64_t run_no, lease_no;
	char *job_id, *task_name, *role, *party_id, *component, *provider, *model_id,
	    *model_version;
	int attempt;
	int64_t timeout_s;
	int cores, memory_mb, partitions;
	json_t *config;  /* dag_party_task() */
	json_t *parties; /* of the task: [{role, party_id: [..]}] */
	json_t *provider_metadata;
	json_t *desc; /* of the component, may be NULL */
	char *execution_id;
	char *work_dir, *log_dir;
	char token[65];
	char stop_status[16]; /* "" unless it is to be stopped */
	struct launch *launch;
	int64_t step_us; /* monotonic: when the last step of its way was done */
	pid_t pid;
	struct event *pid_timer; /* writes pid and argv when the run lasts */
	json_t *argv;
	STAILQ_ENTRY(run) ending; /* of exec's queue of ends, finish.c */
	int tries;                /* of recording the end */
	int claim_at;             /* in the batch of its end: see outbox_claim_add() */
	bool away;                /* its scheduler is at another site, and hears by messages */
	/* the end, kept until it is recorded */
	char end_status[16];
	const char *end_reason;
	bool node_lost; /* its node went away, not the component wrong: another attempt is free */
	bool has_exit;
	int exit_code, signal;
	char *said_failed; /* why, as the component said over the worker API; NULL: it did not */
	struct buf error, tail;
	int64_t user_ms, sys_ms, max_rss_kb;
	json_t *result; /* of the component, or NULL */
};

/* From a row of run_claim (statement 1); token: the task token whose hash the claim brought. */
struct run *run_new(struct exec *x, struct node *n, const struct db_result *r, int row,
		    const char *token);
void run_free(struct run *r);
char *run_file(const struct run *r, const char *name); /* its path; caller frees */
struct log_ctx run_ctx(const struct run *r);
void run_step(struct run *r, enum phase done); /* a step of its way is over */
/* Looks up inputs, writes the configuration, starts the process. */
void run_prepare(struct run *r);
/* status: the wish of the scheduler. */
void run_stop(struct run *r, const char *status);
/* The run is over: writes status, outputs and report in one transaction, then run_over(). */
void run_end(struct run *r, const char *status, const char *reason);
void run_over(struct run *r); /* exec.c: removes and frees it */

/* finish.c: ends wait here for their turn: those that left nothing are recorded in sets. */
STAILQ_HEAD(run_ends, run);
struct finish {
	struct node *node;
	struct run_ends queue;
	bool busy;
	struct event *timer;
};
void finish_init(struct finish *f, struct node *n);
void finish_free(struct finish *f);
struct finish *exec_finish(struct exec *x); /* exec.c */
/* exec.c: what forks supervisors; component: it is norn-component, which need not be executed then.
 */
struct spawner *exec_spawner(struct exec *x, bool component);
/* exec.c: there may be runs of this node in the database that it knows nothing of. */
void exec_look_for_lost(struct exec *x);

/* taskconf.c: pure. */
/* Whether the component speaks Norn's own dialect of the task protocol (doc/architecture.md,
 * Components): the built-in ones, and those of a provider with "program" or "module" in its
 * metadata. All others are taken for FATE's. */
bool run_is_native(const struct run *r);
struct run_inputs {
	json_t *outputs; /* array of rows of run_inputs */
	json_t *models;  /* array of rows of run_models, each with model_id and model_version */
	json_t *tables;  /* array of rows of run_tables */
};
/* The task configuration of component-protocol 1.6, new reference. */
MUST_CHECK json_t *taskconf_build(const struct run *r, const struct run_inputs *in, struct err *e);
/* What must be looked up: names of producer tasks, models ([id, version]), tables ([namespace,
 * name]). */
void taskconf_needs(const struct run *r, json_t *tasks, json_t *models, json_t *tables);

/* results.c: the statements that register what a successful run has left. */
MUST_CHECK bool results_add(struct run *r, struct db_batch *b, struct err *e);
/* Reads the result file; the error text of the component goes to r->error. */
bool results_read(struct run *r);

#endif
