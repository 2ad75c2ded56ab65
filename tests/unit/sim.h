/*
 * A deterministic simulation of scheduling: the real planner, and models in memory of the rows,
 * schedulers, parties, executors and messages around it. Everything happens in steps of one event
 * loop under one seed. A step is what one transaction does; between steps anything else may happen.
 * The models follow the SQL functions of the same names.
 */
#ifndef NORN_TESTS_UNIT_SIM_H
#define NORN_TESTS_UNIT_SIM_H

#include "base/attr.h"
#include "plan/plan.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	MAX_JOBS = 3,
	MAX_TASKS = 10,
	MAX_PARTIES = 4,
	MAX_SITES = 4,
	MAX_SCHEDS = 3,
	MAX_NODES = 3, /* of a site */
	MAX_ATTEMPTS = 24,
	MAX_MESSAGES = 512,
	NEVER = 0,
	SCHEDULER = -1, /* the destination of reports */
	SITE_SCHED = 0, /* the site whose database has the jobs */
};

#define LEASE_MS   2000
#define TIMEOUT_MS 1000 /* of a call to another site */
#define FLIGHT_MS  2500 /* how long a request may be under way */
#define CREATE_MS  8000 /* how long a creation is tried */

/* ---- the scheduler's rows ---- */

struct sim_tp { /* task_party */
	bool exists;
	bool final;
	bool node_lost;
	bool no_retry;
	enum status st;
};

struct sim_task {
	enum status st;
	int attempt;
	int deps_left;
	int retries_left;
	int rescues;
	int64_t retry_at;
	int n_parties;
	int party[MAX_PARTIES];
	int cores[MAX_PARTIES];
	int64_t mark; /* of the task_work row; 0: none */
};

struct sim_work { /* job_work */
	bool exists;
	bool blocked;
	int64_t due;
	int64_t lease_no;
	int64_t lease_until; /* 0: nobody's */
	int64_t poke;
};

struct sim_job {
	enum status st;
	enum status stop;
	int64_t version;
	struct status_counts counts;
	int progress;
	int reserve_tries;
	int64_t deadline;
	int n_tasks;
	enum plan_create create[MAX_PARTIES];
	enum plan_reserve reserve[MAX_PARTIES];
	int cores[MAX_PARTIES];
	bool edge[MAX_TASKS][MAX_TASKS]; /* parent, child */
	struct sim_task task[MAX_TASKS];
	struct sim_tp tp[MAX_TASKS][MAX_ATTEMPTS][MAX_PARTIES];
	struct sim_work work;
};

/* ---- a party's rows ---- */

struct sim_run { /* party_task and its run_work */
	bool exists;
	bool queued;      /* the run_work row is there */
	int node;         /* of the run_work row; -1: waits for an executor */
	int64_t lease;    /* of the claim */
	enum status stop; /* ST_COUNT: none */
	enum status st;
	enum status party_st;
	int starts; /* processes ever started */
};

struct sim_pjob { /* party_job and its reservation */
	bool exists;
	bool reserved;
	enum status st;
	int64_t expires; /* of the reservation; 0: never */
	struct sim_run run[MAX_TASKS][MAX_ATTEMPTS];
};

/* ---- messages ---- */

enum sim_command {
	C_CREATE,
	C_RESERVE,
	C_RELEASE,
	C_JOB_START,
	C_JOB_FINISH,
	C_TASK_START,
	C_TASK_STOP,
	C_REPORT,
};

struct sim_msg { /* outbox */
	bool exists;
	int64_t no;
	int site; /* whose outbox */
	int job;
	int dest; /* party, or SCHEDULER */
	enum sim_command command;
	int task;
	int attempt;
	int party; /* C_REPORT: whose */
	enum status st;
	bool node_lost, no_retry;
	int64_t due;
	int64_t give_up; /* 0: never */
	int tries;
	bool waiting; /* for an answer to this try */
};

