/*
 * Messages between the parties of one task. A channel is an interface with two backends: the
 * party's own node over HTTP (the product), and memory (several parties as threads of one
 * process, for tests). Messages between two parties arrive complete and in order. The tag that
 * travels with a message is compared with the one the receiver expects: a difference means that
 * the two programs are not at the same step.
 */
#ifndef NORN_COMPONENT_CHANNEL_H
#define NORN_COMPONENT_CHANNEL_H

#include "base/buf.h"
#include "base/err.h"
#include <stdint.h>

#define CHANNEL_TAG_MAX 64

struct channel;

struct channel_ops {
	bool (*send)(struct channel *ch, const char *role, const char *party, const char *tag,
		     const void *data, size_t len, struct err *e);
	/* Appends to out, of which at most max_len bytes may come from the peer. */
	bool (*recv)(struct channel *ch, const char *role, const char *party, const char *tag,
		     size_t max_len, struct buf *out, struct err *e);
	void (*free)(struct channel *ch);
};

struct channel {
	const struct channel_ops *ops;
};

MUST_CHECK bool channel_send(struct channel *ch, const char *role, const char *party,
			     const char *tag, const void *data, size_t len, struct err *e);
/* out is cleared first. */
MUST_CHECK bool channel_recv(struct channel *ch, const char *role, const char *party,
			     const char *tag, size_t max_len, struct buf *out, struct err *e);
void channel_free(struct channel *ch); /* NULL is allowed */

/* ---- backends ---- */

/* url: the node's base URL. token may be NULL. timeout_s: how long one message may take. */
MUST_CHECK struct channel *channel_node_new(const char *url, const char *execution_id,
					    const char *token, int64_t timeout_s, struct err *e);

struct channel_hub; /* the memory through which channels of one process talk; thread-safe */
struct channel_hub *channel_hub_new(int64_t timeout_ms);
void channel_hub_free(struct channel_hub *hub); /* after its channels */
struct channel *channel_mem_new(struct channel_hub *hub, const char *role, const char *party);
/* Wakes everybody who waits, with an error: one party has failed. */
void channel_hub_abort(struct channel_hub *hub);

#endif
