/*
 * The node's end of a spawner (src/exec/supervise.h): a process that forks supervisors. It is
 * started when the first is wanted and anew when it has ended. Nothing here waits: while the
 * spawner cannot serve, the caller executes a supervisor by itself.
 */
#ifndef NORN_EXEC_SPAWNER_H
#define NORN_EXEC_SPAWNER_H

#include "base/err.h"

struct spawner;

/* path: a program that supervises, as norn-run. Whether it does turns out when it runs. */
struct spawner *spawner_new(const char *path);
/* What it has started goes on. NULL is nothing. */
void spawner_free(struct spawner *s);
/* Whether it serves. Starts it when it is not there. */
bool spawner_serves(struct spawner *s);
/*
 * Has a supervisor forked with these descriptors, which stay the caller's. False: it cannot, now.
 * True: sock gets WIRE_BORN, or WIRE_FAILED, or closes without either because the spawner has died.
 */
MUST_CHECK bool spawner_send(struct spawner *s, int sock, int spec_fd);
/* A component may have suspended it, being of the same user. */
void spawner_wake(const struct spawner *s);
/* Gives up one that hangs. The sockets of the runs that it was sent and did not begin close, and no
 * other one is started for a minute. */
void spawner_kill(struct spawner *s);

#endif
