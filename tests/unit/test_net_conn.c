/* The lives of the HTTP server's connections: time, back-pressure, leaving, limits, the end. */
#include "config.h"
#include "net_fixture.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct http_server *server;
static int port;
static struct http_req *held; /* by hold() */
static bool is_held;
static bool client_gone;
static int close_calls;
static struct buf got, body;

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* ---- handlers ---- */

static void small(struct http_req *r, void *arg)
{
	http_reply(r, 200, "text/plain", "ok", 2);
}

static void note_gone(void *arg)
{
	client_gone = true;
	close_calls++;
}

static void hold(struct http_req *r, void *arg)
{
	held = r;
	is_held = true;
	http_req_on_close(r, note_gone, NULL);
}

static void answer_held(const char *text)
{
	is_held = false;
	http_reply(held, 200, "text/plain", text, strlen(text));
	held = NULL;
}

/* ---- streaming ---- */

#define STREAM_BYTES (8 * 1024 * 1024)

static struct {
	size_t sent;
	int rooms;
	size_t most_at_once; /* between two refusals */
} stream;

static void stream_more(struct http_req *r, void *arg)
{
	static char piece[1000];
	size_t at_once = 0;
	bool room = true;

	stream.rooms++;
	while (room && stream.sent < STREAM_BYTES) {
		size_t n = STREAM_BYTES - stream.sent < sizeof(piece) ? STREAM_BYTES - stream.sent
								      : sizeof(piece);
		memset(piece, 'a' + (int)(stream.sent / sizeof(piece) % 26), n);
		room = http_reply_chunk(r, piece, n);
		stream.sent += n;
		at_once += n;
	}
	if (at_once > stream.most_at_once)
		stream.most_at_once = at_once;
	if (stream.sent == STREAM_BYTES)
		http_reply_end(r);
}

static void stream_start(struct http_req *r, void *arg)
{
	memset(&stream, 0, sizeof(stream));
	http_reply_start(r, 200, "application/octet-stream", stream_more, NULL);
	stream_more(r, NULL);
}

static const struct http_route routes[] = {
    {"POST", "/small", small, HTTP_RAW_BODY, 0, "two bytes"},
    {"GET", "/small", small, 0, 0, "two bytes"},
    {"GET", "/hold", hold, 0, 0, "answered by the test"},
    {"GET", "/stream", stream_start, 0, 0, "8 MiB in pieces"},
};

/* ---- fixture ---- */

static void start(const struct http_limits *limits)
{
	struct http_server_opts opts = {.listen = "127.0.0.1:0", .spool_dir = temp_dir()};
	struct err e;

	if (limits != NULL)
		opts.limits = *limits;
	server = http_server_new(loop, &opts, &e);
	ck_assert_msg(server != NULL, "%s", e.msg);
	http_server_routes(server, routes, ARRAY_LEN(routes));
	port = http_server_port(server);
	ck_assert_int_gt(port, 0);
}

static void setup(void)
{
	fixture_open();
	server = NULL;
	is_held = client_gone = false;
	close_calls = 0;
}

static void teardown(void)
{
	http_server_free(server);
	buf_free(&got);
	buf_free(&body);
	fixture_close();
}

/* ---- tests ---- */

/* A client that sends a byte now and then must not hold a connection for ever. */
START_TEST(slow_head_times_out)
{
	struct http_limits lim = {.header_timeout_ms = 100};

	start(&lim);
	int fd = raw_connect(port);
	raw_send(fd, "GET / HTTP/1.1\r\nX: ");
	for (int i = 0; i < 12; i++) {
		send(fd, "x", 1, MSG_NOSIGNAL);
		run_ms(20);
	}
	raw_read_to_end(fd, &got);
	ck_assert_ptr_nonnull(strstr(buf_str(&got), "HTTP/1.1 408 "));
	ck_assert_ptr_nonnull(strstr(got.data, "\"code\":9012"));
	close(fd);
}
END_TEST

