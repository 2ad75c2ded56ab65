/* What the files of the HTTP server share; nobody else includes this. */
#ifndef NORN_NET_HTTP_INT_H
#define NORN_NET_HTTP_INT_H

#include "base/map.h"
#include "net/http.h"
#include "net/http_io.h"
#include "net/http_parse.h"
#include "net/http_target.h"

#include <netinet/in.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define HTTP_PARTS_MAX  8 /* "{name}" parts in one route */
#define HTTP_REQ_ID_MAX 64
#define HTTP_USER_MAX   64
#define HTTP_POOL_MAX   64          /* requests kept for reuse */
#define HTTP_POOL_KEEP  (16 * 1024) /* a pooled buffer larger than this is given back */
#define HTTP_LINGER_MS  2000

/*
 * The life of a connection. Only conn_close() leads to CONN_DEAD; a dead connection is parked and
 * freed when no callback of this server is on the stack any more.
 */
enum conn_state {
	CONN_SHAKE,  /* TLS handshake */
	CONN_IDLE,   /* between requests; in server->idle */
	CONN_HEAD,   /* a byte of a request has come */
	CONN_ADMIT,  /* its head is complete, the route is known; nothing of the body is read */
	CONN_BODY,   /* it was let in */
	CONN_ANSWER, /* the request is complete: its handler answers, now or later */
	CONN_FLUSH,  /* the last answer is queued: closes when it is sent */
	CONN_LINGER, /* it is sent, in the middle of a request: what still comes is dropped */
	CONN_DEAD,
};

union http_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

struct http_conn {
	struct http_io io;
	struct http_server *server;
	struct http_req *req; /* being read or answered; NULL in the other states */
	enum conn_state state;
	union http_addr peer;
	struct tls_identity *identity; /* owned; NULL on plain connections */
	TAILQ_ENTRY(http_conn) link;   /* in server->idle, busy or dead */
	TAILQ_ENTRY(http_conn) kick_link;
	bool kicked;      /* in server->kicks */
	bool pumping;     /* conn_pump() is on the stack */
	bool close_after; /* the answer said Connection: close */
	bool eof;         /* the client will send no more */
	bool cut;         /* refused in the middle of a request: more of it may be coming */
	size_t body_came; /* bytes of the body since its time-out was set */
};
TAILQ_HEAD(http_conn_list, http_conn);

enum reply_state {
	REPLY_NONE,
	REPLY_STREAM, /* http_reply_start() was called */
	REPLY_FD,     /* the connection sends a file; the handler is done */
};

struct http_part {
	const char *name; /* into the route's pattern, not terminated */
	size_t name_len;
	const char *value;
};

struct http_req {
	struct http_conn *conn;     /* NULL when the client is gone */
	struct http_server *server; /* NULL when the server is gone */
	TAILQ_ENTRY(http_req) link; /* in server->open or server->pool */
	struct http_parser parser;
	struct http_target target;
	const struct http_route *route; /* NULL: none matched */
	bool path_known;
	bool head_only; /* HEAD answered by a GET route */
	bool open;      /* with its handler: in server->open */
	bool bad_json;
	struct http_part parts[HTTP_PARTS_MAX];
	size_t n_parts;
	struct buf part_text; /* the values of the parts */
	struct buf body;
	int body_fd; /* -1: none */
	json_t *json;
	struct err json_err;
	char id[HTTP_REQ_ID_MAX + 1]; /* "" until it is asked for */
	char remote[INET6_ADDRSTRLEN + 16];
	union http_addr peer;
	struct tls_identity *identity; /* borrowed from conn, or owned when conn is NULL */
	void (*on_close)(void *arg);
	void *on_close_arg;
	http_answer_cb *on_answer;
	void *on_answer_arg;
	char user[HTTP_USER_MAX + 1];

	struct buf extra; /* header lines of http_reply_header() */
	enum reply_state reply;
	bool chunked; /* REPLY_STREAM */
	bool starved; /* http_reply_chunk() said "enough" */
	void (*on_room)(struct http_req *r, void *arg);
	void *on_room_arg;
	int out_fd;
	int64_t out_left;
};
TAILQ_HEAD(http_req_list, http_req);

/* ---- routes ---- */
struct http_router; /* opaque */

struct http_router *http_router_new(void);
void http_router_free(struct http_router *r);
void http_router_add(struct http_router *r, const struct http_route *routes, size_t n);
/* Fills route, path_known, head_only and the parts of req from its method and decoded path. */
void http_router_match(const struct http_router *r, struct http_req *req);

/* ---- server ---- */
struct http_server {
	struct event_base *base;
	struct evconnlistener *listener;
	struct event *kick_event;
	struct event *accept_event; /* takes up accepting again after a pause */
	struct http_server_opts opts;
	char *spool_dir;
	char *unix_path; /* removed at the end; NULL when listening on TCP */
	struct http_router *router;
	struct http_conn_list idle; /* longest idle first */
	struct http_conn_list busy;
	struct http_conn_list dead;
	struct http_conn_list kicks;
	struct http_req_list open;
	struct http_req_list pool;
	int n_conns, n_open, n_pool;
	int depth; /* callbacks of this server on the stack */
	bool draining, freed;
	bool accept_paused; /* all connections are busy */
	struct buf out;     /* scratch: a head, with its body when that is small */
	struct buf text;    /* scratch: the JSON text of an answer */
	char id_prefix[17];
	uint64_t id_next;
	int64_t date_s;
	char date[40];
};

/* Every callback from the event loop, and every call from outside that may close a connection,
 * stands between these two; the outermost one frees what died meanwhile. */
void http_server_enter(struct http_server *s);
void http_server_leave(struct http_server *s);
void http_server_kick(struct http_server *s, struct http_conn *c);
void http_server_resume_accept(struct http_server *s); /* a connection has ended or is idle */
const char *http_server_date(struct http_server *s);

/* ---- connections ---- */
void conn_accept(struct http_server *s, int fd, const struct sockaddr *sa, socklen_t len);
void conn_close(struct http_conn *c);
void conn_pump(struct http_conn *c); /* go on with the bytes that have come */
void conn_move(struct http_conn *c, enum conn_state to);
void conn_answered(struct http_conn *c); /* c->req has its whole answer in the queue and is gone */
void conn_wrote(struct http_conn *c);    /* after queueing output: sets the timer */

/* ---- requests ---- */
struct http_req *req_new(struct http_server *s, struct http_conn *c);
void req_release(struct http_req *r);
void req_opened(struct http_req *r); /* given to its handler */
void req_closed(struct http_req *r); /* answered */
bool req_spool_open(struct http_req *r, struct err *e);
bool req_spool_write(struct http_req *r, const char *data, size_t len, struct err *e);
void req_parse_json(struct http_req *r);

/* ---- answers ---- */
void req_answering(struct http_req *r, int status, const json_t *body); /* calls on_answer, once */
void reply_error(struct http_req *r, int status, enum err_code code, const char *msg);
void reply_continue(struct http_conn *c); /* 100 */
void reply_fd_pump(struct http_req *r);   /* REPLY_FD: queue more of the file */
void reply_room(struct http_req *r);      /* REPLY_STREAM: the queue has drained */

#endif
