/* The client: calls from their start to their one callback. */
#include "config.h"
#include "net/http_client_int.h"
#include "base/js.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DIRECT_STEP  (64 * 1024)
#define DIRECT_LEAST (16 * 1024)
#define DIRECT_TURNS 16
#define MORE_STEP    (64 * 1024)

/* ---- housekeeping ---- */

static void free_dead(struct http_client *c)
{
	struct client_conn *conn;

	while ((conn = TAILQ_FIRST(&c->dead)) != NULL) {
		TAILQ_REMOVE(&c->dead, conn, link);
		free(conn->identity);
		free(conn);
	}
}

static void client_destroy(struct http_client *c)
{
	free_dead(c);
	if (c->deliver_event != NULL)
		event_free(c->deliver_event);
	resolver_free(c->resolver);
	map_free(c->pools, free);
	free(c);
}

void client_enter(struct http_client *c)
{
	c->depth++;
}

void client_leave(struct http_client *c)
{
	if (--c->depth > 0)
		return;
	if (c->freed)
		client_destroy(c);
	else
		free_dead(c);
}

/* ---- the end of a call ---- */

/* In client->calls, or in client->failed. */
static void call_unlink(struct client_call *call)
{
	if (call->state == CALL_FAILED)
		TAILQ_REMOVE(&call->client->failed, call, link);
	else
		TAILQ_REMOVE(&call->client->calls, call, link);
}

static void call_free(struct client_call *call)
{
	event_del(&call->timer);
	http_parser_free(&call->parser);
	buf_free(&call->request);
	buf_free(&call->body);
	free(call->expect_party);
	free(call);
}

static void deliver_soon(struct http_client *c)
{
	static const struct timeval at_once = {0};

	event_add(c->deliver_event, &at_once);
}

void call_fail(struct client_call *call, enum err_code code, const char *fmt, ...)
{
	struct http_client *c = call->client;
	char msg[512];
	va_list ap;

	if (call->state == CALL_FAILED)
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	err_set(&call->err, code, "%s", msg);
	call_disconnect(call);
	event_del(&call->timer);
	call_unlink(call);
	call->state = CALL_FAILED;
	TAILQ_INSERT_TAIL(&c->failed, call, link);
	deliver_soon(c);
}

static void deliver_failed(struct http_client *c)
{
	struct client_call *call = TAILQ_FIRST(&c->failed);
	struct http_response res = {.error = &call->err, .content_type = "", .body = ""};

	call_unlink(call);
	call->cb(&res, call->arg);
	call_free(call);
}

static void on_deliver(evutil_socket_t fd, short what, void *arg)
{
	struct http_client *c = arg;

	client_enter(c);
	/* One a turn: a callback that starts the next call at once, which fails at once, must not
	 * keep everything else waiting. */
	if (!TAILQ_EMPTY(&c->failed))
		deliver_failed(c);
	if (!TAILQ_EMPTY(&c->failed) && !c->freed)
		deliver_soon(c);
	client_leave(c);
}

static void call_done(struct client_call *call)
{
	struct client_conn *conn = call->conn;
	const char *type = http_parser_field(&call->parser, "content-type");
	struct js_limits lim = js_limits_default;
	struct err ignored;

	call_unlink(call);
	call->conn = NULL;
	if (call->parser.keep_alive && call->more_left == 0)
		client_conn_park(conn);
	else
		client_conn_close(conn);
	call_disconnect(call);
	lim.max_bytes = call->body.len > lim.max_bytes ? call->body.len : lim.max_bytes;
	struct http_response res = {
	    .status = call->parser.status,
	    .content_type = type != NULL ? type : "",
	    .body = buf_str(&call->body),
	    .body_len = call->body.len,
	    .peer = conn->identity, /* also a dead connection lives until we leave */
	};
	if (call->body.len > 0 && http_is_json_type(res.content_type))
		res.json = js_parse(call->body.data, call->body.len, &lim, &ignored);
	call->cb(&res, call->arg);
	json_decref(res.json);
	call_free(call);
}