START_TEST(stalled_body_times_out)
{
	struct http_limits lim = {.body_timeout_ms = 300};
	static char part[HTTP_BODY_LEAST];

	start(&lim);
	int fd = raw_connect(port);
	raw_send(fd, "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
	/* In all it takes longer than the time-out, which each part puts off. */
	for (int i = 0; i < 8; i++) {
		raw_send_bytes(fd, part, sizeof(part));
		run_ms(50);
	}
	ck_assert_int_lt(recv(fd, (char[1]){0}, 1, MSG_PEEK), 0);
	raw_read_to_end(fd, &got);
	ck_assert_ptr_nonnull(strstr(buf_str(&got), "HTTP/1.1 408 "));
	close(fd);
}
END_TEST

/* A byte now and then puts nothing off: the answer comes while bytes still come. */
START_TEST(trickling_body_times_out)
{
	struct http_limits lim = {.body_timeout_ms = 200};
	ssize_t n = -1;

	start(&lim);
	int fd = raw_connect(port);
	raw_send(fd, "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
	for (int i = 0; i < 900 && n < 0; i++) {
		raw_send(fd, "x");
		run_ms(20);
		n = recv(fd, (char[1]){0}, 1, MSG_PEEK);
	}
	ck_assert_int_gt(n, 0);
	raw_read_to_end(fd, &got);
	ck_assert_ptr_nonnull(strstr(buf_str(&got), "HTTP/1.1 408 "));
	close(fd);
}
END_TEST

START_TEST(idle_connection_is_closed)
{
	struct http_limits lim = {.idle_timeout_ms = 100};

	start(&lim);
	int fd = raw_connect(port);
	raw_send(fd, GET("/small"));
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	run_ms(50);
	raw_send(fd, GET("/small"));
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	raw_read_to_end(fd, &got);
	ck_assert_uint_eq(got.len, 0);
	close(fd);
}
END_TEST

START_TEST(waiting_for_the_handler_is_not_idle)
{
	struct http_limits lim = {.idle_timeout_ms = 50,
				  .header_timeout_ms = 50,
				  .body_timeout_ms = 50,
				  .write_timeout_ms = 50};

	start(&lim);
	int fd = raw_connect(port);
	raw_send(fd, GET("/hold"));
	run_until(&is_held);
	run_ms(300);
	ck_assert(!client_gone);
	ck_assert_int_eq(http_server_open_requests(server), 1);
	answer_held("late");
	ck_assert_int_eq(http_server_open_requests(server), 0);
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	ck_assert_str_eq(body.data, "late");
	close(fd);
}
END_TEST

START_TEST(streaming_waits_for_the_reader)
{
	start(NULL);
	int fd = raw_connect(port);
	int small_buffer = 64 * 1024;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small_buffer, sizeof(small_buffer));
	raw_send(fd, GET("/stream"));
	run_ms(100);
	ck_assert_msg(stream.sent > 0 && stream.sent < STREAM_BYTES / 2,
		      "%zu bytes were taken though nobody read", stream.sent);
	raw_expect(fd, &got, "\r\nTransfer-Encoding: chunked\r\n");
	int64_t total = 0;
	while (strstr(got.data + (got.len > 64 ? got.len - 64 : 0), "\r\n0\r\n\r\n") == NULL) {
		ssize_t n;
		char piece[65536];
		while ((n = recv(fd, piece, sizeof(piece), 0)) > 0) {
			buf_add(&got, piece, (size_t)n);
			total += n;
		}
		ck_assert(n != 0);
		run_ms(1);
	}
	ck_assert_int_gt(stream.rooms, 3);
	/* Undo the chunks. */
	const char *p = strstr(got.data, "\r\n\r\n") + 4;
	size_t seen = 0;
	for (;;) {
		char *end;
		size_t n = strtoul(p, &end, 16);
		p = end + 2;
		if (n == 0)
			break;
		for (size_t i = 0; i < n; i += 999)
			ck_assert_int_eq(p[i], 'a' + (int)((seen + i) / 1000 % 26));
		seen += n;
		p += n + 2;
	}
	ck_assert_uint_eq(seen, STREAM_BYTES);
	close(fd);
}
END_TEST

START_TEST(client_that_leaves_is_noticed)
{
	start(NULL);
	int fd = raw_connect(port);
	raw_send(fd, GET("/hold"));
	run_until(&is_held);
	close(fd);
	run_until(&client_gone);
	ck_assert_str_eq(http_req_path(held), "/hold");
	ck_assert_ptr_nonnull(strstr(http_req_remote(held), "127.0.0.1:"));
	ck_assert_int_eq(http_server_open_requests(server), 1);
	answer_held("to nobody");
	ck_assert_int_eq(http_server_open_requests(server), 0);
	ck_assert_int_eq(close_calls, 1);
}
END_TEST

START_TEST(stream_to_nobody_ends)
{
	start(NULL);
	int fd = raw_connect(port);
	raw_send(fd, GET("/stream"));
	raw_expect(fd, &got, "chunked");
	ck_assert_uint_lt(stream.sent, STREAM_BYTES);
	close(fd);
	for (int i = 0; i < 100 && http_server_open_requests(server) > 0; i++)
		run_ms(10);
	ck_assert_int_eq(http_server_open_requests(server), 0);
	ck_assert_uint_eq(stream.sent, STREAM_BYTES);
}
END_TEST

START_TEST(reader_that_takes_nothing_is_dropped)
{
	struct http_limits lim = {.write_timeout_ms = 100};

	start(&lim);
	int fd = raw_connect(port);
	raw_send(fd, GET("/stream"));
	run_ms(400);
	raw_read_to_end(fd, &got);
	ck_assert_uint_lt(got.len, STREAM_BYTES);
	ck_assert_ptr_null(strstr(got.data + got.len - 8, "0\r\n\r\n"));
	ck_assert_int_eq(http_server_open_requests(server), 0);
	close(fd);
}
END_TEST

START_TEST(slow_reader_is_not_dropped)
{
	struct http_limits lim = {.write_timeout_ms = 100};
	char piece[65536];
	size_t total = 0;

	start(&lim);
	int fd = raw_connect(port);
	int small_buffer = 64 * 1024;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small_buffer, sizeof(small_buffer));
	raw_send(fd, GET("/stream"));
	for (int i = 0; i < 25; i++) {
		ssize_t n = recv(fd, piece, sizeof(piece), 0);
		ck_assert_msg(n != 0, "dropped after %zu bytes", total);
		total += n > 0 ? (size_t)n : 0;
		run_ms(20);
	}
	ck_assert_uint_lt(stream.sent, STREAM_BYTES);
	ck_assert_int_eq(http_server_open_requests(server), 1);
	close(fd);
}
END_TEST

