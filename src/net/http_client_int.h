/* What the two files of the HTTP client share; nobody else includes this. */
#ifndef NORN_NET_HTTP_CLIENT_INT_H
#define NORN_NET_HTTP_CLIENT_INT_H

#include "base/map.h"
#include "net/http.h"
#include "net/http_io.h"
#include "net/http_parse.h"
#include "net/http_resolve.h"
#include "net/http_target.h"

#include <sys/queue.h>

/* Below the 75 s of servers, so that the client is mostly the one who closes. */
#define CLIENT_IDLE_MS    (30 * 1000)
#define CLIENT_TIMEOUT_MS (30 * 1000)
#define CLIENT_BODY_MAX   ((size_t)64 * 1024 * 1024)
/* How long one of several addresses of a host is tried before the next one. */
#define CLIENT_ADDRESS_MS 2000

struct client_pool;
struct client_call;

/* A connection that is up; dead ones are parked until no callback is on the stack. */
struct client_conn {
	struct http_io io;
	struct http_client *client;
	struct client_pool *pool;
	struct client_call *call; /* NULL: idle, in pool->idle */
	struct tls_identity *identity;
	bool reused; /* carries its second call or a later one */
	bool dead;
	TAILQ_ENTRY(client_conn) link;
};
TAILQ_HEAD(client_conn_list, client_conn);

struct client_pool {
	struct client_conn_list idle; /* last used first */
	int n_idle;
};

enum call_state {
	CALL_LOOKUP,  /* the name is being resolved */
	CALL_CONNECT, /* fd is connecting */
	CALL_SHAKE,   /* TLS handshake on conn */
	CALL_ANSWER,  /* sent on conn; the answer is awaited or read */
	CALL_FAILED,  /* err is to be delivered */
};

struct client_call {
	struct http_client *client;
	enum call_state state;
	http_response_cb *cb;
	void *arg;
	bool (*on_data)(const void *data, size_t len, void *arg);
	struct http_url url;
	struct client_pool *pool;
	char *expect_party;
	struct buf request;
	int64_t more_left; /* bytes of the body that more() still has to give */
	int64_t (*more)(void *out, size_t size, void *arg);
	size_t max_body_bytes;
	bool head_only;
	bool retried;

	struct lookup *lookup;
	struct addrinfo *addresses;
	struct addrinfo *next_address;
	int fd;
	struct event connect_event;
	bool connect_armed;

	struct event timer;
	struct client_conn *conn;
	struct http_parser parser;
	struct buf body;
	struct err err;
	TAILQ_ENTRY(client_call) link; /* in client->calls or client->failed */
};
TAILQ_HEAD(client_call_list, client_call);

struct http_client {
	struct event_base *base;
	struct tls_ctx *tls;
	int max_idle;
	struct resolver *resolver;
	struct map *pools; /* "scheme host port" -> client_pool */
	struct client_call_list calls;
	struct client_call_list failed;
	struct client_conn_list busy;
	struct client_conn_list dead;
	struct event *deliver_event;
	int depth;
	bool closing, freed;
};

void client_enter(struct http_client *c);
void client_leave(struct http_client *c);

/* Finds or makes a connection for the call and sends it. */
void call_connect(struct client_call *call, bool fresh);
/* Forgets connection, look-up and connecting socket; the connection is closed. */
void call_disconnect(struct client_call *call);
struct client_pool *client_pool_get(struct http_client *c, const struct http_url *url);
void client_conn_close(struct client_conn *conn);
void client_conn_park(struct client_conn *conn); /* idle, for the next call */

/* The call is over; cb comes later, from the event loop. */
void call_fail(struct client_call *call, enum err_code code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void call_on_bytes(struct client_call *call);
void call_send_more(struct client_call *call); /* as much of the body as the connection takes */
void call_on_end(struct client_call *call, enum err_code code, const char *why);

#endif
