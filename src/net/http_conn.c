/* Connections of the server: from bytes to handlers, and every way in which one can end. */
#include "config.h"
#include "net/http_int.h"
#include "base/log.h"
#include "base/mem.h"

#include <event2/bufferevent_ssl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUESTS_PER_TURN 32 /* pipelined ones, before other connections get their turn */
#define DIRECT_STEP       (64 * 1024)
#define DIRECT_LEAST      (16 * 1024)
#define DIRECT_TURNS      16

/* Allowed moves; a wrong one is a fault of this program. */
void conn_move(struct http_conn *c, enum conn_state to)
{
	struct http_server *s = c->server;

	if (c->state == to)
		return;
	if (c->state == CONN_IDLE)
		TAILQ_REMOVE(&s->idle, c, link);
	else
		TAILQ_REMOVE(&s->busy, c, link);
	c->state = to;
	if (to == CONN_IDLE)
		TAILQ_INSERT_TAIL(&s->idle, c, link);
	else if (to == CONN_DEAD)
		TAILQ_INSERT_TAIL(&s->dead, c, link);
	else
		TAILQ_INSERT_TAIL(&s->busy, c, link);
}

/* The handler of r still owes an answer, which nobody will hear. */
static void orphan(struct http_conn *c, struct http_req *r)
{
	void (*on_close)(void *) = r->on_close;

	r->conn = NULL;
	c->identity = NULL; /* r has it now */
	r->on_close = NULL;
	if (on_close != NULL) {
		on_close(r->on_close_arg);
	} else if (r->starved && r->on_room != NULL) {
		/* Waits for room that will never come: there is all the room in the world now. */
		r->starved = false;
		r->on_room(r, r->on_room_arg);
	}
}

void conn_close(struct http_conn *c)
{
	struct http_server *s = c->server;
	struct http_req *r = c->req;

	if (c->state == CONN_DEAD)
		return;
	http_server_enter(s);
	conn_move(c, CONN_DEAD);
	http_io_close(&c->io);
	c->req = NULL;
	if (c->kicked) {
		c->kicked = false;
		TAILQ_REMOVE(&s->kicks, c, kick_link);
	}
	s->n_conns--;
	if (r != NULL && r->open && r->reply != REPLY_FD)
		orphan(c, r);
	else if (r != NULL)
		req_release(r);
	http_server_resume_accept(s);
	http_server_leave(s);
}

/* Everything was said. */
static void finish(struct http_conn *c)
{
	if (c->io.broken || c->eof || !c->cut) {
		conn_close(c);
		return;
	}
	/* Closing with unread bytes would reset the connection and destroy the answer on its way.
	 */
	conn_move(c, CONN_LINGER);
	http_io_shut_write(&c->io);
	http_io_due(&c->io, HTTP_LINGER_MS);
}

void conn_wrote(struct http_conn *c)
{
	if (c->state == CONN_DEAD)
		return;
	if (c->io.broken) {
		/* Not here: the caller may be in the middle of an answer. */
		http_server_kick(c->server, c);
		return;
	}
	if (http_io_unsent(&c->io) > 0 && c->io.due_ms == 0) {
		http_io_progress(&c->io);
		http_io_due(&c->io, c->server->opts.limits.write_timeout_ms);
	}
}

static void rest(struct http_conn *c)
{
	const struct http_limits *lim = &c->server->opts.limits;

	conn_move(c, CONN_IDLE);
	http_server_resume_accept(c->server);
	if (http_io_unsent(&c->io) > 0) {
		http_io_progress(&c->io);
		http_io_due(&c->io, lim->write_timeout_ms);
	} else {
		http_io_due(&c->io, lim->idle_timeout_ms);
	}
}

void conn_answered(struct http_conn *c)
{
	struct http_req *r = c->req;

	c->req = NULL;
	if (r != NULL) {
		r->conn = NULL;
		r->identity = NULL; /* c keeps it */
		req_release(r);
	}
	if (c->state == CONN_DEAD)
		return;
	if (c->io.broken) {
		conn_move(c, CONN_FLUSH);
		http_server_kick(c->server, c);
	} else if (c->close_after || (c->eof && http_io_unread(&c->io) == 0)) {
		conn_move(c, CONN_FLUSH);
		http_io_due(&c->io, 0);
		conn_wrote(c);
		if (http_io_unsent(&c->io) == 0)
			finish(c);
	} else {
		rest(c);
		if (!c->pumping && http_io_unread(&c->io) > 0)
			http_server_kick(c->server, c);
	}
}

/* ---- reading ---- */

