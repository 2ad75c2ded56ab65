/* The server: listening, accepting within limits, and housekeeping after each callback. */
#include "config.h"
#include "net/http_int.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <event2/listener.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG         511
#define ACCEPT_PAUSE_MS 100 /* when the process is out of descriptors */

const struct http_limits http_limits_default = {
    .max_header_bytes = 16 * 1024,
    .max_body_bytes = 8 * 1024 * 1024,
    .max_connections = 16384,
    .header_timeout_ms = 10 * 1000,
    .body_timeout_ms = 30 * 1000,
    .idle_timeout_ms = 75 * 1000,
    .write_timeout_ms = 30 * 1000,
};

/* ---- housekeeping ---- */

static void free_dead(struct http_server *s)
{
	struct http_conn *c;

	while ((c = TAILQ_FIRST(&s->dead)) != NULL) {
		TAILQ_REMOVE(&s->dead, c, link);
		free(c->identity);
		free(c);
	}
}

static void server_destroy(struct http_server *s)
{
	struct http_req *r;

	free_dead(s);
	while ((r = TAILQ_FIRST(&s->pool)) != NULL) {
		TAILQ_REMOVE(&s->pool, r, link);
		r->server = NULL;
		req_release(r);
	}
	if (s->kick_event != NULL)
		event_free(s->kick_event);
	if (s->accept_event != NULL)
		event_free(s->accept_event);
	http_router_free(s->router);
	buf_free(&s->out);
	buf_free(&s->text);
	free(s->spool_dir);
	free(s->unix_path);
	free(s);
}

void http_server_enter(struct http_server *s)
{
	s->depth++;
}

void http_server_leave(struct http_server *s)
{
	if (--s->depth > 0)
		return;
	if (s->freed)
		server_destroy(s);
	else
		free_dead(s);
}

void http_server_kick(struct http_server *s, struct http_conn *c)
{
	if (c->kicked || c->state == CONN_DEAD)
		return;
	c->kicked = true;
	TAILQ_INSERT_TAIL(&s->kicks, c, kick_link);
	/* A timer, not event_active(): that would come before any other input is looked at. */
	static const struct timeval at_once = {0};
	event_add(s->kick_event, &at_once);
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;
	struct http_conn *c;

	http_server_enter(s);
	/* Those kicked meanwhile wait for the next round, so that input and output get their turn.
	 */
	size_t n = 0;
	TAILQ_FOREACH (c, &s->kicks, kick_link)
		n++;
	while (n-- > 0 && (c = TAILQ_FIRST(&s->kicks)) != NULL) {
		TAILQ_REMOVE(&s->kicks, c, kick_link);
		c->kicked = false;
		if (c->io.broken)
			conn_close(c);
		else if (c->state == CONN_ANSWER && c->req->reply == REPLY_FD)
			reply_fd_pump(c->req);
		else
			conn_pump(c);
	}
	http_server_leave(s);
}

const char *http_server_date(struct http_server *s)
{
	int64_t now_s = clock_wall_ms() / 1000;

	if (now_s != s->date_s) {
		static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
		static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
						 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
		time_t t = (time_t)now_s;
		struct tm tm;
		gmtime_r(&t, &tm);
		/* strftime() would use the names of the locale */
		snprintf(s->date, sizeof(s->date), "%s, %02d %s %04d %02d:%02d:%02d GMT",
			 days[tm.tm_wday % 7], tm.tm_mday % 100, months[tm.tm_mon % 12],
			 (tm.tm_year + 1900) % 10000, tm.tm_hour % 100, tm.tm_min % 100,
			 tm.tm_sec % 100);
		s->date_s = now_s;
	}
	return s->date;
}

/* ---- accepting ---- */

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
		      void *arg)
{
	struct http_server *s = arg;

	http_server_enter(s);
	if (s->n_conns >= s->opts.limits.max_connections) {
		/* Somebody new is worth more than the connection that has been silent longest. */
		struct http_conn *oldest = TAILQ_FIRST(&s->idle);
		if (oldest != NULL)
			conn_close(oldest);
	}
	if (s->n_conns >= s->opts.limits.max_connections) {
		log_warn(LOG_CTX_NONE, "all %d connections are busy: a new one was refused",
			 s->opts.limits.max_connections);
		close(fd);
		s->accept_paused = true;
		evconnlistener_disable(l);
	} else {
		conn_accept(s, fd, sa, (socklen_t)len);
	}
	http_server_leave(s);
}