/* ---- reading the answer ---- */

static void bad_answer(struct client_call *call)
{
	const struct http_parser *p = &call->parser;

	if (p->status == 413 || p->status == 431)
		call_fail(call, ERR_LIMIT, "the answer of %s is longer than allowed: %s",
			  call->url.authority, p->why);
	else
		call_fail(call, ERR_PARSE, "malformed answer of %s: %s", call->url.authority,
			  p->why);
}

/* false: the call is over, one way or the other */
static bool take_body(struct client_call *call, const char *data, size_t len)
{
	struct client_conn *conn = call->conn;

	/* What an error has to say goes to the caller, not to where the wanted data go. */
	if (call->on_data == NULL || call->parser.status >= 300) {
		buf_add(&call->body, data, len);
		return true;
	}
	bool go_on = call->on_data(data, len, call->arg);
	if (conn->call != call)
		return false; /* cancelled from within */
	if (!go_on)
		call_fail(call, ERR_IO, "the answer of %s was not wanted to its end",
			  call->url.authority);
	return go_on;
}

/* The rest of a long body comes in large pieces, past the small reads of the bufferevent. */
static const char *next_bytes(struct client_call *call, bool *direct, size_t *len)
{
	static char piece[DIRECT_STEP];
	uint64_t left = http_parser_body_left(&call->parser);

	*direct = false;
	if (left >= DIRECT_LEAST && http_io_unread(&call->conn->io) == 0) {
		*len = http_io_read_direct(&call->conn->io, piece,
					   left < sizeof(piece) ? (size_t)left : sizeof(piece));
		*direct = *len > 0;
		return piece;
	}
	return http_io_peek(&call->conn->io, len);
}

void call_on_bytes(struct client_call *call)
{
	struct client_conn *conn = call->conn;
	int turns = 0;

	while (conn->call == call && call->state == CALL_ANSWER) {
		size_t len, used, part_len;
		const char *part;
		bool direct;
		const char *data = next_bytes(call, &direct, &len);
		switch (http_parse(&call->parser, data, len, &used, &part, &part_len)) {
		case HTTP_MORE:
			http_io_drop(&conn->io, used);
			if (http_io_unread(&conn->io) == 0)
				return;
			break;
		case HTTP_HEAD:
			http_io_drop(&conn->io, used);
			if (call->parser.framing == HTTP_LENGTH &&
			    call->parser.content_length > call->max_body_bytes)
				call_fail(call, ERR_LIMIT,
					  "the answer of %s is longer than allowed",
					  call->url.authority);
			break;
		case HTTP_DATA:
			if (!take_body(call, part, part_len))
				return;
			if (!direct)
				http_io_drop(&conn->io, used);
			else if (++turns == DIRECT_TURNS &&
				 http_parser_body_left(&call->parser) > 0)
				return; /* the bufferevent sees the rest and calls again */
			break;
		case HTTP_END:
			http_io_drop(&conn->io, used);
			call_done(call);
			return;
		case HTTP_BAD:
			bad_answer(call);
			return;
		}
	}
}

/* The other side closed, or the connection broke; why NULL: it just closed. */
void call_on_end(struct client_call *call, enum err_code code, const char *why)
{
	struct client_conn *conn = call->conn;
	bool nothing_seen = !http_parser_started(&call->parser);

	if (code == ERR_CONNECT && why == NULL && http_parse_eof(&call->parser) == HTTP_END) {
		call->parser.keep_alive = false;
		call_done(call);
		return;
	}
	/* A server may close an idle connection at any time; then it has not seen the request. */
	if (conn->reused && !call->retried && nothing_seen) {
		call->retried = true;
		call_disconnect(call);
		call_connect(call, true);
		return;
	}
	if (why == NULL)
		why = "closed before the answer was complete";
	call_fail(call, code, "the connection to %s broke: %s", call->url.authority, why);
}