/* Refuse the request being read; the connection ends with the answer. */
static void refuse(struct http_conn *c, int status, enum err_code code, const char *msg)
{
	if (c->req == NULL)
		c->req = req_new(c->server, c);
	c->req->parser.keep_alive = false;
	c->cut = true;
	reply_error(c->req, status, code, msg);
}

static void refuse_long(struct http_conn *c)
{
	char text[100];

	snprintf(text, sizeof(text), "the body is too long: at most %llu bytes are taken here",
		 (unsigned long long)c->req->parser.max_body_bytes);
	refuse(c, 413, ERR_LIMIT, text);
}

static void refuse_bad(struct http_conn *c)
{
	const struct http_parser *p = &c->req->parser;

	if (p->status == 413) {
		refuse_long(c);
		return;
	}
	enum err_code code = p->status == 414 || p->status == 431   ? ERR_LIMIT
			     : p->status == 501 || p->status == 505 ? ERR_UNSUPPORTED
								    : ERR_PARSE;

	refuse(c, p->status, code, p->why);
}

static bool is_spooled(const struct http_req *r)
{
	return r->route != NULL && (r->route->flags & HTTP_SPOOL_BODY) != 0;
}

static void begin_body(struct http_conn *c)
{
	struct http_req *r = c->req;
	struct err e;

	conn_move(c, CONN_BODY);
	c->body_came = 0;
	if (r->parser.framing != HTTP_NO_BODY)
		http_io_due(&c->io, c->server->opts.limits.body_timeout_ms);
	if (is_spooled(r) && !req_spool_open(r, &e)) {
		log_error(LOG_CTX_NONE, "%s", e.msg);
		refuse(c, 507, e.code, e.msg);
		return;
	}
	if (r->parser.expect_continue && r->parser.framing != HTTP_NO_BODY &&
	    http_io_unread(&c->io) == 0)
		reply_continue(c);
}

void http_req_admit(struct http_req *r)
{
	struct http_conn *c = r->conn;

	if (c == NULL || r->server == NULL) {
		req_release(r);
		return;
	}
	struct http_server *s = r->server;
	http_server_enter(s);
	req_closed(r);
	begin_body(c);
	conn_pump(c);
	http_server_leave(s);
}

/* Asks whether the request may go on; while that is not known, nothing more of it is read. */
static void admit(struct http_conn *c)
{
	struct http_req *r = c->req;
	struct http_server *s = c->server;

	if (r->route == NULL || s->opts.admit == NULL) {
		begin_body(c);
		return;
	}
	conn_move(c, CONN_ADMIT);
	http_io_due(&c->io, 0);
	conn_wrote(c);
	req_opened(r);
	if (s->opts.admit(r, r->route, s->opts.arg)) {
		req_closed(r);
		begin_body(c);
	}
}

/* The head is complete: which route, which limits, does the body come at all? */
static void take_head(struct http_conn *c)
{
	struct http_req *r = c->req;
	struct http_server *s = c->server;
	const char *why;

	if (!http_target_parse(&r->target, http_parser_target(&r->parser), &why)) {
		refuse(c, 400, ERR_PARSE, why);
		return;
	}
	http_router_match(s->router, r);
	size_t max = r->route != NULL && r->route->max_body_bytes > 0
			 ? r->route->max_body_bytes
			 : s->opts.limits.max_body_bytes;
	if (is_spooled(r) && s->opts.max_spool_bytes > 0 && max > s->opts.max_spool_bytes)
		max = s->opts.max_spool_bytes;
	r->parser.max_body_bytes = max;
	if (r->parser.framing == HTTP_LENGTH && r->parser.content_length > max) {
		refuse_long(c);
		return;
	}
	admit(c);
}

static void take_body(struct http_conn *c, const char *data, size_t len)
{
	struct http_req *r = c->req;
	struct err e;

	c->body_came += len;
	if (c->body_came >= HTTP_BODY_LEAST) {
		c->body_came = 0;
		http_io_due(&c->io, c->server->opts.limits.body_timeout_ms);
	}
	/* Of an unknown route the body is read and dropped, to keep the connection in step. */
	if (r->route == NULL)
		return;
	if (!is_spooled(r)) {
		buf_add(&r->body, data, len);
	} else if (!req_spool_write(r, data, len, &e)) {
		log_error(LOG_CTX_NONE, "%s", e.msg);
		refuse(c, 507, e.code, e.msg);
	}
}

static void answer_unknown(struct http_req *r)
{
	http_handler *h = r->server->opts.not_found;

	if (h != NULL)
		h(r, r->server->opts.arg);
	else if (r->path_known)
		reply_error(r, 405, ERR_SERVER, "this path has no such method");
	else
		reply_error(r, 404, ERR_SERVER, "there is no such path");
}