void http_server_resume_accept(struct http_server *s)
{
	if (!s->accept_paused || s->listener == NULL)
		return;
	s->accept_paused = false;
	evconnlistener_enable(s->listener);
}

static void on_accept_pause_over(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;

	if (s->listener != NULL && !s->accept_paused)
		evconnlistener_enable(s->listener);
}

static void on_accept_error(struct evconnlistener *l, void *arg)
{
	struct http_server *s = arg;
	struct timeval tv = {.tv_usec = ACCEPT_PAUSE_MS * 1000};

	log_error(LOG_CTX_NONE, "cannot accept connections: %s", strerror(errno));
	/* Not accept_paused: every answered request would try, and fail, again. */
	evconnlistener_disable(l);
	event_add(s->accept_event, &tv);
}

/* ---- listening ---- */

static int listen_unix(struct http_server *s, const char *path, struct err *e)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	if (!str_copy(un.sun_path, sizeof(un.sun_path), path)) {
		err_set(e, ERR_CONFIG, "the socket path %s is longer than %zu bytes", path,
			sizeof(un.sun_path) - 1);
		return -1;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		err_set(e, ERR_IO, "cannot make a socket: %s", strerror(errno));
		return -1;
	}
	/* A socket that nobody listens on was left behind by a program that was killed. */
	struct stat st;
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
		int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (probe >= 0 && connect(probe, (struct sockaddr *)&un, sizeof(un)) != 0 &&
		    errno == ECONNREFUSED)
			unlink(path);
		if (probe >= 0)
			close(probe);
	}
	if (bind(fd, (struct sockaddr *)&un, sizeof(un)) != 0 || listen(fd, BACKLOG) != 0) {
		err_set(e, ERR_IO, "cannot listen on unix:%s: %s", path, strerror(errno));
		close(fd);
		return -1;
	}
	s->unix_path = mem_strdup(path);
	return fd;
}

/* "host:port" or "[v6]:port"; host "" or "*" means all addresses. */
static bool split_listen(const char *text, char *host, size_t size, const char **port)
{
	const char *colon = strrchr(text, ':');

	if (colon == NULL || colon[1] == 0)
		return false;
	size_t len = (size_t)(colon - text);
	if (len >= 2 && text[0] == '[' && colon[-1] == ']') {
		text++;
		len -= 2;
	} else if (memchr(text, ':', len) != NULL) {
		return false;
	}
	if (len >= size)
		return false;
	memcpy(host, text, len);
	host[len] = 0;
	*port = colon + 1;
	int64_t number;
	return str_to_i64(*port, &number) && number >= 0 && number <= 65535;
}

