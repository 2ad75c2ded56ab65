/* Inside of the channel: mailboxes (channel.c), sending (channel_push.c), looking after silent
 * peers (channel_probe.c). */
#ifndef NORN_PARTY_CHANNEL_INT_H
#define NORN_PARTY_CHANNEL_INT_H

#include "base/err.h"
#include "base/map.h"
#include "party/channel.h"
#include <stdint.h>
#include <sys/queue.h>

struct frame {
	TAILQ_ENTRY(frame) next;
	int64_t seq;
	bool more;
	char tag[CHANNEL_TAG_MAX + 1];
	size_t len;
	char data[];
};
TAILQ_HEAD(frames, frame);

struct mailbox;

/* What one other party sends to a mailbox, in order. */
struct inbox {
	struct mailbox *box;
	struct channel_party from;
	int64_t next_seq; /* of the next frame to come in */
	struct frames frames;
	struct http_req *parked; /* a pop that waits */
	int64_t parked_seq;
	int64_t parked_since_ms;
	struct event *timer; /* of the parked pop */
};

struct mailbox {
	struct channel *channel;
	char *execution_id;
	char *job_id;
	char *task_name;
	int attempt;
	struct channel_party own;
	char *token;
	size_t bytes; /* of all frames */
	size_t n_inboxes;
	struct inbox *inboxes;
};

/* Where a party is reached, remembered for a short while. */
struct channel_route {
	char *url; /* NULL: none known */
	int64_t until_ms;
};

struct probe; /* of one silent party */

struct channel {
	struct node *node;
	struct map *boxes;  /* execution id -> struct mailbox */
	struct map *routes; /* party id or execution id -> struct channel_route */
	struct map *probes; /* party id -> struct probe */
	struct event *probe_timer;
};

struct frame_in {
	const char *job_id, *task_name;
	int attempt;
	struct channel_party src, dst;
	const char *tag;
	int64_t seq;
	bool more;
	const char *data;
	size_t len;
};

void channel_execution_id(const struct frame_in *f, char *out, size_t size);
/* Puts a frame into a mailbox of this node. A frame that came before is taken again without effect.
 * ERR_TASK_NOT_FOUND: no such mailbox here; ERR_LIMIT: full, try again; ERR_CONFLICT: out of order.
 */
MUST_CHECK bool channel_deliver(struct channel *c, const struct frame_in *f, struct err *e);

/* The mailbox of a worker's request, whose token is right; else answers and returns NULL. */
struct mailbox *channel_authenticate(struct http_req *r);
const struct channel_party *channel_find_party(const struct mailbox *b, const char *role,
					       const char *party_id);

http_handler channel_handle_push; /* channel_push.c */
extern const struct http_doc channel_push_doc;

/* A parked pop fails: the sender's site cannot be reached. */
void channel_fail_parked(struct channel *c, const char *party_id, const struct err *e);
void channel_probes_start(struct channel *c);
void channel_probes_free(struct channel *c);

/* Remembered routes; NULL when unknown or too old. */
const char *channel_route_get(struct channel *c, const char *key);
void channel_route_set(struct channel *c, const char *key, const char *url);

#endif
