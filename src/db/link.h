/*
 * One libpq connection on the event loop: connects without blocking, prepares the session, watches
 * the socket, and connects again, with growing pauses, whenever it breaks. The pool and the
 * listener put their protocols on top of it.
 */
#ifndef NORN_DB_LINK_H
#define NORN_DB_LINK_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include <event2/event.h>
#include <libpq-fe.h>
#include <stdbool.h>

/* What to connect to; shared by the links of one struct db. */
struct link_target {
	char **keywords; /* for PQconnectStartParams, NULL at the end */
	char **values;
	int n;
	int n_hosts;
	int connect_timeout_ms; /* for a whole attempt */
	int statement_timeout_ms;
};

/* Adds keep-alive settings where the user gave none, so that a dead host is noticed within seconds.
 */
MUST_CHECK bool link_target_parse(struct link_target *t, const char *conninfo,
				  const char *application_name, struct err *e);
void link_target_free(struct link_target *t);

enum link_state { LINK_CLOSED, LINK_WAITING, LINK_CONNECTING, LINK_SETUP, LINK_UP };

struct link;

struct link_ops {
	void (*up)(struct link *l);       /* the session is ready */
	void (*readable)(struct link *l); /* input was consumed; results may be there */
	void (*down)(struct link *l,
		     const char *reason); /* an up link broke; pg is still there to drain */
};

struct link {
	struct event_base *base;
	const struct link_target *target;
	const struct link_ops *ops;
	void *owner;
	PGconn *pg;
	enum link_state state;
	struct event *rd, *wr; /* of the socket; NULL when not connected */
	struct event *timer;   /* pause before an attempt, or the time limit of one */
	int failures;          /* in a row */
	int timeouts;          /* in a row; picks the host to try first */
	char *last_error;      /* "" when up */
};

void link_init(struct link *l, struct event_base *base, const struct link_target *t,
	       const struct link_ops *ops, void *owner);
void link_start(struct link *l);
/* Closes for good, without calling back. */
void link_close(struct link *l);
/* Drops the connection: ops->down when it was up, and a new attempt later. */
void link_fail(struct link *l, const char *reason);
/* Sends what libpq has buffered, now and when the socket takes it. False: the link has failed. */
MUST_CHECK bool link_flush(struct link *l);

#endif