enum sim_answer { A_OK, A_REFUSED, A_NEVER };

/* ---- who acts ---- */

struct sim_cycle { /* what a scheduler has claimed and loaded */
	int job;
	int64_t lease_no, poke, version;
	int64_t now;
	struct sim_job seen; /* the rows as they were read, at three different moments */
};

struct sim_sched {
	bool busy;
	int epoch; /* steps of an earlier one are void: it has died */
	struct sim_cycle c;
};

struct sim_node {
	int id; /* new with every life; -1 dead */
	int64_t seen;
	bool frozen;
};

struct sim_dead { /* nodes that may still own runs */
	int id;
	int64_t seen;
};

enum sim_link { LINK_UP, LINK_DOWN, LINK_DEAF /* requests arrive, answers do not */ };

struct sim {
	uint64_t seed, rng;
	int64_t now;
	bool calm;  /* no more faults */
	bool trace; /* print every line */
	bool dirty; /* rows changed since the last check */
	int n_jobs, n_parties, n_sites, n_scheds, n_nodes;
	int loss, delay; /* percent of messages lost; usual delay in ms */
	int deaths;      /* of nodes, in percent of their ticks */
	bool cuts;       /* sites are cut off now and then */
	enum sim_link link[MAX_SITES];
	int site_of[MAX_PARTIES];
	int capacity[MAX_SITES];
	int64_t lease_seq, mark_seq, msg_seq;
	int node_seq;
	struct sim_job job[MAX_JOBS];
	struct sim_pjob pj[MAX_JOBS][MAX_PARTIES];
	struct sim_msg msg[MAX_MESSAGES];
	struct sim_sched sched[MAX_SCHEDS];
	struct sim_node node[MAX_SITES][MAX_NODES];
	struct sim_job before[MAX_JOBS]; /* as of the last check */
	/* what happened, to know that the faults were not idle */
	int64_t n_steps, n_stale, n_lost_runs, n_refused, n_dup;
};
extern struct sim *sim;
extern const struct plan_policy sim_policy;

/* test_plan_sim.c */
void sim_say(const char *fmt, ...) PRINTF_LIKE(1, 2);
void sim_fail(const char *fmt, ...) PRINTF_LIKE(1, 2) NORETURN;
uint32_t sim_rand(uint32_t n); /* 0 .. n-1 */
bool sim_chance(int percent);  /* of a fault: never when calm */

/* sim_sched.c: what runs in the scheduler's database */
void sim_submit(int j);
bool sim_stop(int j, enum status st);
void sim_poke(int j);
void sim_wake_blocked(bool brief); /* brief: what was given back had not been used */
bool sim_task_report(int j, int t, int attempt, int party, enum status st, bool node_lost,
		     bool no_retry);
void sim_created(int j, int party, bool ok);
void sim_reserved(int j, int party, enum plan_reserve r);
bool sim_claim(int s);
void sim_load(int s, int stage); /* 0 job and parties, 1 tasks, 2 reports */
void sim_apply(int s);

/* sim_party.c: what runs in a party's database */
void sim_party_create(int j, int p);
enum sim_answer sim_party_reserve(int j, int p);
void sim_party_release(int j, int p, bool wake);
bool sim_party_job_start(int j, int p);
bool sim_party_task_start(int j, int t, int attempt, int p);
void sim_party_task_finish(int j, int t, int attempt, int p, enum status st);
void sim_party_job_finish(int j, int p, enum status st);
bool sim_run_claim(int j, int t, int attempt, int p, int node);
bool sim_run_finish(int j, int t, int attempt, int p, int64_t lease, enum status st, bool node_lost,
		    bool no_retry);
void sim_post(const struct sim_msg *m); /* into the outbox */

/* sim_world.c: time, the network, nodes */
void sim_world(void); /* one whole run */

/* sim_check.c */
void sim_check_step(void);
void sim_check_end(void);
bool sim_all_over(void);

#endif
