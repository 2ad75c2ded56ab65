/* The HTTP server as a client sees it that speaks bytes. */
#include "config.h"
#include "net_fixture.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct http_server *server;
static int port;
static struct http_req *held; /* by hold() */
static bool is_held;
static struct buf got, body;

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* ---- handlers ---- */

static void echo(struct http_req *r, void *arg)
{
	size_t len;
	const char *data = http_req_body(r, &len);
	const char *why;
	json_t *v = json_object();

	json_object_set_new(v, "path", json_string(http_req_path(r)));
	json_object_set_new(v, "method", json_string(http_req_method(r)));
	json_object_set_new(v, "body", json_stringn(data, len));
	json_object_set(v, "json", http_req_json(r) != NULL ? http_req_json(r) : json_null());
	json_object_set_new(v, "bad_json", json_boolean(http_req_bad_json(r, &why)));
	for (size_t i = 0; i < http_req_query_count(r); i++) {
		const char *key, *value;
		char name[64];
		http_req_query_at(r, i, &key, &value);
		snprintf(name, sizeof(name), "query:%s", key);
		json_object_set_new(v, name, json_string(value));
	}
	if (http_req_part(r, "id") != NULL)
		json_object_set_new(v, "id", json_string(http_req_part(r, "id")));
	if (http_req_header(r, "app_id") != NULL)
		json_object_set_new(v, "app_id", json_string(http_req_header(r, "app_id")));
	http_reply_json(r, 200, v);
}

static void small(struct http_req *r, void *arg)
{
	http_reply(r, 200, "text/plain", "ok", 2);
}

static void hold(struct http_req *r, void *arg)
{
	held = r;
	is_held = true;
}

static void answer_held(const char *text)
{
	is_held = false;
	http_reply(held, 200, "text/plain", text, strlen(text));
	held = NULL;
}

static void inject(struct http_req *r, void *arg)
{
	http_reply_header(r, "X-Note", "a\r\nX-Evil: b");
	http_reply_header(r, "X Bad", "never sent");
	http_reply_header(r, "X-Id", http_req_id(r));
	http_reply(r, 200, "text/plain\r\nX-Evil: c", "", 0);
}