/* ---- the rest of a long body ---- */

void call_send_more(struct client_call *call)
{
	static char piece[MORE_STEP];
	struct http_io *io = &call->conn->io;
	int turns = 0;

	while (call->more_left > 0 && !io->broken && http_io_unsent(io) <= HTTP_IO_OUT_HIGH) {
		size_t want = call->more_left < MORE_STEP ? (size_t)call->more_left : sizeof(piece);
		if (turns++ == DIRECT_TURNS) {
			/* Others have their turn; nothing unsent may be left to call us again. */
			bufferevent_trigger(io->bev, EV_WRITE, BEV_TRIG_DEFER_CALLBACKS);
			return;
		}
		int64_t n = call->more(piece, want, call->arg);
		if (n <= 0 || n > (int64_t)want) {
			call_fail(call, ERR_IO, "the body for %s ended early", call->url.authority);
			return;
		}
		call->more_left -= n;
		http_io_send(io, piece, (size_t)n, NULL, 0);
	}
}

/* ---- the start of a call ---- */

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	static const char *const doing[] = {"looking the host up", "connecting",
					    "the TLS handshake", "waiting for the answer", ""};
	struct client_call *call = arg;
	struct http_client *c = call->client;

	client_enter(c);
	call_fail(call, ERR_TIMEOUT, "no answer of %s in time (while %s)", call->url.authority,
		  doing[call->state]);
	client_leave(c);
}

static bool value_is_clean(const char *s)
{
	for (; *s != 0; s++)
		if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
			return false;
	return true;
}

/* Those that say where the message ends are the client's own business. */
static bool is_reserved(const char *name)
{
	return strcasecmp(name, "Content-Length") == 0 ||
	       strcasecmp(name, "Transfer-Encoding") == 0 || strcasecmp(name, "Host") == 0 ||
	       strcasecmp(name, "Connection") == 0;
}

static bool add_headers(struct buf *out, const char *const *headers, struct err *e)
{
	for (size_t i = 0; headers != NULL && headers[i] != NULL; i += 2) {
		const char *name = headers[i], *value = headers[i + 1];
		if (value == NULL || !http_is_token(name, strlen(name)) || is_reserved(name) ||
		    !value_is_clean(value))
			return err_set(e, ERR_USAGE, "the header %.100s cannot be sent", name);
		buf_adds(out, name);
		buf_adds(out, ": ");
		buf_adds(out, value);
		buf_adds(out, "\r\n");
	}
	return true;
}

static bool make_request(struct client_call *call, const struct http_call *in, struct err *e)
{
	struct buf *out = &call->request;
	const char *target = call->url.target;

	if (in->method == NULL || !http_is_token(in->method, strlen(in->method)))
		return err_set(e, ERR_USAGE, "a call needs a method");
	buf_adds(out, in->method);
	buf_adds(out, target[0] == '/' ? " " : " /");
	buf_adds(out, target);
	buf_adds(out, " HTTP/1.1\r\nHost: ");
	buf_adds(out, call->url.authority);
	buf_adds(out, "\r\n");
	if (!add_headers(out, in->headers, e))
		return false;
	if (in->body_len > 0 || in->more_len > 0) {
		const char *type = in->content_type != NULL ? in->content_type : "application/json";
		if (!value_is_clean(type))
			return err_set(e, ERR_USAGE, "malformed content type");
		buf_adds(out, "Content-Type: ");
		buf_adds(out, type);
		buf_adds(out, "\r\n");
	}
	uint64_t all = (uint64_t)in->body_len + (uint64_t)in->more_len;
	if (all > 0 || (strcmp(in->method, "GET") != 0 && strcmp(in->method, "HEAD") != 0))
		buf_printf(out, "Content-Length: %llu\r\n", (unsigned long long)all);
	buf_adds(out, "\r\n");
	buf_add(out, in->body, in->body_len);
	return true;
}

