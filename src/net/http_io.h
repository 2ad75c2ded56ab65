/*
 * One byte stream of the HTTP server or client: a bufferevent, plain or TLS, with a timer that
 * costs nothing to push back, and writes that go to the socket at once when nothing waits before
 * them.
 */
#ifndef NORN_NET_HTTP_IO_H
#define NORN_NET_HTTP_IO_H

#include "base/err.h"
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#define HTTP_IO_IN_MAX   (64 * 1024) /* unread bytes kept in memory */
#define HTTP_IO_OUT_HIGH (64 * 1024) /* more unsent bytes than this: "enough for now" */

struct http_io {
	struct bufferevent *bev; /* NULL: closed */
	SSL *ssl;                /* owned by bev; NULL on plain connections */
	struct event timer;
	bool has_timer;
	bool broken;         /* a write failed: nothing more will arrive there */
	bool paused;         /* by http_io_throttle() */
	int64_t due_ms;      /* 0: none; monotonic */
	int64_t armed_ms;    /* when the timer will really fire; 0: not armed */
	uint64_t total;      /* bytes given to http_io_send(), ever */
	uint64_t taken_seen; /* of those, acknowledged at the last http_io_progress() */
	void (*on_due)(void *arg);
	void *arg;
};

struct http_io_calls {
	bufferevent_data_cb on_read;
	bufferevent_data_cb
	    on_write; /* at every step at which at most HTTP_IO_OUT_HIGH is unsent */
	bufferevent_event_cb on_event;
	void (*on_due)(void *arg);
};

/* Takes fd and ssl (NULL: plain) over, also on failure. serve: we are the accepting side. */
MUST_CHECK bool http_io_open(struct http_io *io, struct event_base *base, int fd, SSL *ssl,
			     bool serve, const struct http_io_calls *calls, void *arg,
			     struct err *e);
void http_io_close(struct http_io *io);
int http_io_fd(const struct http_io *io);

/* Both parts in order; either may be empty. */
void http_io_send(struct http_io *io, const void *a, size_t a_len, const void *b, size_t b_len);
size_t http_io_unsent(const struct http_io *io);
/* The other side has taken something since the last time this was asked. Unlike what is unsent,
 * this does not wait until a good part of the system's buffer is free. */
bool http_io_progress(struct http_io *io);
/* The first contiguous unread bytes; NULL and 0 when there are none. */
const char *http_io_peek(struct http_io *io, size_t *len);
void http_io_drop(struct http_io *io, size_t n);
size_t http_io_unread(const struct http_io *io);
/*
 * Stops reading when HTTP_IO_IN_MAX bytes are unread, and goes on when they are fewer; to be called
 * when either may have changed. (The read watermark of bufferevents would do this by itself, but
 * those of libevent 2.1 with TLS stall then: they lose what OpenSSL has decrypted already.)
 */
void http_io_throttle(struct http_io *io);
/* Straight from the socket of a plain connection whose input is drained; 0 when that is not to be
 * had. */
size_t http_io_read_direct(struct http_io *io, void *out, size_t size);
/* Tell the other side that no more comes; what it sends can still be read. */
void http_io_shut_write(struct http_io *io);

/* on_due is called after_ms from now; 0: never. */
void http_io_due(struct http_io *io, int after_ms);

#endif
