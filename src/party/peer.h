/* Calls to other sites: headers, identity, and what an answer says. */
#ifndef NORN_PARTY_PEER_H
#define NORN_PARTY_PEER_H

#include "store/node.h"

#define PEER_PROTOCOL_VERSION "1"
#define PEER_MESSAGES         "/v2/partner/messages" /* several at once, see group.c */

struct peer_call {
	const char *dest_party;
	const char *src_party;
	const char *url;    /* https://host:port of the party */
	const char *path;   /* may have a query */
	const char *job_id; /* may be NULL */
	const char *key;    /* idempotency key, may be NULL */
	int timeout_ms;     /* 0: peer.timeout_ms */
};

/* POST over mutual TLS; the answering certificate must speak for dest_party. content_type NULL is
 * JSON. Returns the handle of http_call_start; cb always comes once. */
void *peer_post(struct node *n, const struct peer_call *call, const void *body, size_t len,
		const char *content_type, http_response_cb *cb, void *arg);

/* true: the other site has answered: code and text of its envelope. false: it was not reached, what
 * came is no envelope, or its database was away, so that it could not answer: text says why, and
 * the same may be tried again. */
bool peer_answer(const struct http_response *res, enum err_code *code, char *text, size_t size);

/* The task in a task_id, "<job id>_<task name>", as it stands there; NULL: it is none of this job.
 */
const char *peer_task_name(const char *task_id, const char *job_id);

#endif
