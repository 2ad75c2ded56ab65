/* The client's connections: looking up, connecting, checking who is there, keeping alive. */
#include "config.h"
#include "net/http_client_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void connect_next(struct client_call *call, const char *why);

/* ---- connections that are up ---- */

static void unlink_conn(struct client_conn *conn)
{
	if (conn->call == NULL) {
		TAILQ_REMOVE(&conn->pool->idle, conn, link);
		conn->pool->n_idle--;
	} else {
		TAILQ_REMOVE(&conn->client->busy, conn, link);
	}
}

void client_conn_close(struct client_conn *conn)
{
	if (conn->dead)
		return;
	unlink_conn(conn);
	conn->call = NULL;
	conn->dead = true;
	http_io_close(&conn->io);
	TAILQ_INSERT_TAIL(&conn->client->dead, conn, link);
}

void client_conn_park(struct client_conn *conn)
{
	if (conn->io.broken || http_io_unsent(&conn->io) > 0 || http_io_unread(&conn->io) > 0 ||
	    conn->pool->n_idle >= conn->client->max_idle || conn->client->closing) {
		client_conn_close(conn);
		return;
	}
	unlink_conn(conn);
	conn->call = NULL;
	conn->reused = true;
	TAILQ_INSERT_HEAD(&conn->pool->idle, conn, link);
	conn->pool->n_idle++;
	http_io_due(&conn->io, CLIENT_IDLE_MS);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct client_conn *conn = arg;
	struct http_client *c = conn->client;

	client_enter(c);
	if (conn->call != NULL)
		call_on_bytes(conn->call);
	else
		client_conn_close(conn); /* nobody asked for this */
	client_leave(c);
}

static void on_write(struct bufferevent *bev, void *arg)
{
	struct client_conn *conn = arg;
	struct http_client *c = conn->client;

	if (conn->call == NULL || conn->call->more_left == 0)
		return;
	client_enter(c);
	if (conn->call->state == CALL_ANSWER)
		call_send_more(conn->call);
	client_leave(c);
}

static void on_due(void *arg)
{
	struct client_conn *conn = arg;
	struct http_client *c = conn->client;

	client_enter(c);
	if (conn->call == NULL)
		client_conn_close(conn);
	client_leave(c);
}

static void send_request(struct client_call *call)
{
	call->state = CALL_ANSWER;
	http_parser_init(&call->parser, HTTP_RESPONSE);
	call->parser.head_only = call->head_only;
	call->parser.max_header_bytes = http_limits_default.max_header_bytes;
	call->parser.max_body_bytes = call->max_body_bytes;
	buf_reset(&call->body);
	http_io_due(&call->conn->io, 0);
	/* A failed write is not looked at: what the other side said, or that it is gone, shows when
	 * reading. */
	http_io_send(&call->conn->io, call->request.data, call->request.len, NULL, 0);
	call_send_more(call);
}

static bool speaks_for(const struct client_conn *conn, const char *party)
{
	return party == NULL || tls_identity_has(conn->identity, party);
}

static void shaken(struct client_conn *conn)
{
	struct client_call *call = conn->call;
	struct err e;

	conn->identity = mem_zalloc(sizeof(*conn->identity));
	if (!tls_peer_identity(conn->io.ssl, conn->identity, &e))
		call_fail(call, e.code, "%s: %s", call->url.authority, e.msg);
	else if (!speaks_for(conn, call->expect_party))
		call_fail(call, ERR_TLS, "%s (%s) may not speak for party %s", call->url.authority,
			  conn->identity->subject, call->expect_party);
	else
		send_request(call);
}

