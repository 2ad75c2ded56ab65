/*
 * The supervisor between a node and one component process, the whole of the program norn-run. It
 * starts the component in a session of its own, keeps its two logs, enforces its limits, and ends
 * only when no descendant is left: as child subreaper it inherits whatever the component orphans.
 * It ends the component when the node's end of the socket closes. One thread, one loop, libc only.
 *
 * It begins in one of two ways. A node executes it for one run:
 *
 *	PROGRAM SOCKET_FD SPEC_FD [TEXT-FOR-PS]
 *
 * or it executes it once, as a spawner, and has it fork a supervisor for each run: what a program
 * does between exec and main() costs more than all that a supervisor does itself.
 *
 *	PROGRAM --serve CONTROL_FD [PADDING]
 *
 * The spawner's supervisors are children of the node (CLONE_PARENT), just as if it had executed
 * them. A program that is a component itself may supervise itself: it is then forked, not executed.
 */
#ifndef NORN_EXEC_SUPERVISE_H
#define NORN_EXEC_SUPERVISE_H

#include "base/err.h"

#define SUPERVISE_SERVE "--serve"

/* The component that the supervising program is itself, or NULL. Called in a process of its own. */
typedef int supervise_main_fn(int argc, char **argv);

/* The whole program; returns its exit status after a wrong call only. */
int supervise_main(int argc, char **argv, supervise_main_fn *own);
/* A supervisor; sock and spec as in src/exec/wire.h. forked: the node must be told its pid. */
NORETURN void supervise(int sock, int spec, bool forked, supervise_main_fn *own);

/* Closes from..to, both included. */
void supervise_close_fds(unsigned from, unsigned to);

#endif
