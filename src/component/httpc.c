#include "config.h"

#include "component/httpc.h"

#include "base/clock.h"
#include "base/str.h"
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* How an exchange ended, so that only a stale connection is tried again. */
enum outcome { DONE, STALE, FAILED };

/* An IP address as text; "localhost" and the wildcard addresses mean the loopback ones. */
static bool parse_address(const char *host, struct sockaddr_storage *out)
{
	struct sockaddr_in *a4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof *out);
	if (strcmp(host, "localhost") == 0 || strcmp(host, "0.0.0.0") == 0)
		host = "127.0.0.1";
	if (strcmp(host, "::") == 0)
		host = "::1";
	if (inet_pton(AF_INET, host, &a4->sin_addr) == 1)
		out->ss_family = AF_INET;
	else if (inet_pton(AF_INET6, host, &a6->sin6_addr) == 1)
		out->ss_family = AF_INET6;
	return out->ss_family != 0;
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr *b)
{
	if (b == NULL || b->sa_family != a->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
	return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
		      &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr,
		      sizeof(struct in6_addr)) == 0;
}

/* Loopback, or an address of one of this machine's interfaces. */
static bool is_own_address(const struct sockaddr_storage *a)
{
	struct ifaddrs *all, *i;
	bool own = false;

	if (a->ss_family == AF_INET &&
	    (ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24) == 127)
		return true;
	if (a->ss_family == AF_INET6 &&
	    IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr))
		return true;
	if (getifaddrs(&all) != 0)
		return false;
	for (i = all; i != NULL && !own; i = i->ifa_next)
		own = same_address(a, i->ifa_addr);
	freeifaddrs(all);
	return own;
}

static bool parse_port(const char *s, uint16_t *out)
{
	int64_t v;

	if (!str_to_i64(s, &v) || v < 1 || v > 65535)
		return false;
	*out = (uint16_t)v;
	return true;
}

bool httpc_init(struct httpc *c, const char *url, const char *token, struct err *e)
{
	char hostport[128], *colon, *end;
	const char *p, *slash;
	size_t len;

	memset(c, 0, sizeof *c);
	c->fd = -1;
	if (!str_starts(url, "http://"))
		return err_set(e, ERR_USAGE, "node URL '%.200s' does not start with http://", url);
	p = url + strlen("http://");
	slash = p + strcspn(p, "/?#");
	len = (size_t)(slash - p);
	if (len == 0 || len >= sizeof hostport || !str_copy(c->path, sizeof c->path, slash))
		return err_set(e, ERR_USAGE, "node URL '%.200s' is not valid", url);
	memcpy(hostport, p, len);
	hostport[len] = '\0';
	end = c->path + strlen(c->path);
	if (end > c->path && end[-1] == '/')
		end[-1] = '\0';
	c->port = 80;
	colon = strrchr(hostport, ':');
	if (colon != NULL && strchr(colon, ']') == NULL) {
		*colon = '\0';
		if (!parse_port(colon + 1, &c->port))
			return err_set(e, ERR_USAGE, "node URL '%.200s' has a bad port", url);
	}
	p = hostport;
	if (*p == '[') {
		p++;
		hostport[strlen(hostport) - 1] = '\0';
	}
	if (!str_copy(c->host, sizeof c->host, p) || !parse_address(p, &c->address) ||
	    !is_own_address(&c->address))
		return err_set(e, ERR_USAGE,
			       "node URL '%.200s' is not on this machine: a "
			       "component talks to its own node only",
			       url);
	if (c->address.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&c->address)->sin6_port = htons(c->port);
	else
		((struct sockaddr_in *)&c->address)->sin_port = htons(c->port);
	if (token != NULL && (!str_copy(c->token, sizeof c->token, token) ||
			      strcspn(token, "\r\n") != strlen(token)))
		return err_set(e, ERR_USAGE, "the task token is not valid");
	return true;
}

static void disconnect(struct httpc *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	buf_reset(&c->in);
}

void httpc_free(struct httpc *c)
{
	disconnect(c);
	buf_free(&c->in);
	OPENSSL_cleanse(c->token, sizeof c->token);
}

void httpc_answer_free(struct httpc_answer *a)
{
	buf_free(&a->head);
	buf_free(&a->body);
	a->status = 0;
}

static bool wait_for(const struct httpc *c, short events, int64_t deadline, struct err *e)
{
	struct pollfd p = {.fd = c->fd, .events = events};
	int64_t left;
	int n;

	do {
		left = deadline - clock_mono_ms();
		if (left <= 0)
			return err_set(e, ERR_TIMEOUT, "node %s:%u did not answer in time", c->host,
				       c->port);
		n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
	} while (n == 0 || (n < 0 && errno == EINTR));
	return n > 0 || err_set(e, ERR_IO, "poll: %s", strerror(errno));
}

