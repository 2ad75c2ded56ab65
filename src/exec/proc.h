/* How a program is executed, and the children of this process, found through /proc. Only libc is
 * used. */
#ifndef NORN_EXEC_PROC_H
#define NORN_EXEC_PROC_H

#include "base/attr.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Executes a program in a process group of its own, with no signal blocked. It inherits the
 * descriptors fds and those that are not close-on-exec. Returns 0, or an errno value. */
MUST_CHECK int proc_spawn(const char *path, char *const argv[], char *const env[], const int *fds,
			  size_t n_fds, pid_t *pid);

/* Parent and session out of the text of /proc/PID/stat. The command name in it may hold anything.
 */
MUST_CHECK bool proc_parse_stat(const char *text, pid_t *parent, pid_t *session);

/*
 * Calls fn for each child of this process, zombies included. Only this process can reap them, so
 * their ids stay theirs meanwhile: signals sent from fn cannot hit a stranger.
 */
void proc_each_child(void (*fn)(pid_t pid, void *arg), void *arg);

/* SIGKILL to a child of this process and, in the same blow, to its process group, so that a member
 * cannot fork its way out. False when it may not be killed, being another user's. */
bool proc_kill_child(pid_t pid);

#endif
