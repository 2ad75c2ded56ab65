/*
 * Messages between the parties of a running task. A component pushes frames to its own node, which
 * forwards them to the node that runs the receiver; there they wait in bounded memory until they
 * are popped. See doc/architecture.md, "Messages between the parties of a task".
 */
#ifndef NORN_PARTY_CHANNEL_H
#define NORN_PARTY_CHANNEL_H

#include "net/http.h"
#include "store/node.h"

#define CHANNEL_FRAME_MAX (4 << 20)
#define CHANNEL_TAG_MAX   200

/* One party of a task, as the mailboxes know it. */
struct channel_party {
	char role[16];
	char party_id[51];
};

void channel_start(struct node *n); /* sets n->channel */
void channel_free(struct node *n);

/* The executor opens a mailbox before it starts a process here and closes it at its end: parked
 * requests are answered, frames dropped. token: the task token that worker requests must bring
 * (copied). parties: all of the task. */
void channel_open(struct channel *c, const char *execution_id, const char *job_id,
		  const char *task_name, int attempt, const char *role, const char *party_id,
		  const char *token, const struct channel_party *parties, size_t n_parties);
void channel_close(struct channel *c, const char *execution_id);

/* Whether the body of a frame may come: the token is that of the task. Answers if not. */
MUST_CHECK bool channel_admit(struct http_req *r);

http_handler channel_handle_peer_push; /* POST /v2/partner/channel/push */
extern const struct http_doc channel_peer_push_doc;
extern const struct http_route channel_worker_routes[]; /* /v2/worker/channel/push and pop */
extern const size_t channel_worker_n_routes;

#endif