static bool prepare(struct client_call *call, const struct http_call *in, struct err *e)
{
	if (!http_url_parse(in->url, &call->url, e) || !make_request(call, in, e))
		return false;
	if (call->url.scheme == HTTP_SCHEME_HTTPS && call->client->tls == NULL)
		return err_set(e, ERR_TLS, "cannot call %s: TLS is not configured", in->url);
	if (call->url.scheme != HTTP_SCHEME_HTTPS && in->expect_party != NULL)
		return err_set(e, ERR_TLS, "cannot know who is at %s: only https:// tells",
			       in->url);
	call->head_only = strcmp(in->method, "HEAD") == 0;
	call->expect_party = mem_strdup(in->expect_party);
	call->pool = client_pool_get(call->client, &call->url);
	return true;
}

void *http_call_start(struct http_client *c, const struct http_call *in, http_response_cb *cb,
		      void *arg)
{
	struct err e;

	if (c->closing)
		return NULL;
	struct client_call *call = mem_zalloc(sizeof(*call));
	client_enter(c);
	call->client = c;
	call->cb = cb;
	call->arg = arg;
	call->on_data = in->on_data;
	call->more = in->more;
	call->more_left = in->more != NULL ? in->more_len : 0;
	call->retried = in->more != NULL;
	call->max_body_bytes = in->max_body_bytes > 0 ? in->max_body_bytes : CLIENT_BODY_MAX;
	call->fd = -1;
	call->state = CALL_LOOKUP;
	TAILQ_INSERT_TAIL(&c->calls, call, link);
	event_assign(&call->timer, c->base, -1, 0, on_timeout, call);
	int timeout_ms = in->timeout_ms > 0 ? in->timeout_ms : CLIENT_TIMEOUT_MS;
	struct timeval tv = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
	if (event_add(&call->timer, &tv) != 0)
		call_fail(call, ERR_INTERNAL, "out of memory for a timer");
	else if (!prepare(call, in, &e))
		call_fail(call, e.code, "%s", e.msg);
	else
		call_connect(call, false);
	client_leave(c);
	return call;
}

void http_call_cancel(struct http_client *c, void *handle)
{
	struct client_call *call = handle;

	client_enter(c);
	call_disconnect(call);
	call_unlink(call);
	call_free(call);
	client_leave(c);
}

/* ---- the client itself ---- */

struct http_client *http_client_new(struct event_base *base, struct tls_ctx *tls,
				    int max_idle_per_host, struct err *e)
{
	struct http_client *c = mem_zalloc(sizeof(*c));

	c->base = base;
	c->tls = tls;
	c->max_idle = max_idle_per_host;
	c->pools = map_new();
	TAILQ_INIT(&c->calls);
	TAILQ_INIT(&c->failed);
	TAILQ_INIT(&c->busy);
	TAILQ_INIT(&c->dead);
	c->deliver_event = event_new(base, -1, 0, on_deliver, c);
	c->resolver = resolver_new(base, e);
	if (c->resolver == NULL || c->deliver_event == NULL) {
		if (c->deliver_event == NULL)
			err_set(e, ERR_IO, "out of memory for a client");
		client_destroy(c);
		return NULL;
	}
	return c;
}

static bool close_idle(const char *key, void *value, void *arg)
{
	struct client_pool *pool = value;
	struct client_conn *conn;

	while ((conn = TAILQ_FIRST(&pool->idle)) != NULL)
		client_conn_close(conn);
	return true;
}

void http_client_free(struct http_client *c)
{
	struct client_call *call;

	if (c == NULL || c->closing)
		return;
	client_enter(c);
	c->closing = true;
	while ((call = TAILQ_FIRST(&c->calls)) != NULL)
		call_fail(call, ERR_CONNECT, "the program is ending");
	while (!TAILQ_EMPTY(&c->failed))
		deliver_failed(c);
	map_each(c->pools, close_idle, NULL);
	c->freed = true;
	client_leave(c);
}