static void spooled(struct http_req *r, void *arg)
{
	char piece[4096];
	size_t total = 0, sum = 0;
	int fd = http_req_body_fd(r);
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	while ((n = read(fd, piece, sizeof(piece))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			sum = sum * 31 + (unsigned char)piece[i];
		total += (size_t)n;
	}
	http_reply_json(r, 200,
			json_pack("{s:I, s:I}", "bytes", (json_int_t)total, "sum",
				  (json_int_t)(sum & 0xffffffff)));
}

#define FILE_BYTES (5 * 1024 * 1024 + 17)

static void send_file(struct http_req *r, void *arg)
{
	FILE *f = tmpfile();

	ck_assert_ptr_nonnull(f);
	for (int i = 0; i < FILE_BYTES; i++)
		fputc('0' + i % 7, f);
	fflush(f);
	int fd = dup(fileno(f));
	fclose(f);
	lseek(fd, 0, SEEK_SET);
	/* More than there is, when asked to lie. */
	http_reply_fd(r, 200, "text/plain", fd,
		      FILE_BYTES + (http_req_query(r, "lie") != NULL ? 1 : 0));
}

static const struct http_route routes[] = {
    {"POST", "/echo", echo, 0, 0, "says what came"},
    {"GET", "/echo", echo, 0, 0, "says what came"},
    {"POST", "/raw", echo, HTTP_RAW_BODY, 100, "not parsed"},
    {"GET", "/job/{id}/log", echo, 0, 0, "a part"},
    {"GET", "/job/all/log", small, 0, 0, "never reached: the pattern is first"},
    {"GET", "/small", small, 0, 0, "two bytes"},
    {"GET", "/hold", hold, 0, 0, "answered by the test"},
    {"GET", "/inject", inject, 0, 0, "headers with line ends"},
    {"POST", "/spool", spooled, HTTP_SPOOL_BODY, 10 * 1024 * 1024, "to a file"},
    {"GET", "/file", send_file, 0, 0, "5 MiB from a file"},
};

/* ---- fixture ---- */

static void start(void)
{
	struct http_server_opts opts = {.listen = "127.0.0.1:0", .spool_dir = temp_dir()};
	struct err e;

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
	is_held = false;
}

static void teardown(void)
{
	http_server_free(server);
	buf_free(&got);
	buf_free(&body);
	fixture_close();
}

/* ---- tests ---- */

START_TEST(keeps_alive)
{
	start();
	int fd = raw_connect(port);
	for (int i = 0; i < 3; i++) {
		raw_send(fd,
			 "POST //echo/?a=1&b=x%20y HTTP/1.1\r\nHost: a\r\nApp-Id: me\r\n"
			 "Content-Type: application/json\r\nContent-Length: 8\r\n\r\n{\"k\": 1}");
		raw_expect(fd, &got, "\r\nContent-Type: application/json\r\n");
		ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
		ck_assert_str_eq(
		    body.data, "{\"app_id\":\"me\",\"bad_json\":false,\"body\":\"{\\\"k\\\": 1}\","
			       "\"json\":{\"k\":1},\"method\":\"POST\",\"path\":\"/echo\","
			       "\"query:a\":\"1\",\"query:b\":\"x y\"}\n");
	}
	ck_assert_uint_eq(got.len, 0);
	close(fd);
}
END_TEST

START_TEST(closes_when_asked)
{
	static const char *const asked[] = {
	    "GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	    "GET /small HTTP/1.0\r\n\r\n"};

	start();
	int fd = raw_connect(port);
	raw_send(fd, asked[_i]);
	raw_read_to_end(fd, &got);
	ck_assert_ptr_nonnull(strstr(got.data, "\r\nConnection: close\r\n"));
	ck_assert(strcmp(got.data + got.len - 2, "ok") == 0);
	close(fd);
}
END_TEST

START_TEST(old_client_may_keep_alive)
{
	start();
	int fd = raw_connect(port);
	for (int i = 0; i < 2; i++) {
		raw_send(fd, "GET /small HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
		raw_expect(fd, &got, "\r\nConnection: keep-alive\r\n");
		ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	}
	close(fd);
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order)
{
	struct buf text = {0};
	const int n = 500;

	start();
	for (int i = 0; i < n; i++)
		buf_printf(&text, "GET %s?i=%d HTTP/1.1\r\nHost: a\r\n\r\n",
			   i == 100 ? "/hold" : "/echo", i);
	int fd = raw_connect(port);
	raw_send_bytes(fd, text.data, text.len);
	for (int i = 0; i < n; i++) {
		if (i == 100) {
			run_until(&is_held);
			run_ms(20);
			ck_assert_int_lt(recv(fd, (char[1]){0}, 1, MSG_PEEK), 0);
			answer_held("held");
		}
		char want[32];
		ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
		snprintf(want, sizeof(want), "\"query:i\":\"%d\"", i);
		if (i == 100)
			ck_assert_str_eq(body.data, "held");
		else
			ck_assert_ptr_nonnull(strstr(body.data, want));
	}
	buf_free(&text);
	close(fd);
}
END_TEST

START_TEST(half_closed_client_gets_its_answers)
{
	start();
	int fd = raw_connect(port);
	for (int i = 0; i < 100; i++)
		raw_send(fd, GET("/small"));
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	raw_read_to_end(fd, &got);
	int answers = 0;
	for (const char *p = got.data; (p = strstr(p, "\r\n\r\nok")) != NULL; p++)
		answers++;
	ck_assert_int_eq(answers, 100);
	close(fd);
}
END_TEST

START_TEST(head_has_the_headers_only)
{
	start();
	int fd = raw_connect(port);
	raw_send(fd, "HEAD /small HTTP/1.1\r\nHost: a\r\n\r\n" GET("/small"));
	raw_expect(fd, &got, "\r\n\r\nok");
	ck_assert_ptr_nonnull(strstr(got.data, "Content-Length: 2\r\n\r\nHTTP/1.1 200"));
	close(fd);
}
END_TEST

START_TEST(unknown_routes_leave_the_connection_in_step)
{
	start();
	int fd = raw_connect(port);
	raw_send(fd, "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
	ck_assert_int_eq(raw_answer(fd, &got, &body), 404);
	static const char want[] =
	    "{\"code\":6000,\"message\":\"there is no such path\",\"request_id\":\"";
	ck_assert_mem_eq(body.data, want, sizeof(want) - 1);
	raw_send(fd, "DELETE /small HTTP/1.1\r\nHost: a\r\n\r\n");
	ck_assert_int_eq(raw_answer(fd, &got, &body), 405);
	raw_send(fd, GET("/small"));
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	close(fd);
}
END_TEST

START_TEST(path_parts_are_matched_in_order_of_registration)
{
	start();
	int fd = raw_connect(port);
	raw_send(fd, GET("/job/a%2Bb%20c/log"));
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	ck_assert_ptr_nonnull(strstr(body.data, "\"id\":\"a+b c\""));
	raw_send(fd, GET("/job/all/log"));
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	ck_assert_ptr_nonnull(strstr(body.data, "\"id\":\"all\""));
	raw_send(fd, GET("/job/log"));
	ck_assert_int_eq(raw_answer(fd, &got, &body), 404);
	raw_send(fd, GET("/job/a/b/log"));
	ck_assert_int_eq(raw_answer(fd, &got, &body), 404);
	close(fd);
}
END_TEST

static const struct {
	const char *type, *text, *want;
} json_bodies[] = {
    {"application/json", "[1,2]", "\"json\":[1,2]"},
    {"Application/JSON; charset=utf-8", "{}", "\"json\":{}"},
    {"application/vnd.x+json", "{}", "\"json\":{}"},
    {"text/plain", "{}", "\"json\":null"},
    {"application/jsonx", "{}", "\"json\":null"},
    {"application/json", "", "\"bad_json\":false"},
    {"application/json", "{\"a\":1,}", "\"bad_json\":true"},
    {"application/json", "{\"a\":1}x", "\"bad_json\":true"},
    {"application/json", "{\"a\":1,\"a\":2}", "\"bad_json\":true"},
};

START_TEST(json_bodies_are_parsed)
{
	char text[512];

	start();
	int fd = raw_connect(port);
	snprintf(
	    text, sizeof(text),
	    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
	    json_bodies[_i].type, strlen(json_bodies[_i].text), json_bodies[_i].text);
	raw_send(fd, text);
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	ck_assert_msg(strstr(body.data, json_bodies[_i].want) != NULL, "%s", body.data);
	close(fd);
}
END_TEST

static const struct {
	const char *text;
	int status;
	const char *code;
} refusals[] = {
    {"POST /raw HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", 413, "\"code\":9005"},
    {"POST /raw HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n", 413, "9005"},
    {"POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 8388609\r\n\r\n", 413, "9005"},
    {"GET / HTTP/1.1\r\n\r\n", 400, "\"code\":9004"},
    {"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "9004"},
    {"GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "9004"},
    {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, "\"code\":9014"},
    {"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "9014"},
    {"POST /raw HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
     400, "9004"},
};

START_TEST(refusals_are_answered_and_end_the_connection)
{
	char status[32];

	start();
	int fd = raw_connect(port);
	raw_send(fd, refusals[_i].text);
	/* More than a socket holds: the answer must survive that it is never read. */
	static char rest[3 * 1024 * 1024];
	memset(rest, 'x', sizeof(rest));
	raw_send_bytes(fd, rest, sizeof(rest));
	raw_read_to_end(fd, &got);
	snprintf(status, sizeof(status), "HTTP/1.1 %d ", refusals[_i].status);
	ck_assert_msg(strncmp(buf_str(&got), status, strlen(status)) == 0, "%s", buf_str(&got));
	ck_assert_ptr_nonnull(strstr(got.data, "\r\nConnection: close\r\n"));
	ck_assert_ptr_nonnull(strstr(got.data, refusals[_i].code));
	ck_assert_ptr_null(strstr(got.data + 1, "\nHTTP/1.1 "));
	close(fd);
}
END_TEST

START_TEST(long_heads_are_refused)
{
	struct buf text = {0};

	start();
	buf_adds(&text, _i == 0 ? "GET /" : "GET / HTTP/1.1\r\nHost: a\r\nX: ");
	for (int i = 0; i < 17 * 1024; i++)
		buf_addc(&text, 'x');
	int fd = raw_connect(port);
	raw_send_bytes(fd, text.data, text.len);
	raw_read_to_end(fd, &got);
	ck_assert_ptr_nonnull(strstr(got.data, _i == 0 ? "HTTP/1.1 414 " : "HTTP/1.1 431 "));
	buf_free(&text);
	close(fd);
}
END_TEST

/* Sums as the handler does. */
static size_t fill(char *out, size_t len)
{
	size_t sum = 0;

	for (size_t i = 0; i < len; i++) {
		out[i] = (char)(i * 7 + i / 1000);
		sum = sum * 31 + (unsigned char)out[i];
	}
	return sum & 0xffffffff;
}

START_TEST(large_body_is_spooled)
{
	const size_t len = 3 * 1000 * 1000;
	char *data = mem_alloc(len), text[256], want[128];
	size_t sum = fill(data, len);

	start();
	int fd = raw_connect(port);
	if (_i == 0) {
		snprintf(text, sizeof(text),
			 "POST /spool HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", len);
		raw_send(fd, text);
		raw_send_bytes(fd, data, len);
	} else {
		raw_send(fd,
			 "POST /spool HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
		for (size_t at = 0; at < len; at += 100000) {
			raw_send(fd, "186a0\r\n");
			raw_send_bytes(fd, data + at, 100000);
			raw_send(fd, "\r\n");
		}
		raw_send(fd, "0\r\n\r\n");
	}
	raw_send(fd, GET("/small")); /* nothing of it may be taken for the body */
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	snprintf(want, sizeof(want), "{\"bytes\":%zu,\"sum\":%zu}\n", len, sum);
	ck_assert_str_eq(body.data, want);
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	free(data);
	close(fd);
}
END_TEST

START_TEST(expectation_is_met)
{
	start();
	int fd = raw_connect(port);
	raw_send(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
		     "Content-Length: 2\r\n\r\n");
	raw_expect(fd, &got, "HTTP/1.1 100 Continue\r\n\r\n");
	buf_reset(&got);
	raw_send(fd, "hi");
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	ck_assert_ptr_nonnull(strstr(body.data, "\"body\":\"hi\""));
	/* Not wanted: said before it is sent. */
	raw_send(fd, "POST /raw HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
		     "Content-Length: 200\r\n\r\n");
	ck_assert_int_eq(raw_answer(fd, &got, &body), 413);
	close(fd);
}
END_TEST

START_TEST(file_is_sent)
{
	start();
	int fd = raw_connect(port);
	raw_send(fd, GET("/file") GET("/small"));
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	ck_assert_uint_eq(body.len, FILE_BYTES);
	for (size_t i = 0; i < body.len; i++)
		if (body.data[i] != '0' + (int)(i % 7))
			ck_abort_msg("byte %zu is wrong", i);
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	ck_assert_str_eq(body.data, "ok");
	raw_send(fd, "HEAD /file HTTP/1.1\r\nHost: a\r\n\r\n" GET("/small"));
	raw_expect(fd, &got, "ok");
	ck_assert_uint_lt(got.len, 1000);
	/* A file that turns out shorter than promised cannot end like a whole one. */
	buf_reset(&got);
	raw_send(fd, GET("/file?lie"));
	raw_read_to_end(fd, &got);
	ck_assert_uint_le(got.len, FILE_BYTES + 500);
	close(fd);
}
END_TEST

START_TEST(headers_cannot_be_injected)
{
	start();
	int fd = raw_connect(port);
	raw_send(fd, "GET /inject HTTP/1.1\r\nHost: a\r\nX-Request-Id: abc-1\r\n\r\n");
	raw_expect(fd, &got, "\r\n\r\n");
	ck_assert_ptr_null(strstr(got.data, "\r\nX-Evil"));
	ck_assert_ptr_null(strstr(got.data, "X Bad"));
	ck_assert_ptr_nonnull(strstr(got.data, "X-Note: a  X-Evil: b\r\n"));
	ck_assert_ptr_nonnull(strstr(got.data, "X-Id: abc-1\r\n"));
	ck_assert_ptr_nonnull(strstr(got.data, "X-Request-Id: abc-1\r\n"));
	buf_reset(&got);
	raw_send(fd, "GET /inject HTTP/1.1\r\nHost: a\r\nX-Request-Id: a b\"\r\n\r\n");
	raw_expect(fd, &got, "\r\n\r\n");
	ck_assert_ptr_null(strstr(got.data, "a b"));
	ck_assert_ptr_nonnull(strstr(got.data, "X-Id: "));
	close(fd);
}
END_TEST

static bool refuse_all(struct http_req *r, const struct http_route *route, void *arg)
{
	ck_assert_str_eq(route->path, "/small");
	*(int *)arg += 1;
	http_reply_json(r, 401, json_pack("{s:i}", "code", 5000));
	return false;
}

START_TEST(hook_comes_before_the_handler)
{
	char path[300], listen[320];
	struct err e;
	int calls = 0;

	snprintf(path, sizeof(path), "%s/sock", temp_dir());
	snprintf(listen, sizeof(listen), "unix:%s", path);
	struct http_server_opts opts = {.listen = listen, .before = refuse_all, .arg = &calls};
	server = http_server_new(loop, &opts, &e);
	ck_assert_msg(server != NULL, "%s", e.msg);
	http_server_routes(server, routes, ARRAY_LEN(routes));
	ck_assert_int_eq(http_server_port(server), 0);
	struct http_server_opts same = {.listen = listen};
	ck_assert_msg(http_server_new(loop, &same, &e) == NULL, "the socket is in use");
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	ck_assert(str_copy(un.sun_path, sizeof(un.sun_path), path));
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	ck_assert_int_eq(evutil_make_socket_nonblocking(fd), 0);
	raw_send(fd, GET("/small") GET("/none"));
	ck_assert_int_eq(raw_answer(fd, &got, &body), 401);
	ck_assert_int_eq(raw_answer(fd, &got, &body), 404);
	ck_assert_int_eq(calls, 1);
	close(fd);
	http_server_free(server);
	server = NULL;
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* By the query: yes at once, no at once, or held for the test. */
static bool admit_some(struct http_req *r, const struct http_route *route, void *arg)
{
	const char *want = http_req_query(r, "admit");
	size_t len;

	http_req_body(r, &len);
	ck_assert_uint_eq(len, 0);
	ck_assert_int_eq(http_req_body_fd(r), -1);
	if (want == NULL)
		return true;
	if (str_eq(want, "no"))
		http_reply(r, 200, "text/plain", "no", 2);
	else
		hold(r, arg);
	return false;
}

static void start_admitting(void)
{
	struct http_server_opts opts = {
	    .listen = "127.0.0.1:0", .spool_dir = temp_dir(), .admit = admit_some};
	struct err e;

	server = http_server_new(loop, &opts, &e);
	ck_assert_msg(server != NULL, "%s", e.msg);
	http_server_routes(server, routes, ARRAY_LEN(routes));
	port = http_server_port(server);
}

START_TEST(nothing_of_a_body_is_read_before_it_is_admitted)
{
	start_admitting();
	int fd = raw_connect(port);
	raw_send(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	raw_send(fd, "POST /echo?admit=later HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
		     "POST /spool?admit=later HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
		     "Content-Length: 3\r\n\r\n");
	run_until(&is_held);
	is_held = false;
	http_req_admit(held);
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	ck_assert_ptr_nonnull(strstr(body.data, "\"body\":\"hello\""));
	run_until(&is_held);
	ck_assert_uint_eq(got.len, 0);
	is_held = false;
	http_req_admit(held);
	raw_expect(fd, &got, "HTTP/1.1 100 Continue\r\n\r\n");
	buf_reset(&got);
	raw_send(fd, "abc");
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	ck_assert_ptr_nonnull(strstr(body.data, "\"bytes\":3"));
	close(fd);
}
END_TEST

START_TEST(what_is_not_admitted_ends_with_the_answer)
{
	start_admitting();
	int fd = raw_connect(port);
	/* Without a body the connection goes on. */
	raw_send(fd, GET("/small?admit=no") GET("/small?admit=later"));
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	ck_assert_str_eq(buf_str(&body), "no");
	run_until(&is_held);
	answer_held("later");
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	ck_assert_str_eq(buf_str(&body), "later");
	/* With one, its bytes are no request. */
	raw_send(fd,
		 _i == 0
		     ? "POST /spool?admit=no HTTP/1.1\r\nHost: a\r\nContent-Length: 29\r\n\r\n" GET(
			   "/small")
		     : "POST /spool?admit=no HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		       "chunked\r\n\r\n" GET("/small"));
	raw_read_to_end(fd, &got);
	ck_assert_ptr_nonnull(strstr(buf_str(&got), "Connection: close\r\n\r\nno"));
	ck_assert_ptr_null(strstr(strstr(buf_str(&got), "Connection: close"), "HTTP/1.1"));
	close(fd);
}
END_TEST

/* 0: let in, 1: refused, 2: neither before the server is gone. */
START_TEST(clients_go_before_they_are_admitted)
{
	start_admitting();
	int fd = raw_connect(port);
	raw_send(fd, "POST /spool?admit=later HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
	run_until(&is_held);
	ck_assert_int_eq(http_server_open_requests(server), 1);
	close(fd);
	run_ms(20);
	if (_i == 2) {
		http_server_free(server);
		server = NULL;
		http_req_admit(held);
		return;
	}
	if (_i == 0)
		http_req_admit(held);
	else
		answer_held("nobody hears it");
	ck_assert_int_eq(http_server_open_requests(server), 0);
	fd = raw_connect(port);
	raw_send(fd, GET("/small"));
	ck_assert_int_eq(raw_answer(fd, &got, &body), 200);
	close(fd);
}
END_TEST

START_TEST(bad_addresses_are_refused)
{
	static const char *const bad[] = {"",
					  "127.0.0.1",
					  "127.0.0.1:",
					  "127.0.0.1:x",
					  "::1:80",
					  "unix:/no/such/directory/sock",
					  "127.0.0.1:99999"};
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct http_server_opts opts = {.listen = bad[i]};
		ck_assert_msg(http_server_new(loop, &opts, &e) == NULL, "\"%s\"", bad[i]);
		ck_assert_msg(strlen(e.msg) > 10, "%s", e.msg);
	}
	struct http_server_opts six = {.listen = "[::1]:0"};
	server = http_server_new(loop, &six, &e);
	ck_assert_msg(server != NULL || e.code == ERR_IO, "%s", e.msg);
}
END_TEST

static TCase *cases(void)
{
	TCase *tc = tcase_create("server");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, keeps_alive);
	tcase_add_loop_test(tc, closes_when_asked, 0, 2);
	tcase_add_test(tc, old_client_may_keep_alive);
	tcase_add_test(tc, pipelined_requests_are_answered_in_order);
	tcase_add_test(tc, half_closed_client_gets_its_answers);
	tcase_add_test(tc, head_has_the_headers_only);
	tcase_add_test(tc, unknown_routes_leave_the_connection_in_step);
	tcase_add_test(tc, path_parts_are_matched_in_order_of_registration);
	tcase_add_loop_test(tc, json_bodies_are_parsed, 0, (int)ARRAY_LEN(json_bodies));
	tcase_add_loop_test(tc, refusals_are_answered_and_end_the_connection, 0,
			    (int)ARRAY_LEN(refusals));
	tcase_add_loop_test(tc, long_heads_are_refused, 0, 2);
	tcase_add_loop_test(tc, large_body_is_spooled, 0, 2);
	tcase_add_test(tc, expectation_is_met);
	tcase_add_test(tc, file_is_sent);
	tcase_add_test(tc, headers_cannot_be_injected);
	tcase_add_test(tc, hook_comes_before_the_handler);
	tcase_add_test(tc, nothing_of_a_body_is_read_before_it_is_admitted);
	tcase_add_loop_test(tc, what_is_not_admitted_ends_with_the_answer, 0, 2);
	tcase_add_loop_test(tc, clients_go_before_they_are_admitted, 0, 3);
	tcase_add_test(tc, bad_addresses_are_refused);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("net_server");
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