static void dispatch(struct http_conn *c)
{
	struct http_req *r = c->req;
	struct http_server *s = c->server;
	const struct http_route *route = r->route;

	conn_move(c, CONN_ANSWER);
	http_io_due(&c->io, 0);
	conn_wrote(c);
	req_opened(r);
	if (r->body_fd >= 0 && lseek(r->body_fd, 0, SEEK_SET) != 0) {
		reply_error(r, 500, ERR_IO, "cannot read the body back");
		return;
	}
	if (route != NULL && (route->flags & (HTTP_RAW_BODY | HTTP_SPOOL_BODY)) == 0)
		req_parse_json(r);
	if (route == NULL) {
		answer_unknown(r);
		return;
	}
	if (s->opts.before != NULL && !s->opts.before(r, route, s->opts.arg))
		return;
	route->handler(r, s->opts.arg);
}

/* One step with the bytes at hand; false when it needs more of them. */
static bool step(struct http_conn *c, const char *data, size_t len, size_t *used)
{
	struct http_req *r = c->req;
	const char *part;
	size_t part_len;

	switch (http_parse(&r->parser, data, len, used, &part, &part_len)) {
	case HTTP_HEAD:
		http_io_drop(&c->io, *used);
		*used = 0;
		take_head(c);
		return true;
	case HTTP_DATA:
		take_body(c, part, part_len);
		return true;
	case HTTP_END:
		http_io_drop(&c->io, *used);
		*used = 0;
		dispatch(c);
		return true;
	case HTTP_BAD:
		refuse_bad(c);
		return true;
	case HTTP_MORE:
		break;
	}
	return false;
}

static bool is_reading(const struct http_conn *c)
{
	return c->state == CONN_IDLE || c->state == CONN_HEAD || c->state == CONN_BODY;
}

static void drop_input(struct http_conn *c)
{
	http_io_drop(&c->io, http_io_unread(&c->io));
}

static void pump(struct http_conn *c)
{
	int requests = 0;

	while (is_reading(c)) {
		size_t len, used;
		const char *data = http_io_peek(&c->io, &len);
		if (c->state == CONN_IDLE) {
			if (len == 0)
				break;
			/* No new request for a client that does not take its answers. */
			if (http_io_unsent(&c->io) >= HTTP_IO_OUT_HIGH)
				break;
			if (requests++ == REQUESTS_PER_TURN) {
				http_server_kick(c->server, c);
				break;
			}
			c->req = req_new(c->server, c);
			conn_move(c, CONN_HEAD);
			http_io_due(&c->io, 0);
		}
		bool more = step(c, data, len, &used);
		http_io_drop(&c->io, used);
		if (!more && http_io_unread(&c->io) == 0)
			break;
	}
	/* Counted from the first byte: later bytes do not push it back. */
	if (c->state == CONN_HEAD && c->io.due_ms == 0)
		http_io_due(&c->io, c->server->opts.limits.header_timeout_ms);
}

/* The rest of a long body is read in large pieces, past the small reads of the bufferevent. */
static void read_directly(struct http_conn *c)
{
	static char piece[DIRECT_STEP];

	for (int i = 0; i < DIRECT_TURNS && c->state == CONN_BODY; i++) {
		uint64_t left = http_parser_body_left(&c->req->parser);
		if (left < DIRECT_LEAST)
			break;
		size_t want = left < sizeof(piece) ? (size_t)left : sizeof(piece);
		size_t used, len = http_io_read_direct(&c->io, piece, want);
		if (len == 0)
			break;
		step(c, piece, len, &used);
	}
}

/* The client has shut its side: what it sent is still served, what it began is not. */
static void settle_eof(struct http_conn *c)
{
	switch (c->state) {
	case CONN_IDLE:
		if (http_io_unread(&c->io) > 0)
			break;
		/* It may have shut only its sending half, and still wait for the last answer. */
		if (http_io_unsent(&c->io) > 0)
			conn_move(c, CONN_FLUSH);
		else
			conn_close(c);
		break;
	case CONN_ANSWER:
		if (c->req->reply != REPLY_FD)
			conn_close(c);
		break;
	case CONN_FLUSH:
	case CONN_DEAD:
		break;
	default:
		conn_close(c);
		break;
	}
}

void conn_pump(struct http_conn *c)
{
	if (c->pumping)
		return;
	c->pumping = true;
	if (c->state == CONN_LINGER || c->state == CONN_FLUSH)
		drop_input(c);
	else
		pump(c);
	if (c->state == CONN_BODY) {
		read_directly(c);
		pump(c); /* the body may be complete now */
	}
	c->pumping = false;
	http_io_throttle(&c->io);
	if (c->eof)
		settle_eof(c);
}