/* OpenSSL's code, or the system's, of what went wrong. */
static void connection_lost(struct client_conn *conn, short what, int saved_errno)
{
	struct client_call *call = conn->call;
	unsigned long code = 0;
	char why[256];

	if (conn->io.ssl != NULL)
		code = bufferevent_get_openssl_error(conn->io.bev);
	if (code != 0 || call->state == CALL_SHAKE) {
		tls_error_text_code(conn->io.ssl, code, why, sizeof(why));
		if (call->state == CALL_SHAKE)
			call_fail(call, ERR_TLS, "no TLS connection to %s: %s", call->url.authority,
				  why);
		else
			call_on_end(call, ERR_TLS, why);
	} else if ((what & BEV_EVENT_EOF) != 0) {
		call_on_end(call, ERR_CONNECT, NULL);
	} else {
		call_on_end(call, ERR_CONNECT, strerror(saved_errno));
	}
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	int saved_errno = errno;
	struct client_conn *conn = arg;
	struct http_client *c = conn->client;

	client_enter(c);
	if (conn->call == NULL) {
		client_conn_close(conn);
	} else if ((what & BEV_EVENT_CONNECTED) != 0) {
		shaken(conn);
	} else if (conn->io.ssl == NULL && (what & BEV_EVENT_WRITING) != 0) {
		/* The answer may have come already. */
		conn->io.broken = true;
	} else {
		call_on_bytes(conn->call);
		if (conn->call != NULL)
			connection_lost(conn, what, saved_errno);
		else
			client_conn_close(conn); /* its last answer came with the end */
	}
	client_leave(c);
}

static bool is_name(const char *host)
{
	struct addrinfo *list = resolver_numeric(host, NULL);

	if (list == NULL)
		return true;
	freeaddrinfo(list);
	return false;
}

/* fd is connected. */
static void open_conn(struct client_call *call, int fd)
{
	static const struct http_io_calls calls = {on_read, on_write, on_event, on_due};
	struct http_client *c = call->client;
	SSL *ssl = NULL;
	struct err e;

	if (call->url.scheme == HTTP_SCHEME_HTTPS) {
		ssl = tls_client_ssl(c->tls, &e);
		if (ssl == NULL ||
		    !tls_set_host(c->tls, ssl, call->url.host, is_name(call->url.host), &e)) {
			SSL_free(ssl);
			close(fd);
			call_fail(call, e.code, "%s", e.msg);
			return;
		}
	}
	struct client_conn *conn = mem_zalloc(sizeof(*conn));
	conn->client = c;
	conn->pool = call->pool;
	if (!http_io_open(&conn->io, c->base, fd, ssl, false, &calls, conn, &e)) {
		free(conn);
		call_fail(call, e.code, "%s", e.msg);
		return;
	}
	conn->call = call;
	call->conn = conn;
	TAILQ_INSERT_TAIL(&c->busy, conn, link);
	if (ssl != NULL)
		call->state = CALL_SHAKE;
	else
		send_request(call);
}

/* ---- connecting ---- */

static void drop_fd(struct client_call *call)
{
	if (call->connect_armed)
		event_del(&call->connect_event);
	call->connect_armed = false;
	if (call->fd >= 0)
		close(call->fd);
	call->fd = -1;
}

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
	struct client_call *call = arg;
	struct http_client *c = call->client;
	int error = 0;
	socklen_t len = sizeof(error);

	client_enter(c);
	if ((what & EV_TIMEOUT) != 0)
		error = ETIMEDOUT;
	else if (getsockopt(call->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error == 0) {
		int connected = call->fd;
		call->fd = -1;
		drop_fd(call);
		open_conn(call, connected);
	} else {
		drop_fd(call);
		connect_next(call, strerror(error));
	}
	client_leave(c);
}

/* true: fd is connecting, or connected already */
static bool connect_to(struct client_call *call, const struct sockaddr *sa, socklen_t len,
		       bool is_last)
{
	int on = 1;

	call->fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (call->fd < 0)
		return false;
	if (sa->sa_family != AF_UNIX)
		setsockopt(call->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(call->fd, sa, len) != 0 && errno != EINPROGRESS)
		return false;
	struct timeval tv = {.tv_sec = CLIENT_ADDRESS_MS / 1000,
			     .tv_usec = CLIENT_ADDRESS_MS % 1000 * 1000};
	event_assign(&call->connect_event, call->client->base, call->fd, EV_WRITE, on_connected,
		     call);
	if (event_add(&call->connect_event, is_last ? NULL : &tv) != 0)
		return false;
	call->connect_armed = true;
	return true;
}

