#include "config.h"
#include "net/http_io.h"
#include "base/clock.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <linux/sockios.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Up to here two parts are worth one copy to become one TLS record and one system call. */
#define JOIN_MAX (16 * 1024)

static void timer_fired(evutil_socket_t fd, short what, void *arg);

static void arm(struct http_io *io, int64_t now_ms)
{
	int64_t wait_ms = io->due_ms > now_ms ? io->due_ms - now_ms : 0;
	struct timeval tv = {.tv_sec = (time_t)(wait_ms / 1000),
			     .tv_usec = (suseconds_t)(wait_ms % 1000) * 1000};

	if (event_add(&io->timer, &tv) == 0)
		io->armed_ms = io->due_ms;
}

static void timer_fired(evutil_socket_t fd, short what, void *arg)
{
	struct http_io *io = arg;
	int64_t now_ms = clock_mono_ms();

	io->armed_ms = 0;
	if (io->due_ms == 0)
		return;
	if (now_ms < io->due_ms) {
		arm(io, now_ms);
		return;
	}
	io->due_ms = 0;
	io->on_due(io->arg);
}

void http_io_due(struct http_io *io, int after_ms)
{
	if (io->bev == NULL)
		return;
	if (after_ms <= 0) {
		io->due_ms = 0;
		return;
	}
	int64_t now_ms = clock_mono_ms();
	io->due_ms = now_ms + after_ms;
	/* A timer that fires too early looks again; one that would fire too late is moved. */
	if (io->armed_ms == 0 || io->armed_ms > io->due_ms)
		arm(io, now_ms);
}

