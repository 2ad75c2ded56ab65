/*
 * Work that reads or writes many files, away from the event loop: a thread does it, and what comes
 * after it happens on the loop again. The work must touch nothing that the loop uses meanwhile:
 * neither requests, nor the database, nor the log.
 */
#ifndef NORN_STORE_OFFLOAD_H
#define NORN_STORE_OFFLOAD_H

#include <event2/event.h>

/* work runs in a thread, at most OFFLOAD_MAX at once, others wait; then done runs on the loop,
 * never from inside this call. */
#define OFFLOAD_MAX 4
void offload(struct event_base *base, void (*work)(void *arg), void (*done)(void *arg), void *arg);
/* Threads that are still at work, or whose end the loop has not heard of. */
int offload_running(void);

#endif
