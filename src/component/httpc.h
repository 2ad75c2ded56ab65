/*
 * A small blocking HTTP/1.1 client for a component's own node: one connection kept
 * alive, every wait bounded. A request on a kept connection that the server had closed is sent
 * once more on a new one, but only when not a byte of an answer had come.
 */
#ifndef NORN_COMPONENT_HTTPC_H
#define NORN_COMPONENT_HTTPC_H

#include "base/buf.h"
#include "base/err.h"
#include <stdint.h>
#include <sys/socket.h>

#define HTTPC_BODY_MAX  (16 * 1024 * 1024) /* bytes of an answer */
#define HTTPC_HEADS_MAX 65536              /* bytes of status line and headers */

struct httpc {
	char host[64];
	uint16_t port;
	struct sockaddr_storage address;
	char path[1024]; /* of the URL, without a slash at the end; "" when none */
	char token[512]; /* sent as a bearer token when not empty */
	int fd;          /* -1: not connected */
	struct buf in;   /* read but not used yet */
};

struct httpc_answer {
	int status;
	struct buf head; /* header lines, each ended by LF */
	struct buf body;
};

/* url: http://HOST[:PORT][/PATH]; HOST must be localhost or an IP address of this machine (a
 * wildcard address stands for loopback). token may be NULL.
 */
MUST_CHECK bool httpc_init(struct httpc *c, const char *url, const char *token, struct err *e);
void httpc_free(struct httpc *c);

/*
 * target is appended to the URL's path. body may be NULL for GET. The whole exchange must end
 * within timeout_ms. The answer is cleared first; free it with httpc_answer_free().
 */
MUST_CHECK bool httpc_request(struct httpc *c, const char *method, const char *target,
			      const char *content_type, const void *body, size_t len,
			      int64_t timeout_ms, struct httpc_answer *a, struct err *e);
void httpc_answer_free(struct httpc_answer *a);

/* Value of a header of the answer, copied to out; false when absent or longer than size - 1. */
bool httpc_header(const struct httpc_answer *a, const char *name, char *out, size_t size);

#endif
