/*
 * The executor of a node: claims runs under the node's lease, starts their processes, supervises
 * them, and records how they ended. It knows nothing of other sites.
 */
#ifndef NORN_EXEC_EXEC_H
#define NORN_EXEC_EXEC_H

#include "store/node.h"

void exec_start(struct node *n); /* sets n->exec and registers for WAKE_EXEC */
void exec_stop(struct node *n);  /* no new claims */
int exec_running(const struct node *n);
/* A component of this node says that it has failed: its run ends so, even when its process ends
 * with 0. Unknown runs are ignored. */
void exec_said_failed(struct node *n, int64_t run_no, const char *error);
/* The node has lost its lease: others have given its runs up, so the processes must not go on. */
void exec_lease_lost(struct node *n);
/* On the way out: processes get SIGTERM; call until exec_running() is 0. */
void exec_kill_all(struct node *n);
void exec_free(struct node *n);

#endif
