/*
 * Work that reads or writes many files, away from the event loop: a thread does it, and what comes
 * after it happens on the loop again. The work must touch nothing that the loop uses meanwhile:
 * neither requests, nor the database, nor the log.
 */
#ifndef NORN_STORE_OFFLOAD_H
#define NORN_STORE_OFFLOAD_H

#include <event2/event.h>

/* Each kind has threads of its own, so that what is short never waits for what is long. */
enum offload_kind {
	OFFLOAD_LOGS,    /* at most 4 at once */
	OFFLOAD_EXPORTS, /* 2 */
	OFFLOAD_IMPORTS, /* 1: one may take much memory */
	OFFLOAD_N_KINDS
};

/* work runs in a thread, others of its kind wait when there are too many; then done runs on the
 * loop, never from inside this call. */
void offload(struct event_base *base, enum offload_kind kind, void (*work)(void *arg),
	     void (*done)(void *arg), void *arg);
/* Threads that are still at work, or whose end the loop has not heard of. */
int offload_running(void);

#endif