static int listen_tcp(const char *text, struct err *e)
{
	char host[256];
	const char *port;
	struct addrinfo *list = NULL;
	struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
				 .ai_socktype = SOCK_STREAM};

	if (!split_listen(text, host, sizeof(host), &port)) {
		err_set(e, ERR_CONFIG,
			"cannot listen on \"%s\": want host:port, [ipv6]:port or unix:/path", text);
		return -1;
	}
	bool any = host[0] == 0 || strcmp(host, "*") == 0;
	int rc = getaddrinfo(any ? NULL : host, port, &hints, &list);
	if (rc != 0) {
		err_set(e, ERR_CONFIG, "cannot listen on %s: %s", text, gai_strerror(rc));
		return -1;
	}
	int fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(fd, list->ai_addr, list->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
		err_set(e, ERR_IO, "cannot listen on %s: %s", text, strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	return fd;
}

static bool start_listening(struct http_server *s, const char *text, struct err *e)
{
	int fd;

	if (str_starts(text, "unix:"))
		fd = listen_unix(s, text + strlen("unix:"), e);
	else
		fd = listen_tcp(text, e);
	if (fd < 0)
		return false;
	s->listener = evconnlistener_new(s->base, on_accept, s,
					 LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (s->listener == NULL) {
		close(fd);
		return err_set(e, ERR_IO, "cannot listen on %s", text);
	}
	evconnlistener_set_error_cb(s->listener, on_accept_error);
	return true;
}

/* ---- the public part ---- */

static void default_limits(struct http_limits *lim)
{
	const struct http_limits *def = &http_limits_default;

	if (lim->max_header_bytes == 0)
		lim->max_header_bytes = def->max_header_bytes;
	if (lim->max_body_bytes == 0)
		lim->max_body_bytes = def->max_body_bytes;
	if (lim->max_connections <= 0)
		lim->max_connections = def->max_connections;
	if (lim->header_timeout_ms <= 0)
		lim->header_timeout_ms = def->header_timeout_ms;
	if (lim->body_timeout_ms <= 0)
		lim->body_timeout_ms = def->body_timeout_ms;
	if (lim->idle_timeout_ms <= 0)
		lim->idle_timeout_ms = def->idle_timeout_ms;
	if (lim->write_timeout_ms <= 0)
		lim->write_timeout_ms = def->write_timeout_ms;
}

struct http_server *http_server_new(struct event_base *base, const struct http_server_opts *opts,
				    struct err *e)
{
	struct http_server *s = mem_zalloc(sizeof(*s));

	s->base = base;
	s->opts = *opts;
	default_limits(&s->opts.limits);
	s->spool_dir = mem_strdup(opts->spool_dir != NULL ? opts->spool_dir : P_tmpdir);
	s->router = http_router_new();
	TAILQ_INIT(&s->idle);
	TAILQ_INIT(&s->busy);
	TAILQ_INIT(&s->dead);
	TAILQ_INIT(&s->kicks);
	TAILQ_INIT(&s->open);
	TAILQ_INIT(&s->pool);
	str_random_hex(s->id_prefix, 6);
	s->kick_event = event_new(base, -1, 0, on_kick, s);
	s->accept_event = event_new(base, -1, 0, on_accept_pause_over, s);
	if (s->kick_event == NULL || s->accept_event == NULL) {
		err_set(e, ERR_IO, "out of memory for a server");
		server_destroy(s);
		return NULL;
	}
	if (!start_listening(s, opts->listen, e)) {
		server_destroy(s);
		return NULL;
	}
	/* The texts belong to the caller and may be gone by now. */
	s->opts.listen = NULL;
	s->opts.spool_dir = NULL;
	return s;
}

void http_server_routes(struct http_server *s, const struct http_route *routes, size_t n)
{
	http_router_add(s->router, routes, n);
}

int http_server_port(const struct http_server *s)
{
	union http_addr addr;
	socklen_t len = sizeof(addr);

	if (s->listener == NULL || s->unix_path != NULL ||
	    getsockname(evconnlistener_get_fd(s->listener), &addr.sa, &len) != 0)
		return 0;
	return ntohs(addr.sa.sa_family == AF_INET6 ? addr.in6.sin6_port : addr.in.sin_port);
}

static void stop_listening(struct http_server *s)
{
	if (s->listener != NULL)
		evconnlistener_free(s->listener);
	s->listener = NULL;
	if (s->unix_path != NULL)
		unlink(s->unix_path);
	free(s->unix_path);
	s->unix_path = NULL;
}

void http_server_drain(struct http_server *s)
{
	struct http_conn *c, *next;

	if (s->draining)
		return;
	http_server_enter(s);
	s->draining = true;
	stop_listening(s);
	for (c = TAILQ_FIRST(&s->idle); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (http_io_unsent(&c->io) > 0)
			conn_move(c, CONN_FLUSH);
		else
			conn_close(c);
	}
	http_server_leave(s);
}

int http_server_open_requests(const struct http_server *s)
{
	const struct http_conn *c;
	int unsent = 0;

	TAILQ_FOREACH (c, &s->busy, link)
		if (c->state == CONN_FLUSH)
			unsent++;
	return s->n_open + unsent;
}

void http_server_free(struct http_server *s)
{
	struct http_conn *c;
	struct http_req *r;

	if (s == NULL || s->freed)
		return;
	http_server_enter(s);
	s->draining = true;
	stop_listening(s);
	while ((c = TAILQ_FIRST(&s->busy)) != NULL || (c = TAILQ_FIRST(&s->idle)) != NULL)
		conn_close(c);
	/* Their handlers will still answer, into the void. */
	while ((r = TAILQ_FIRST(&s->open)) != NULL) {
		TAILQ_REMOVE(&s->open, r, link);
		r->server = NULL;
	}
	s->freed = true;
	http_server_leave(s);
}