/* ---- events ---- */

static void on_read(struct bufferevent *bev, void *arg)
{
	struct http_conn *c = arg;
	struct http_server *s = c->server;

	http_server_enter(s);
	conn_pump(c);
	http_server_leave(s);
}

static void on_write(struct bufferevent *bev, void *arg)
{
	struct http_conn *c = arg;
	struct http_server *s = c->server;
	size_t unsent = http_io_unsent(&c->io);

	http_server_enter(s);
	if (unsent == 0 &&
	    (c->state == CONN_ADMIT || c->state == CONN_ANSWER || c->state == CONN_FLUSH))
		http_io_due(&c->io, 0);
	if (c->state == CONN_FLUSH && unsent == 0) {
		finish(c);
	} else if (c->state == CONN_ANSWER) {
		if (c->req->reply == REPLY_FD)
			reply_fd_pump(c->req);
		else if (c->req->reply == REPLY_STREAM)
			reply_room(c->req);
	} else if (c->state == CONN_IDLE) {
		if (unsent == 0)
			http_io_due(&c->io, s->opts.limits.idle_timeout_ms);
		conn_pump(c);
	}
	http_server_leave(s);
}

static void shaken(struct http_conn *c)
{
	struct err e;

	if (!tls_ctx_asks_clients(c->server->opts.tls)) {
		rest(c);
		conn_pump(c);
		return;
	}
	c->identity = mem_alloc(sizeof(*c->identity));
	if (!tls_peer_identity(c->io.ssl, c->identity, &e)) {
		log_warn(LOG_CTX_NONE, "refused a TLS connection: %s", e.msg);
		conn_close(c);
		return;
	}
	rest(c);
	conn_pump(c);
}

static void handshake_failed(struct http_conn *c)
{
	char why[256];

	tls_error_text_code(c->io.ssl, bufferevent_get_openssl_error(c->io.bev), why, sizeof(why));
	log_info(LOG_CTX_NONE, "a TLS handshake failed: %s", why);
	conn_close(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct http_conn *c = arg;
	struct http_server *s = c->server;

	http_server_enter(s);
	if ((what & BEV_EVENT_CONNECTED) != 0) {
		shaken(c);
	} else if (c->state == CONN_SHAKE) {
		handshake_failed(c);
	} else if ((what & BEV_EVENT_EOF) != 0) {
		c->eof = true;
		conn_pump(c);
	} else {
		conn_close(c);
	}
	http_server_leave(s);
}

static void on_due(void *arg)
{
	struct http_conn *c = arg;
	struct http_server *s = c->server;

	http_server_enter(s);
	switch (c->state) {
	case CONN_HEAD:
	case CONN_BODY:
		refuse(c, 408, ERR_TIMEOUT, "the request did not come in time");
		break;
	case CONN_IDLE:
	case CONN_ADMIT:
	case CONN_ANSWER:
	case CONN_FLUSH:
		if (http_io_unsent(&c->io) > 0 && http_io_progress(&c->io))
			http_io_due(&c->io, s->opts.limits.write_timeout_ms);
		else if (http_io_unsent(&c->io) > 0 ||
			 (c->state != CONN_ANSWER && c->state != CONN_ADMIT))
			conn_close(c);
		break;
	case CONN_SHAKE:
	case CONN_LINGER:
		conn_close(c);
		break;
	case CONN_DEAD:
		break;
	}
	http_server_leave(s);
}

void conn_accept(struct http_server *s, int fd, const struct sockaddr *sa, socklen_t len)
{
	static const struct http_io_calls calls = {on_read, on_write, on_event, on_due};
	SSL *ssl = NULL;
	struct err e;

	if (s->opts.tls != NULL && (ssl = tls_server_ssl(s->opts.tls, &e)) == NULL) {
		log_error(LOG_CTX_NONE, "%s", e.msg);
		close(fd);
		return;
	}
	struct http_conn *c = mem_zalloc(sizeof(*c));
	c->server = s;
	memcpy(&c->peer, sa, len < sizeof(c->peer) ? len : sizeof(c->peer));
	if (c->peer.sa.sa_family == AF_INET || c->peer.sa.sa_family == AF_INET6) {
		int on = 1;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
	if (!http_io_open(&c->io, s->base, fd, ssl, true, &calls, c, &e)) {
		log_error(LOG_CTX_NONE, "%s", e.msg);
		free(c);
		return;
	}
	s->n_conns++;
	c->state = CONN_SHAKE;
	TAILQ_INSERT_TAIL(&s->busy, c, link);
	if (ssl != NULL)
		http_io_due(&c->io, s->opts.limits.header_timeout_ms);
	else
		rest(c);
}
