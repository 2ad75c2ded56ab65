/*
 * What the parts of a running node share: the event loop, the database, the connections to other
 * sites, the configuration, and the wake-ups between parts. One node a process; no part keeps state
 * that matters.
 */
#ifndef NORN_STORE_NODE_H
#define NORN_STORE_NODE_H

#include "db/db.h"
#include "net/http.h"
#include "net/tls.h"
#include "store/node_conf.h"
#include <event2/event.h>

/* Parts that sleep until there is work. */
enum node_wake {
	WAKE_SCHED,  /* job_work has due rows */
	WAKE_OUTBOX, /* outbox has due rows */
	WAKE_EXEC,   /* run_work has waiting rows, or rows to stop */
	WAKE_COUNT
};

struct sched;
struct outbox;
struct exec;
struct channel;

struct node {
	struct event_base *base;
	struct db *db;
	struct http_client *http;
	struct tls_ctx *tls; /* NULL: no other sites */
	const struct node_conf *conf;
	char id[33]; /* new with every start */
	char name[128];
	int http_port;   /* of the client API, after listening */
	int worker_port; /* on 127.0.0.1, for components, when the client API speaks HTTPS; else 0
			  */
	int64_t beat_ms; /* monotonic: when the database last confirmed this node's lease */
	bool stopping;
	struct sched *sched;
	struct outbox *outbox;
	struct exec *exec;
	struct channel *channel;
	struct {
		void (*fn)(void *arg);
		void *arg;
	} wake[WAKE_COUNT];
	struct event *notify_timer;
	unsigned notify_mask;
	unsigned local_mask;
	struct event *local_timer;
};

/* Registers who is woken. */
void node_on_wake(struct node *n, enum node_wake what, void (*fn)(void *arg), void *arg);
/* After a commit that made work due: this node's part goes on in the next loop iteration, other
 * nodes are told by a debounced NOTIFY, which is only a hint. */
void node_wake(struct node *n, enum node_wake what);
/* Only this node, without telling others. */
void node_wake_local(struct node *n, enum node_wake what);
void node_listen(struct node *n); /* take hints from other nodes */
void node_wakes_free(struct node *n);

/* Whether this site serves the party: "0" (role local) always. */
bool node_serves(const struct node *n, const char *party_id);

/* host:port by which components of this node reach it, over plain HTTP; to be freed. */
char *node_worker_address(const struct node *n);

/* JSON error envelope as new reference: {"code","message"}. */
json_t *node_envelope(enum err_code code, const char *message,
		      json_t *data /* stolen, may be NULL */);

#endif