/* why: the trouble with the address before, NULL for the first. */
static void connect_next(struct client_call *call, const char *why)
{
	char reason[128];

	str_copy(reason, sizeof(reason), why != NULL ? why : "no address");
	call->state = CALL_CONNECT;
	while (call->next_address != NULL) {
		const struct addrinfo *a = call->next_address;
		call->next_address = a->ai_next;
		if (connect_to(call, a->ai_addr, a->ai_addrlen, a->ai_next == NULL))
			return;
		str_copy(reason, sizeof(reason), strerror(errno));
		drop_fd(call);
	}
	call_fail(call, ERR_CONNECT, "cannot connect to %s: %s", call->url.authority, reason);
}

static void start_addresses(struct client_call *call, struct addrinfo *list)
{
	call->addresses = list;
	call->next_address = list;
	connect_next(call, NULL);
}

static void on_looked_up(struct addrinfo *list, const struct err *e, void *arg)
{
	struct client_call *call = arg;
	struct http_client *c = call->client;

	client_enter(c);
	call->lookup = NULL;
	if (list == NULL)
		call_fail(call, e->code, "%s", e->msg);
	else
		start_addresses(call, list);
	client_leave(c);
}

static void connect_unix(struct client_call *call)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	call->state = CALL_CONNECT;
	if (!str_copy(un.sun_path, sizeof(un.sun_path), call->url.host)) {
		call_fail(call, ERR_USAGE, "the socket path %s is too long", call->url.host);
	} else if (!connect_to(call, (const struct sockaddr *)&un, sizeof(un), true)) {
		call_fail(call, ERR_CONNECT, "cannot connect to unix:%s: %s", call->url.host,
			  strerror(errno));
	}
}

static void connect_fresh(struct client_call *call)
{
	struct err e;

	if (call->url.scheme == HTTP_SCHEME_UNIX) {
		connect_unix(call);
		return;
	}
	struct addrinfo *list = resolver_numeric(call->url.host, call->url.port);
	if (list != NULL) {
		start_addresses(call, list);
		return;
	}
	call->state = CALL_LOOKUP;
	call->lookup = resolver_start(call->client->resolver, call->url.host, call->url.port,
				      on_looked_up, call, &e);
	if (call->lookup == NULL)
		call_fail(call, e.code, "%s", e.msg);
}

/* ---- what calls use ---- */

struct client_pool *client_pool_get(struct http_client *c, const struct http_url *url)
{
	char key[sizeof(url->host) + sizeof(url->port) + 8];
	struct buf b = {0};

	buf_printf(&b, "%d %s %s", (int)url->scheme, url->host, url->port);
	str_copy(key, sizeof(key), buf_str(&b));
	buf_free(&b);
	struct client_pool *pool = map_get(c->pools, key);
	if (pool == NULL) {
		pool = mem_zalloc(sizeof(*pool));
		TAILQ_INIT(&pool->idle);
		map_set(c->pools, key, pool);
	}
	return pool;
}

void call_connect(struct client_call *call, bool fresh)
{
	struct client_conn *conn;

	if (!fresh) {
		TAILQ_FOREACH (conn, &call->pool->idle, link)
			if (speaks_for(conn, call->expect_party))
				break;
		if (conn != NULL) {
			unlink_conn(conn);
			conn->call = call;
			call->conn = conn;
			TAILQ_INSERT_TAIL(&call->client->busy, conn, link);
			send_request(call);
			return;
		}
	}
	connect_fresh(call);
}

void call_disconnect(struct client_call *call)
{
	if (call->lookup != NULL)
		resolver_cancel(call->lookup);
	call->lookup = NULL;
	drop_fd(call);
	if (call->addresses != NULL)
		freeaddrinfo(call->addresses);
	call->addresses = call->next_address = NULL;
	if (call->conn != NULL)
		client_conn_close(call->conn);
	call->conn = NULL;
}
