/*
 * What the tests of the SQL functions share: sessions, jobs, and the steps of schedulers and
 * executors, one statement after the other, so that a test can put anything between them.
 */
#ifndef NORN_TESTS_SQL_FN_H
#define NORN_TESTS_SQL_FN_H

#include "dbtest.h"
#include "base/attr.h"
#include <stdbool.h>
#include <stdint.h>
#include <check.h>

#define N_SESSIONS 8
extern PGconn *fn_session[N_SESSIONS];
/* The first four by short names. */
#define A fn_session[0]
#define B fn_session[1]
#define C fn_session[2]
#define D fn_session[3]

void fn_migrate(void); /* once a program */
void fn_open(void);    /* empty tables, an engine of 8 cores, a node n1, and all sessions */
void fn_close(void);
/* Runs the suite in this process, which its cases share a database through; the exit status. */
int fn_run(Suite *s);

/* One statement; fails the test when it fails. */
void fn_do(PGconn *pg, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The first column of the only row; -1 for null or no row. */
int64_t fn_int(PGconn *pg, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The same as text, "" for null, good until the next call. */
const char *fn_text(PGconn *pg, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The statement must fail with this SQLSTATE. */
void fn_refused(PGconn *pg, const char *sqlstate, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Sends without waiting; fn_waits: it stands in line for a lock; fn_done: its result, SQLSTATE ""
 * when good. */
void fn_send(PGconn *pg, const char *fmt, ...) PRINTF_LIKE(2, 3);
void fn_waits(PGconn *pg);
const char *fn_done(PGconn *pg, int64_t *first_column);

/* A statement of sql/queries with text parameters, NULL being null. Its rows go to the caller. */
PGresult *fn_stmt(PGconn *pg, enum db_stmt stmt, int n, const char *const *params);

struct fn_job {
	const char *id;
	const char *edges; /* "0>1,0>2", over n_tasks tasks t0, t1 ...; NULL none */
	int n_tasks;       /* 0 counts as 1 */
	int n_parties;     /* guest 9999, host 9998, ...; 0 counts as 1 */
	int n_remote;      /* the last ones are of other sites */
	int cores;         /* of each party */
	int64_t age_ms;    /* submitted that long ago, for the queue */
	const char *key;   /* idempotency */
};
/* A call of norn.job_submit; the caller frees. */
char *fn_submit_text(const struct fn_job *j);
int64_t fn_submit(PGconn *pg, const struct fn_job *j); /* its job_no */

/* ---- a scheduler's cycle on one job, taken apart ---- */

struct fn_cycle {
	int64_t job_no, lease_no, poke, version;
};
/* Claims up to n jobs, returns how many. */
int fn_claim(PGconn *pg, int n, int lease_ms, struct fn_cycle *out);
void fn_load(PGconn *pg, struct fn_cycle *c); /* the version */
/* The guard; to NULL: no new status. Returns whether the job is this scheduler's. Within the
 * caller's transaction. */
bool fn_guard(PGconn *pg, const struct fn_cycle *c, const char *to);
/* due_ms < 0: null. Returns whether it is due again at once. */
bool fn_leave(PGconn *pg, const struct fn_cycle *c, int64_t due_ms, bool blocked);

/* Whole steps, each in a transaction of its own. */
void fn_reserve(PGconn *pg, int64_t job_no);   /* and leaves it blocked */
/* One party is asked for resources, and looked at again in an hour. */
void fn_ask(PGconn *pg, int64_t job_no, int party_no);
void fn_start_job(PGconn *pg, int64_t job_no); /* reserved before */
void fn_start_task(PGconn *pg, int64_t job_no, int task, int attempt);
void fn_end_task(PGconn *pg, int64_t job_no, int task, int attempt, const char *status, bool retry);
void fn_end_job(PGconn *pg, int64_t job_no, const char *status);
/* Submits a job, reserves, starts it and its first n tasks. */
int64_t fn_running_job(PGconn *pg, const struct fn_job *j, int n_started);

/* ---- an executor ---- */

/* Claims one run for a node; its number, or -1. */
int64_t fn_run_claim(PGconn *pg, const char *node, int64_t *lease_no);
/* The text of a call to run_finish. */
const char *fn_finish_sql(int64_t run_no, int64_t lease_no, const char *status);

#endif
