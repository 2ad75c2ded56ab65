/*
 * Host names to addresses without blocking the event loop: getaddrinfo() runs on a thread that
 * lives for one look-up and touches nothing but it. Numeric addresses are answered without a
 * thread.
 */
#ifndef NORN_NET_HTTP_RESOLVE_H
#define NORN_NET_HTTP_RESOLVE_H

#include "base/err.h"
#include <event2/event.h>
#include <netdb.h>

struct resolver;
struct lookup;

/* list is the callback's to keep: freeaddrinfo(). NULL on failure, then e says why. */
typedef void resolve_cb(struct addrinfo *list, const struct err *e, void *arg);

MUST_CHECK struct resolver *resolver_new(struct event_base *base, struct err *e);
void resolver_free(struct resolver *r); /* callbacks that are due never come */

/* For a numeric address, at once: the addresses. NULL: not numeric, use resolver_start(). */
struct addrinfo *resolver_numeric(const char *host, const char *port);
/* Calls back once from the event loop. NULL when it cannot be started; then cb never comes. */
MUST_CHECK struct lookup *resolver_start(struct resolver *r, const char *host, const char *port,
					 resolve_cb *cb, void *arg, struct err *e);
void resolver_cancel(struct lookup *l); /* cb never comes */

#endif
