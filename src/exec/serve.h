/* A spawner, see supervise.h: forks a supervisor for each run that the node sends. */
#ifndef NORN_EXEC_SERVE_H
#define NORN_EXEC_SERVE_H

#include "exec/supervise.h"

/*
 * control: a SOCK_SEQPACKET socket. The first packet, SERVE_HELLO, goes to the node: it serves.
 * Each packet from the node is SERVE_RUN with two descriptors, the socket and the specification of
 * a run. Ends when the node's end closes. The result is an exit status.
 */
#define SERVE_HELLO 'h'
#define SERVE_RUN   'r'
int serve(int control, supervise_main_fn *own);

#endif
