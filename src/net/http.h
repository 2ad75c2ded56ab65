/*
 * HTTP/1.1 server and client on libevent bufferevents, with one strict parser of our own
 * (http_parse.h): ambiguous framing is refused, every size and time is bounded, bodies over a
 * route's memory limit are spooled to a temporary file. One thread; callbacks never free the object
 * that called them.
 */
#ifndef NORN_NET_HTTP_H
#define NORN_NET_HTTP_H

#include "base/buf.h"
#include "base/err.h"
#include "net/tls.h"
#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* What a body must bring within its time-out, or its end: a byte now and then is no progress. */
#define HTTP_BODY_LEAST 1024

/* ---- limits, shared by both ends; a member that is 0 means its default ---- */
struct http_limits {
	size_t max_header_bytes; /* start line and all headers; default 16 KiB */
	size_t max_body_bytes;   /* for routes that say 0; default 8 MiB */
	int max_connections;     /* default 16384 */
	int header_timeout_ms;   /* from the first byte to the last header; default 10 s */
	int body_timeout_ms;     /* for each HTTP_BODY_LEAST of the body; default 30 s */
	int idle_timeout_ms;     /* keep-alive; default 75 s */
	int write_timeout_ms;    /* a reader that takes nothing; default 30 s */
};
extern const struct http_limits http_limits_default;

/* ---- server ---- */
struct http_server;
struct http_req; /* opaque; lives from dispatch until it was answered */

typedef void http_handler(struct http_req *req, void *arg);

enum http_route_flags {
	HTTP_RAW_BODY = 1 << 0,   /* body in memory, not parsed as JSON */
	HTTP_SPOOL_BODY = 1 << 1, /* body goes to a temporary file: http_req_body_fd() */
};

struct http_route {
	const char *method;
	const char *path; /* "/v2/job/query"; a part "{name}" matches one path part */
	http_handler *handler;
	unsigned flags;
	size_t max_body_bytes; /* 0: the server's default */
	const char *summary;   /* one line, for the OpenAPI document */
	/* What it takes and answers (auth/request.h); not read in this layer. May be NULL. */
	const struct http_doc *doc;
};
/* Tables leave out the members at the end that they do not need. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

struct http_server_opts {
	const char *listen;  /* "127.0.0.1:9380", "[::1]:0", "unix:/path" */
	struct tls_ctx *tls; /* NULL: plain */
	struct http_limits limits;
	const char *spool_dir;   /* for HTTP_SPOOL_BODY */
	size_t max_spool_bytes;  /* of such bodies, beside the route's limit; 0: that alone */
	void *arg;               /* given to every handler */
	http_handler *not_found; /* unknown route or wrong method (http_req_path_known tells); may
				    be NULL: 404/405 */
	/* Called before the handler; false means that it has answered, or will answer or call the
	 * route's handler itself, now or later. May be NULL. */
	bool (*before)(struct http_req *req, const struct http_route *route, void *arg);
	/* Called at the end of the headers, before anything of the body is read: true lets the body
	 * come. false means that it has answered (the body is not read then, and the connection
	 * ends with the answer), or will answer or call http_req_admit(), later. May be NULL. */
	bool (*admit)(struct http_req *req, const struct http_route *route, void *arg);
};

MUST_CHECK struct http_server *http_server_new(struct event_base *base,
					       const struct http_server_opts *opts, struct err *e);
/* Tables are const and outlive the server; first match wins. Doubled slashes in a path are folded
 * and a trailing slash is ignored before matching. */
void http_server_routes(struct http_server *s, const struct http_route *routes, size_t n);
int http_server_port(const struct http_server *s);
void http_server_drain(struct http_server *s); /* stops accepting; open requests go on */
/* With their handlers, or answered and not yet sent before the connection ends. 0 after a drain:
 * all said. */
int http_server_open_requests(const struct http_server *s);
void http_server_free(struct http_server *s);

const char *http_req_method(const struct http_req *r);
const char *http_req_path(const struct http_req *r); /* decoded, normalised */
const char *http_req_header(const struct http_req *r,
			    const char *name); /* any case; '_' equals '-'; NULL */
const char *http_req_query(const struct http_req *r,
			   const char *key); /* first value, NULL when absent */
size_t http_req_query_count(const struct http_req *r);
void http_req_query_at(const struct http_req *r, size_t i, const char **key, const char **value);
const char *http_req_part(const struct http_req *r, const char *name); /* value of "{name}" */
const struct http_route *http_req_route(const struct http_req *r);     /* NULL in not_found */
json_t *http_req_json(
    const struct http_req *r); /* borrowed; NULL when the body is absent or not JSON type */
