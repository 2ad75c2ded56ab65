/*
 * A cgroup v2 directory of one component, a child of a delegated one. Everything here is best
 * effort: on a machine without such a directory nothing happens. Only libc is used.
 */
#ifndef NORN_EXEC_CGROUP_H
#define NORN_EXEC_CGROUP_H

#include "base/attr.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup {
	int parent_fd; /* -1: there is none */
	int dir_fd;
	int procs_fd;  /* cgroup.procs, where a process enters by writing "0" */
	char name[32]; /* inside the parent */
};
#define CGROUP_NONE                                                                                \
	{                                                                                          \
		.parent_fd = -1, .dir_fd = -1, .procs_fd = -1                                      \
	}

/* Makes "norn-<owner>" in parent_dir; owner is the supervisor. memory_max 0: no limit. */
void cgroup_make(struct cgroup *g, const char *parent_dir, pid_t owner, int64_t memory_max);
/* Opens the one a supervisor has left behind. */
void cgroup_open(struct cgroup *g, const char *parent_dir, pid_t owner);
/* For the process that enters: async-signal-safe. */
void cgroup_enter(const struct cgroup *g);
void cgroup_kill(const struct cgroup *g);
/* The kernel has killed a process in it for want of memory. */
bool cgroup_had_oom(const struct cgroup *g);
/* Removes the directory, which must be empty of processes, and closes. */
void cgroup_remove(struct cgroup *g);

#endif