START_TEST(longest_idle_connection_makes_room)
{
	struct http_limits lim = {.max_connections = 3};
	int fds[4];

	start(&lim);
	for (int i = 0; i < 4; i++) {
		fds[i] = raw_connect(port);
		raw_send(fds[i], GET("/small"));
		ck_assert_int_eq(raw_answer(fds[i], &got, &body), 200);
	}
	raw_read_to_end(fds[0], &got);
	ck_assert_uint_eq(got.len, 0);
	for (int i = 1; i < 4; i++) {
		raw_send(fds[i], GET("/small"));
		ck_assert_int_eq(raw_answer(fds[i], &got, &body), 200);
	}
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}
END_TEST

START_TEST(accepts_again_after_being_full)
{
	struct http_limits lim = {.max_connections = 1};

	start(&lim);
	int first = raw_connect(port);
	raw_send(first, GET("/hold"));
	run_until(&is_held);
	int second = raw_connect(port);
	raw_read_to_end(second, &got);
	ck_assert_uint_eq(got.len, 0);
	close(second);
	second = raw_connect(port); /* waits in the backlog */
	raw_send(second, GET("/small"));
	run_ms(20);
	answer_held("x");
	/* The first one may leave, or only fall silent. */
	if (_i == 0)
		close(first);
	ck_assert_int_eq(raw_answer(second, &got, &body), 200);
	close(second);
	if (_i != 0)
		close(first);
}
END_TEST

START_TEST(draining_finishes_what_is_open)
{
	start(NULL);
	int idle = raw_connect(port), busy = raw_connect(port);
	raw_send(idle, GET("/small"));
	ck_assert_int_eq(raw_answer(idle, &got, &body), 200);
	raw_send(busy, GET("/hold"));
	run_until(&is_held);
	http_server_drain(server);
	raw_read_to_end(idle, &got);
	ck_assert_int_eq(http_server_open_requests(server), 1);
	answer_held("last");
	raw_read_to_end(busy, &got);
	ck_assert_ptr_nonnull(strstr(got.data, "\r\nConnection: close\r\n"));
	ck_assert_ptr_nonnull(strstr(got.data, "\r\n\r\nlast"));
	close(idle);
	close(busy);
}
END_TEST

START_TEST(answer_may_come_after_the_server_is_gone)
{
	start(NULL);
	int fd = raw_connect(port);
	raw_send(fd, GET("/hold"));
	run_until(&is_held);
	http_server_free(server);
	server = NULL;
	ck_assert(client_gone);
	ck_assert_str_eq(http_req_path(held), "/hold");
	answer_held("too late");
	raw_read_to_end(fd, &got);
	ck_assert_uint_eq(got.len, 0);
	close(fd);
}
END_TEST

static void free_server(struct http_req *r, void *arg)
{
	http_server_free(server);
	server = NULL;
	http_reply(r, 200, NULL, "", 0);
}

START_TEST(handler_may_free_the_server)
{
	static const struct http_route suicide[] = {{"GET", "/free", free_server, 0, 0, "the end"}};

	start(NULL);
	http_server_routes(server, suicide, 1);
	int fd = raw_connect(port);
	raw_send(fd, GET("/free") GET("/small"));
	raw_read_to_end(fd, &got);
	ck_assert_uint_eq(got.len, 0);
	ck_assert_ptr_null(server);
	close(fd);
}
END_TEST

