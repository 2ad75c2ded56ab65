/*
 * The launcher: starts a component process under its supervisor, the program norn-run, and reports
 * its end. The supervisor enforces the limits, keeps the logs, and leaves no descendant behind,
 * whatever happens to the component, to this process or to itself. Nothing here blocks.
 *
 * The first launch makes this process a child subreaper: when a supervisor is killed, its orphans
 * come to us and are killed. An orphan is told by its session: children that this process starts by
 * other means must stay in its session.
 */
#ifndef NORN_EXEC_LAUNCH_H
#define NORN_EXEC_LAUNCH_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LAUNCH_TAIL_MAX 4096

struct event_base;
struct launch;
struct spawner;

/* Borrowed during launch_start() only. A limit of 0 means no limit; negative values are refused. */
struct launch_spec {
	/* NULL-terminated. argv[0] without '/' is looked for in the PATH of env; with one, a
	 * relative path starts at cwd. */
	const char *const *argv;
	const char *const *env;  /* NULL-terminated "NAME=value"; the whole environment */
	const char *cwd;         /* NULL: "/" */
	const char *stdout_path; /* appended to, made with mode 0600; NULL: thrown away */
	const char *stderr_path; /* made when the first byte comes */
	int64_t timeout_ms;      /* of wall time, from the start */
	int64_t grace_ms;      /* between SIGTERM and SIGKILL, on a timeout or when the node dies */
	int64_t max_log_bytes; /* kept of stdout, and of stderr; the rest is dropped and counted */
	int64_t memory_max_bytes;        /* memory.max; in force only with a cgroup */
	int64_t address_space_max_bytes; /* RLIMIT_AS of each process */
	const char *run_path;            /* the program norn-run */
	struct spawner
	    *spawner; /* forks the supervisor, while it can; or NULL. Outlives the launch. */
	bool own;     /* the spawner's program is argv[0]: it need not be executed */
	const char *cgroup_dir; /* a delegated cgroup v2 directory to make a child in, or NULL */
};

struct launch_result {
	bool started;            /* the program was executed */
	bool timed_out;          /* ended because of timeout_ms */
	bool stopped;            /* ended because of launch_stop() or launch_kill() */
	bool oom;                /* the kernel killed a process of its cgroup for memory */
	int exit_code;           /* -1 when it did not exit by itself */
	int signal;              /* that ended it, or 0 */
	int64_t user_us, sys_us; /* of all its processes */
	int64_t max_rss_kb;      /* of the largest one */
	int64_t elapsed_ms;
	int64_t stdout_dropped, stderr_dropped; /* bytes not kept in the files */
	int leftover;   /* descendants that had to be killed besides the component itself */
	int unkillable; /* descendants left alive because they run as another user */
	char stderr_tail[LAUNCH_TAIL_MAX]; /* raw bytes, not terminated */
	size_t stderr_tail_len;
	struct err error; /* ERR_OK unless the start failed or the supervisor was lost */
};

/* pid is the component's, which is also its session and its first process group. */
typedef void launch_started_cb(pid_t pid, void *arg);
/* The launch is freed when this returns; result lives as long as the call. */
typedef void launch_exit_cb(const struct launch_result *result, void *arg);

/*
 * Unless NULL is returned, on_exit (required) is called exactly once, from the event loop, and
 * never from inside a function of this header; on_started (may be NULL) at most once before it. A
 * program that cannot be executed is reported to on_exit: started is false, error says why.
 */
MUST_CHECK struct launch *launch_start(struct event_base *base, const struct launch_spec *spec,
				       launch_started_cb *on_started, launch_exit_cb *on_exit,
				       void *arg, struct err *e);
/* SIGTERM to the component's process group, SIGKILL to every descendant left after grace_ms.
 * May be called again to shorten the grace. */
void launch_stop(struct launch *l, int64_t grace_ms);
/* SIGKILL to every descendant now. */
void launch_kill(struct launch *l);

#endif
