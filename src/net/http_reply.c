/* Answers: whole, from a file, or streamed. */
#include "config.h"
#include "net/http_int.h"
#include "base/js.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_STEP (64 * 1024)

/* What fits is joined to the head, to be one piece on its way. */
#define SMALL_BODY (16 * 1024)

/* A JSON text longer than this gives its memory back. */
#define TEXT_KEEP (1024 * 1024)

/* What one connection may send of a file before others get their turn. */
#define FILE_TURN (16 * FILE_STEP)

static const char *reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} table[] = {
	    {200, "OK"},
	    {201, "Created"},
	    {202, "Accepted"},
	    {204, "No Content"},
	    {206, "Partial Content"},
	    {301, "Moved Permanently"},
	    {302, "Found"},
	    {304, "Not Modified"},
	    {308, "Permanent Redirect"},
	    {400, "Bad Request"},
	    {401, "Unauthorized"},
	    {403, "Forbidden"},
	    {404, "Not Found"},
	    {405, "Method Not Allowed"},
	    {408, "Request Timeout"},
	    {409, "Conflict"},
	    {413, "Content Too Large"},
	    {414, "URI Too Long"},
	    {415, "Unsupported Media Type"},
	    {417, "Expectation Failed"},
	    {422, "Unprocessable Content"},
	    {429, "Too Many Requests"},
	    {431, "Request Header Fields Too Large"},
	    {500, "Internal Server Error"},
	    {501, "Not Implemented"},
	    {502, "Bad Gateway"},
	    {503, "Service Unavailable"},
	    {504, "Gateway Timeout"},
	    {505, "HTTP Version Not Supported"},
	    {507, "Insufficient Storage"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].status == status)
			return table[i].text;
	return "Status";
}

static void add_number(struct buf *out, uint64_t n)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	buf_add(out, digits + i, sizeof(digits) - i);
}

static void add_field(struct buf *out, const char *name, const char *value)
{
	buf_adds(out, name);
	buf_add(out, ": ", 2);
	/* A line end in a value would let whoever chose it write headers of its own. */
	for (; *value != 0; value++) {
		unsigned char c = (unsigned char)*value;
		buf_addc(out, (c < 0x20 && c != '\t') || c == 0x7f ? ' ' : *value);
	}
	buf_add(out, "\r\n", 2);
}

/* Status line and headers into the server's scratch buffer. length < 0: no Content-Length. */
static struct buf *start_head(struct http_req *r, int status, const char *type, int64_t length)
{
	struct http_server *s = r->server;
	struct http_conn *c = r->conn;
	struct buf *out = &s->out;

	if (!r->parser.keep_alive || s->draining)
		c->close_after = true;
	if (c->state == CONN_ADMIT && r->parser.framing != HTTP_NO_BODY)
		c->close_after = c->cut = true; /* of the body nothing was read */
	if (length < 0 && r->parser.minor == 0)
		c->close_after = true; /* the end of the body is the end of the connection */
	buf_reset(out);
	buf_adds(out, "HTTP/1.1 ");
	add_number(out, (uint64_t)status);
	buf_addc(out, ' ');
	buf_adds(out, reason(status));
	buf_adds(out, "\r\nDate: ");
	buf_adds(out, http_server_date(s));
	buf_add(out, "\r\n", 2);
	if (type != NULL && type[0] != 0)
		add_field(out, "Content-Type", type);
	if (length >= 0 && status != 204 && status != 304) {
		buf_adds(out, "Content-Length: ");
		add_number(out, (uint64_t)length);
		buf_add(out, "\r\n", 2);
	} else if (r->chunked) {
		buf_adds(out, "Transfer-Encoding: chunked\r\n");
	}
	if (r->id[0] != 0)
		add_field(out, "X-Request-Id", r->id);
	if (c->close_after)
		buf_adds(out, "Connection: close\r\n");
	else if (r->parser.minor == 0)
		buf_adds(out, "Connection: keep-alive\r\n");
	buf_add(out, r->extra.data, r->extra.len);
	buf_add(out, "\r\n", 2);
	return out;
}

static bool has_body(const struct http_req *r, int status)
{
	return !r->head_only && status != 204 && status != 304;
}

/* The client or the server is gone: nobody to answer. */
static bool is_orphan(struct http_req *r)
{
	return r->conn == NULL || r->server == NULL;
}

void http_reply_header(struct http_req *r, const char *name, const char *value)
{
	if (http_is_token(name, strlen(name)))
		add_field(&r->extra, name, value);
}

void http_reply(struct http_req *r, int status, const char *content_type, const void *data,
		size_t len)
{
	req_answering(r, status, NULL);
	if (is_orphan(r)) {
		req_release(r);
		return;
	}
	struct http_conn *c = r->conn;
	struct http_server *s = r->server;
	http_server_enter(s);
	struct buf *out = start_head(r, status, content_type, (int64_t)len);
	if (!has_body(r, status))
		len = 0;
	if (len <= SMALL_BODY) {
		buf_add(out, data, len);
		len = 0;
	}
	http_io_send(&c->io, out->data, out->len, data, len);
	conn_answered(c);
	http_server_leave(s);
}

static int dump_to_buf(const char *data, size_t len, void *arg)
{
	buf_add(arg, data, len);
	return 0;
}