const char *http_req_body(const struct http_req *r, size_t *len);
int http_req_body_fd(const struct http_req *r); /* spooled body, positioned at 0; -1 */
const struct tls_identity *
http_req_identity(const struct http_req *r); /* NULL on plain connections */
const char *
http_req_id(const struct http_req *r); /* request id: from X-Request-Id when sane, else made */
const char *http_req_remote(const struct http_req *r); /* "127.0.0.1:53123" */
bool http_req_path_known(
    const struct http_req *r); /* in not_found: the path exists with another method */
bool http_req_bad_json(const struct http_req *r,
		       const char **why);     /* the body was JSON type and malformed */
void *http_req_arg(const struct http_req *r); /* opts.arg */
/* The client went away before the answer: cb is called once. The request must still be answered
 * (no-op). */
void http_req_on_close(struct http_req *r, void (*cb)(void *arg), void *arg);
/* cb is called once, when the answer begins: body is the JSON of http_reply_json(), NULL for
 * others. It must not touch the request. */
typedef void http_answer_cb(int status, const json_t *body, void *arg);
void http_req_on_answer(struct http_req *r, http_answer_cb *cb, void *arg);
/* Who calls, as a `before` has found out: at most 64 bytes are kept. "" until it is set. */
void http_req_set_user(struct http_req *r, const char *user);
const char *http_req_user(const struct http_req *r);

/* After an `admit` that returned false: lets the body come. Without a client r is gone then. */
void http_req_admit(struct http_req *r);

/* Answer exactly once, then r is gone. Content-Type is sent as given. */
void http_reply(struct http_req *r, int status, const char *content_type, const void *data,
		size_t len);
void http_reply_json(struct http_req *r, int status,
		     json_t *v); /* steals v; keys sorted, newline at the end */
void http_reply_header(struct http_req *r, const char *name,
		       const char *value); /* before the answer */
/* Sends a file of known size with sendfile-like chunking and bounded memory; closes fd. */
void http_reply_fd(struct http_req *r, int status, const char *content_type, int fd, int64_t len);
/* Streaming: start, any number of chunks, end. on_room is called when the output queue has drained
 * below 64 KiB; until then http_reply_chunk returns false ("enough for now"; the data was still
 * taken). When the client has gone, chunks are dropped and true is returned; a stream that waits
 * for room gets its on_room, unless it has an on_close. */
void http_reply_start(struct http_req *r, int status, const char *content_type,
		      void (*on_room)(struct http_req *r, void *arg), void *arg);
bool http_reply_chunk(struct http_req *r, const void *data, size_t len);
void http_reply_end(struct http_req *r);

/* ---- client ---- */
struct http_client; /* a keep-alive pool */

struct http_response {
	const struct err *error; /* NULL when an HTTP answer arrived whole */
	int status;
	const char *content_type; /* "" when absent */
	const char *body;         /* NUL-terminated */
	size_t body_len;
	json_t *json;                    /* borrowed; parsed when the type is JSON, else NULL */
	const struct tls_identity *peer; /* on TLS */
};
typedef void http_response_cb(const struct http_response *res, void *arg);

struct http_call {
	const char *method;
	const char *url; /* http://host:port/path?query, https://..., or unix:/sock:/path?query */
	const char *const *headers; /* name, value, name, value, ..., NULL; may be NULL */
	const void *body;           /* copied */
	size_t body_len;
	const char *content_type; /* NULL: application/json when there is a body */
	const char *expect_party; /* https: the certificate must speak for it; NULL: any */
	int timeout_ms;           /* for the whole call; 0: 30 s */
	size_t max_body_bytes;    /* 0: 64 MiB */
	/* Optional: the body of a 2xx answer in parts as they come (then res->body is empty). false
	 * ends the call with ERR_IO. It may cancel its own call. */
	bool (*on_data)(const void *data, size_t len, void *arg);
	/* Optional: the body goes on behind `body` for more_len bytes, which are asked for as the
	 * connection takes them: more() writes at most size bytes to out and returns how many, 0
	 * or less to end the call with ERR_IO. Such a call is never sent a second time. */
	int64_t more_len;
	int64_t (*more)(void *out, size_t size, void *arg);
};

MUST_CHECK struct http_client *http_client_new(struct event_base *base, struct tls_ctx *tls,
					       int max_idle_per_host, struct err *e);
/* Calls that are open get their callback, with an error, from inside this. */
void http_client_free(struct http_client *c);
/* NULL only while the client is being freed; cb then never comes. Else cb is always called exactly
 * once, never from inside this call. Returns a handle for http_call_cancel (valid until cb), which
 * makes cb never come. A stale keep-alive connection is retried once on a fresh one if no byte of
 * an answer was seen. */
void *http_call_start(struct http_client *c, const struct http_call *call, http_response_cb *cb,
		      void *arg);
void http_call_cancel(struct http_client *c, void *handle);

#endif