/* ---- the same over TLS, which buffers on its own account ---- */

static void tls_wait(SSL *ssl, int rc)
{
	int kind = SSL_get_error(ssl, rc);

	ck_assert_msg(kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE, "TLS error %d",
		      kind);
	run_ms(1);
}

/* Sends what it can, and reads what there is into got; false at the end. */
static bool tls_turn(SSL *ssl, const char *data, size_t len, size_t *sent)
{
	char piece[16384];
	int n = 0;

	if (*sent < len && (n = SSL_write(ssl, data + *sent, (int)(len - *sent))) > 0)
		*sent += (size_t)n;
	n = SSL_read(ssl, piece, sizeof(piece));
	if (n > 0)
		buf_add(&got, piece, (size_t)n);
	else if (SSL_get_error(ssl, n) == SSL_ERROR_ZERO_RETURN)
		return false;
	else
		tls_wait(ssl, n);
	return true;
}

static int count(const char *text)
{
	int n = 0;

	for (const char *p = buf_str(&got); (p = strstr(p, text)) != NULL; p++)
		n++;
	return n;
}

START_TEST(tls_input_waits_and_goes_on)
{
	const int n = 6000;
	struct buf text = {0};
	size_t sent = 0;
	struct err e;

	make_ca("ca");
	make_site("ca", "a", "1", 10);
	struct tls_ctx *ctx = site_ctx("ca", "ca", "a");
	struct http_server_opts opts = {.listen = "127.0.0.1:0", .tls = ctx};
	server = http_server_new(loop, &opts, &e);
	ck_assert_msg(server != NULL, "%s", e.msg);
	http_server_routes(server, routes, ARRAY_LEN(routes));
	/* Far more than the server keeps unread, behind a request that takes its time. */
	buf_adds(&text, GET("/hold"));
	for (int i = 0; i < n; i++)
		buf_adds(&text, GET("/small"));
	buf_adds(&text, "GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	int fd = raw_connect(http_server_port(server));
	SSL *ssl = tls_client_ssl(ctx, &e);
	ck_assert_int_eq(SSL_set_fd(ssl, fd), 1);
	for (int rc; (rc = SSL_do_handshake(ssl)) != 1;)
		tls_wait(ssl, rc);
	for (int i = 0; i < 50; i++)
		ck_assert(tls_turn(ssl, text.data, text.len, &sent));
	ck_assert(is_held);
	ck_assert_uint_eq(got.len, 0);
	answer_held("held");
	while (tls_turn(ssl, text.data, text.len, &sent))
		;
	ck_assert_uint_eq(sent, text.len);
	ck_assert_int_eq(count("HTTP/1.1 200 OK"), n + 2);
	ck_assert_uint_eq(stream.sent, STREAM_BYTES);
	ck_assert_uint_gt(got.len, STREAM_BYTES);
	ck_assert_str_eq(got.data + got.len - 5, "0\r\n\r\n");
	SSL_free(ssl);
	close(fd);
	buf_free(&text);
	http_server_free(server);
	server = NULL;
	tls_ctx_free(ctx);
}
END_TEST

static TCase *cases(void)
{
	TCase *tc = tcase_create("connections");

	tcase_set_timeout(tc, 300);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, slow_head_times_out);
	tcase_add_test(tc, stalled_body_times_out);
	tcase_add_test(tc, trickling_body_times_out);
	tcase_add_test(tc, idle_connection_is_closed);
	tcase_add_test(tc, waiting_for_the_handler_is_not_idle);
	tcase_add_test(tc, streaming_waits_for_the_reader);
	tcase_add_test(tc, client_that_leaves_is_noticed);
	tcase_add_test(tc, stream_to_nobody_ends);
	tcase_add_test(tc, reader_that_takes_nothing_is_dropped);
	tcase_add_test(tc, slow_reader_is_not_dropped);
	tcase_add_test(tc, longest_idle_connection_makes_room);
	tcase_add_loop_test(tc, accepts_again_after_being_full, 0, 2);
	tcase_add_test(tc, draining_finishes_what_is_open);
	tcase_add_test(tc, answer_may_come_after_the_server_is_gone);
	tcase_add_test(tc, handler_may_free_the_server);
	tcase_add_test(tc, tls_input_waits_and_goes_on);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("net_conn");
	struct err e;

	if (!log_open("/dev/null", LOG_ERROR, 0, 1, &e))
		return EXIT_FAILURE;
	suite_add_tcase(s, cases());
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	log_close();
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