void http_reply_json(struct http_req *r, int status, json_t *v)
{
	req_answering(r, status, v);
	if (is_orphan(r)) {
		json_decref(v);
		req_release(r);
		return;
	}
	struct buf *text = &r->server->text;
	buf_reset(text);
	if (json_dump_callback(v, dump_to_buf, text,
			       JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII |
				   JSON_ENCODE_ANY) != 0) {
		log_error(LOG_CTX_NONE, "an answer to %s cannot be written as JSON",
			  http_req_path(r));
		buf_reset(text);
		buf_adds(text, "{\"code\":9000,\"message\":\"internal error\"}");
		status = 500;
	}
	json_decref(v);
	buf_addc(text, '\n');
	struct http_server *s = r->server;
	http_server_enter(s);
	http_reply(r, status, "application/json", text->data, text->len);
	if (text->cap > TEXT_KEEP)
		buf_free(text);
	http_server_leave(s);
}

void reply_error(struct http_req *r, int status, enum err_code code, const char *msg)
{
	json_t *v = json_pack("{s:i, s:s}", "code", (int)code, "message", msg);

	if (v == NULL)
		v = json_pack("{s:i, s:s}", "code", (int)code, "message", "malformed request");
	json_object_set_new(v, "request_id", json_string(http_req_id(r)));
	http_reply_json(r, status, v);
}

void reply_continue(struct http_conn *c)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	http_io_send(&c->io, text, sizeof(text) - 1, NULL, 0);
	conn_wrote(c);
}

/* ---- files ---- */

void http_reply_fd(struct http_req *r, int status, const char *content_type, int fd, int64_t len)
{
	req_answering(r, status, NULL);
	if (is_orphan(r)) {
		close(fd);
		req_release(r);
		return;
	}
	struct http_conn *c = r->conn;
	struct http_server *s = r->server;
	http_server_enter(s);
	struct buf *out = start_head(r, status, content_type, len);
	http_io_send(&c->io, out->data, out->len, NULL, 0);
	r->out_fd = fd;
	r->out_left = has_body(r, status) ? len : 0;
	r->reply = REPLY_FD;
	/* From here on the connection finishes the answer by itself. */
	r->on_close = NULL;
	reply_fd_pump(r);
	http_server_leave(s);
}

void reply_fd_pump(struct http_req *r)
{
	struct http_conn *c = r->conn;
	char step[FILE_STEP];
	int64_t stop_at = r->out_left - FILE_TURN;

	while (r->out_left > stop_at && r->out_left > 0 &&
	       http_io_unsent(&c->io) < HTTP_IO_OUT_HIGH && !c->io.broken) {
		size_t want = r->out_left < FILE_STEP ? (size_t)r->out_left : FILE_STEP;
		ssize_t n = read(r->out_fd, step, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			/* The length is promised already: only a cut says that it was wrong. */
			log_error(LOG_CTX_NONE, "a file got shorter while it was sent: %s",
				  http_req_path(r));
			conn_close(c);
			return;
		}
		http_io_send(&c->io, step, (size_t)n, NULL, 0);
		r->out_left -= n;
	}
	if (r->out_left == 0) {
		conn_answered(c);
		return;
	}
	conn_wrote(c);
	if (http_io_unsent(&c->io) < HTTP_IO_OUT_HIGH)
		http_server_kick(c->server, c);
}

/* ---- streams ---- */

void http_reply_start(struct http_req *r, int status, const char *content_type,
		      void (*on_room)(struct http_req *r, void *arg), void *arg)
{
	req_answering(r, status, NULL);
	r->reply = REPLY_STREAM;
	r->on_room = on_room;
	r->on_room_arg = arg;
	if (is_orphan(r))
		return;
	http_server_enter(r->server);
	r->chunked = r->parser.minor == 1 && has_body(r, status);
	struct buf *out = start_head(r, status, content_type, -1);
	if (!has_body(r, status))
		r->head_only = true;
	http_io_send(&r->conn->io, out->data, out->len, NULL, 0);
	conn_wrote(r->conn);
	http_server_leave(r->server);
}

bool http_reply_chunk(struct http_req *r, const void *data, size_t len)
{
	/* After the client has gone the rest is dropped, at any speed. */
	if (is_orphan(r) || r->head_only || len == 0)
		return true;
	struct http_conn *c = r->conn;
	struct buf *out = &r->server->out;
	http_server_enter(r->server);
	buf_reset(out);
	if (r->chunked)
		buf_printf(out, "%zx\r\n", len);
	if (len <= SMALL_BODY) {
		buf_add(out, data, len);
		if (r->chunked)
			buf_add(out, "\r\n", 2);
		http_io_send(&c->io, out->data, out->len, NULL, 0);
	} else {
		http_io_send(&c->io, out->data, out->len, data, len);
		if (r->chunked)
			http_io_send(&c->io, "\r\n", 2, NULL, 0);
	}
	conn_wrote(c);
	r->starved = http_io_unsent(&c->io) >= HTTP_IO_OUT_HIGH;
	bool room = !r->starved;
	http_server_leave(r->server);
	return room;
}

void reply_room(struct http_req *r)
{
	if (!r->starved || http_io_unsent(&r->conn->io) >= HTTP_IO_OUT_HIGH)
		return;
	r->starved = false;
	if (r->on_room != NULL)
		r->on_room(r, r->on_room_arg);
}

void http_reply_end(struct http_req *r)
{
	if (is_orphan(r)) {
		req_release(r);
		return;
	}
	struct http_conn *c = r->conn;
	struct http_server *s = r->server;
	http_server_enter(s);
	if (r->chunked && !r->head_only)
		http_io_send(&c->io, "0\r\n\r\n", 5, NULL, 0);
	conn_answered(c);
	http_server_leave(s);
}