bool http_io_open(struct http_io *io, struct event_base *base, int fd, SSL *ssl, bool serve,
		  const struct http_io_calls *calls, void *arg, struct err *e)
{
	memset(io, 0, sizeof(*io));
	if (ssl == NULL) {
		io->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	} else {
		/* Deferred: a TLS write may otherwise call back while the caller is in the middle
		 * of something. */
		io->bev = bufferevent_openssl_socket_new(
		    base, fd, ssl, serve ? BUFFEREVENT_SSL_ACCEPTING : BUFFEREVENT_SSL_CONNECTING,
		    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	}
	if (io->bev == NULL) {
		if (ssl != NULL)
			SSL_free(ssl);
		close(fd);
		return err_set(e, ERR_IO, "out of memory for a connection");
	}
	io->ssl = ssl;
	io->on_due = calls->on_due;
	io->arg = arg;
	event_assign(&io->timer, base, -1, 0, timer_fired, io);
	io->has_timer = true;
	bufferevent_setcb(io->bev, calls->on_read, calls->on_write, calls->on_event, arg);
	bufferevent_setwatermark(io->bev, EV_WRITE, HTTP_IO_OUT_HIGH, 0);
	if (bufferevent_enable(io->bev, EV_READ | EV_WRITE) != 0) {
		http_io_close(io);
		return err_set(e, ERR_IO, "cannot watch a connection");
	}
	return true;
}

void http_io_close(struct http_io *io)
{
	if (io->has_timer) {
		event_del(&io->timer);
		io->has_timer = false;
	}
	if (io->bev == NULL)
		return;
	if (io->ssl != NULL && SSL_is_init_finished(io->ssl)) {
		/* Says goodbye, so that the other side can tell an end from a cut; does not wait
		 * for the answer. */
		SSL_set_shutdown(io->ssl, SSL_RECEIVED_SHUTDOWN);
		SSL_shutdown(io->ssl);
		ERR_clear_error();
	}
	bufferevent_setcb(io->bev, NULL, NULL, NULL, NULL);
	bufferevent_free(io->bev);
	io->bev = NULL;
	io->ssl = NULL;
	io->due_ms = 0;
}

int http_io_fd(const struct http_io *io)
{
	return io->bev != NULL ? (int)bufferevent_getfd(io->bev) : -1;
}

size_t http_io_unsent(const struct http_io *io)
{
	return io->bev != NULL ? evbuffer_get_length(bufferevent_get_output(io->bev)) : 0;
}

size_t http_io_unread(const struct http_io *io)
{
	return io->bev != NULL ? evbuffer_get_length(bufferevent_get_input(io->bev)) : 0;
}

bool http_io_progress(struct http_io *io)
{
	int unacked = 0;

	/* With TLS the two count different bytes; but the sum moves only when something is taken.
	 */
	if (ioctl(http_io_fd(io), SIOCOUTQ, &unacked) != 0)
		unacked = 0;
	uint64_t taken = io->total - http_io_unsent(io) - (uint64_t)unacked;
	bool moved = taken != io->taken_seen;
	io->taken_seen = taken;
	return moved;
}

static void queue(struct http_io *io, const char *data, size_t len)
{
	if (len == 0)
		return;
	if (evbuffer_add(bufferevent_get_output(io->bev), data, len) != 0)
		io->broken = true;
}

/* How much of the two parts the socket took. */
static size_t send_now(struct http_io *io, const char *a, size_t a_len, const char *b, size_t b_len)
{
	struct iovec iov[2];
	struct msghdr msg = {.msg_iov = iov};

	/* sendmsg() does not write through these pointers, but its type says it might. */
	if (a_len > 0) {
		memcpy(&iov[msg.msg_iovlen].iov_base, &a, sizeof(a));
		iov[msg.msg_iovlen++].iov_len = a_len;
	}
	if (b_len > 0) {
		memcpy(&iov[msg.msg_iovlen].iov_base, &b, sizeof(b));
		iov[msg.msg_iovlen++].iov_len = b_len;
	}
	ssize_t n = sendmsg(http_io_fd(io), &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n >= 0)
		return (size_t)n;
	if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		io->broken = true;
	return 0;
}

void http_io_send(struct http_io *io, const void *a, size_t a_len, const void *b, size_t b_len)
{
	const char *p = a;
	const char *q = b;

	if (io->bev == NULL || io->broken || a_len + b_len == 0)
		return;
	io->total += a_len + b_len;
	if (io->ssl == NULL && http_io_unsent(io) == 0) {
		size_t n = send_now(io, p, a_len, q, b_len);
		if (io->broken)
			return;
		size_t from_a = n < a_len ? n : a_len;
		queue(io, p + from_a, a_len - from_a);
		if (b_len > 0)
			queue(io, q + (n - from_a), b_len - (n - from_a));
		return;
	}
	if (io->ssl != NULL && a_len > 0 && b_len > 0 && a_len <= JOIN_MAX &&
	    b_len <= JOIN_MAX - a_len) {
		char both[JOIN_MAX];
		memcpy(both, p, a_len);
		memcpy(both + a_len, q, b_len);
		queue(io, both, a_len + b_len);
		return;
	}
	queue(io, p, a_len);
	queue(io, q, b_len);
}

const char *http_io_peek(struct http_io *io, size_t *len)
{
	struct evbuffer_iovec v;

	*len = 0;
	if (io->bev == NULL || evbuffer_peek(bufferevent_get_input(io->bev), -1, NULL, &v, 1) < 1)
		return NULL;
	*len = v.iov_len;
	return v.iov_base;
}

void http_io_drop(struct http_io *io, size_t n)
{
	if (io->bev != NULL && n > 0)
		evbuffer_drain(bufferevent_get_input(io->bev), n);
}

void http_io_throttle(struct http_io *io)
{
	if (io->bev == NULL)
		return;
	bool full = http_io_unread(io) >= HTTP_IO_IN_MAX;
	if (full == io->paused)
		return;
	io->paused = full;
	if (full)
		bufferevent_disable(io->bev, EV_READ);
	else
		bufferevent_enable(io->bev, EV_READ);
}

size_t http_io_read_direct(struct http_io *io, void *out, size_t size)
{
	if (io->bev == NULL || io->ssl != NULL || http_io_unread(io) > 0)
		return 0;
	/* An end or an error is left for the bufferevent to find again. */
	ssize_t n = recv(http_io_fd(io), out, size, MSG_DONTWAIT);
	return n > 0 ? (size_t)n : 0;
}

void http_io_shut_write(struct http_io *io)
{
	if (io->bev == NULL)
		return;
	if (io->ssl != NULL) {
		SSL_shutdown(io->ssl);
		ERR_clear_error();
	}
	shutdown(http_io_fd(io), SHUT_WR);
}