static bool open_socket(struct httpc *c, int64_t deadline, struct err *e)
{
	bool v6 = c->address.ss_family == AF_INET6;
	int one = 1, error = 0, rc;
	socklen_t len = sizeof error;

	c->fd = socket(c->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return err_set(e, ERR_IO, "socket: %s", strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	rc = connect(c->fd, (const struct sockaddr *)&c->address,
		     v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
	if (rc < 0 && errno == EINPROGRESS) {
		if (!wait_for(c, POLLOUT, deadline, e))
			return false;
		if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0)
			rc = error == 0 ? 0 : -1;
		errno = error;
	}
	return rc == 0 || err_set(e, ERR_CONNECT, "cannot connect to node %s:%u: %s", c->host,
				  c->port, strerror(errno));
}

static bool send_all(const struct httpc *c, const char *p, size_t len, int64_t deadline,
		     struct err *e)
{
	ssize_t n;

	while (len > 0) {
		n = send(c->fd, p, len, MSG_NOSIGNAL);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			if (!wait_for(c, POLLOUT, deadline, e))
				return false;
		} else if (n < 0 && errno != EINTR) {
			return err_set(e, ERR_CONNECT, "node %s:%u: %s", c->host, c->port,
				       strerror(errno));
		}
	}
	return true;
}

/* Read more into c->in; false with ERR_CONNECT when the connection ended. */
static bool read_more(struct httpc *c, int64_t deadline, struct err *e)
{
	char block[65536];
	ssize_t n;

	for (;;) {
		n = recv(c->fd, block, sizeof block, 0);
		if (n > 0) {
			buf_add(&c->in, block, (size_t)n);
			return true;
		}
		if (n == 0)
			return err_set(e, ERR_CONNECT, "node %s:%u closed the connection", c->host,
				       c->port);
		if (errno == EAGAIN || errno == EWOULDBLOCK) {
			if (!wait_for(c, POLLIN, deadline, e))
				return false;
		} else if (errno != EINTR) {
			return err_set(e, ERR_CONNECT, "node %s:%u: %s", c->host, c->port,
				       strerror(errno));
		}
	}
}

/* One line without its end from c->in, appended to out with LF. */
static bool read_line(struct httpc *c, struct buf *out, int64_t deadline, struct err *e)
{
	char *nl;
	size_t len;

	while (c->in.len == 0 || (nl = memchr(c->in.data, '\n', c->in.len)) == NULL) {
		if (c->in.len > HTTPC_HEADS_MAX)
			return err_set(e, ERR_LIMIT,
				       "the node's answer has a line that is too long");
		if (!read_more(c, deadline, e))
			return false;
	}
	len = (size_t)(nl - c->in.data);
	buf_add(out, c->in.data, len > 0 && nl[-1] == '\r' ? len - 1 : len);
	buf_addc(out, '\n');
	buf_drop(&c->in, len + 1);
	if (out->len > HTTPC_HEADS_MAX)
		return err_set(e, ERR_LIMIT, "the node's answer has too many headers");
	return true;
}

static bool read_exact(struct httpc *c, size_t len, struct buf *out, int64_t deadline,
		       struct err *e)
{
	size_t n;

	while (len > 0) {
		if (c->in.len == 0 && !read_more(c, deadline, e))
			return false;
		n = c->in.len < len ? c->in.len : len;
		buf_add(out, c->in.data, n);
		buf_drop(&c->in, n);
		len -= n;
	}
	return true;
}

bool httpc_header(const struct httpc_answer *a, const char *name, char *out, size_t size)
{
	const char *p = buf_str(&a->head), *v;
	size_t n = strlen(name), len;

	while ((p = strchr(p, '\n')) != NULL) { /* the first line is the status line */
		p++;
		if (strncasecmp(p, name, n) != 0 || p[n] != ':')
			continue;
		v = p + n + 1;
		v += strspn(v, " \t");
		len = strcspn(v, "\n");
		while (len > 0 && (v[len - 1] == ' ' || v[len - 1] == '\t'))
			len--;
		if (len >= size)
			return false;
		memcpy(out, v, len);
		out[len] = '\0';
		return true;
	}
	return false;
}

static bool read_chunks(struct httpc *c, struct buf *body, int64_t deadline, struct err *e)
{
	struct buf line = {0}, rest = {0};
	char *end;
	unsigned long size;
	bool ok = false;

	do {
		buf_reset(&line);
		if (!read_line(c, &line, deadline, e))
			goto out;
		size = strtoul(line.data, &end, 16);
		if (end == line.data || strchr("\n; ", *end) == NULL || line.data[0] == '-' ||
		    size > HTTPC_BODY_MAX || body->len + size > HTTPC_BODY_MAX) {
			err_set(e, ERR_PARSE, "the node's answer has a bad chunk");
			goto out;
		}
		if (size > 0 &&
		    (!read_exact(c, size, body, deadline, e) || !read_line(c, &rest, deadline, e)))
			goto out;
	} while (size > 0);
	do { /* trailers, up to the empty line */
		buf_reset(&line);
		if (!read_line(c, &line, deadline, e))
			goto out;
	} while (line.len > 1);
	ok = true;
out:
	buf_free(&line);
	buf_free(&rest);
	return ok;
}

static bool read_body(struct httpc *c, struct httpc_answer *a, bool *keep, int64_t deadline,
		      struct err *e)
{
	char v[64];
	int64_t len;

	*keep = !httpc_header(a, "Connection", v, sizeof v) || strcasecmp(v, "close") != 0;
	if (a->status == 204 || a->status == 304)
		return true;
	if (httpc_header(a, "Transfer-Encoding", v, sizeof v)) {
		if (strcasecmp(v, "chunked") != 0)
			return err_set(e, ERR_PARSE, "the node's answer has an unknown coding");
		return read_chunks(c, &a->body, deadline, e);
	}
	if (!httpc_header(a, "Content-Length", v, sizeof v) || !str_to_i64(v, &len) || len < 0)
		return err_set(e, ERR_PARSE, "the node's answer has no valid length");
	if (len > HTTPC_BODY_MAX)
		return err_set(e, ERR_LIMIT, "the node's answer is longer than %d bytes",
			       HTTPC_BODY_MAX);
	return read_exact(c, (size_t)len, &a->body, deadline, e);
}

static bool read_answer(struct httpc *c, struct httpc_answer *a, int64_t deadline, struct err *e)
{
	bool keep;
	size_t before;

	do { /* interim answers (1xx) are skipped */
		buf_reset(&a->head);
		if (!read_line(c, &a->head, deadline, e))
			return false;
		if (!str_starts(a->head.data, "HTTP/1.") || a->head.len < 13)
			return err_set(e, ERR_PARSE, "the node's answer is not HTTP");
		a->status = atoi(a->head.data + 9);
		do {
			before = a->head.len;
			if (!read_line(c, &a->head, deadline, e))
				return false;
		} while (a->head.len > before + 1);
	} while (a->status >= 100 && a->status < 200);
	if (a->status < 200 || a->status > 599)
		return err_set(e, ERR_PARSE, "the node's answer has no valid status");
	if (!read_body(c, a, &keep, deadline, e))
		return false;
	if (!keep)
		disconnect(c);
	return true;
}

static enum outcome exchange(struct httpc *c, const struct buf *head, const void *body, size_t len,
			     int64_t deadline, struct httpc_answer *a, struct err *e)
{
	bool reused = c->fd >= 0;

	if (!reused && !open_socket(c, deadline, e)) {
		disconnect(c);
		return FAILED;
	}
	if (send_all(c, head->data, head->len, deadline, e) &&
	    (len == 0 || send_all(c, body, len, deadline, e)) && read_answer(c, a, deadline, e))
		return DONE;
	reused = reused && e->code == ERR_CONNECT && a->head.len == 0 && c->in.len == 0;
	disconnect(c);
	return reused ? STALE : FAILED;
}

bool httpc_request(struct httpc *c, const char *method, const char *target,
		   const char *content_type, const void *body, size_t len, int64_t timeout_ms,
		   struct httpc_answer *a, struct err *e)
{
	int64_t deadline = clock_mono_ms() + timeout_ms;
	struct buf head = {0};
	struct err local = {0};
	enum outcome got;

	memset(a, 0, sizeof *a);
	buf_printf(&head, "%s %s%s HTTP/1.1\r\nHost: %s:%u\r\nConnection: keep-alive\r\n", method,
		   c->path, target, c->host, c->port);
	if (c->token[0] != '\0')
		buf_printf(&head, "Authorization: Bearer %s\r\n", c->token);
	if (content_type != NULL)
		buf_printf(&head, "Content-Type: %s\r\n", content_type);
	if (body != NULL || strcmp(method, "GET") != 0)
		buf_printf(&head, "Content-Length: %zu\r\n", len);
	buf_adds(&head, "\r\n");
	got = exchange(c, &head, body, len, deadline, a, &local);
	if (got == STALE) {
		httpc_answer_free(a);
		got = exchange(c, &head, body, len, deadline, a, &local);
	}
	buf_free(&head);
	if (got == DONE)
		return true;
	httpc_answer_free(a);
	return err_set(e, local.code, "%s", local.msg);
}
