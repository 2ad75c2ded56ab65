/* The HTTP client, against our own server, against scripted answers, and over TLS. */
#include "config.h"
#include "net_fixture.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct http_server *server;
static struct http_client *client;
static struct result res;
static char url[300];
static struct http_req *held;
static bool is_held, gone;

/* ---- our own server ---- */

static void who(struct http_req *r, void *arg)
{
	const struct tls_identity *id = http_req_identity(r);

	http_reply_json(r, 200,
			json_pack("{s:s, s:s, s:s*}", "from", http_req_remote(r), "party",
				  id != NULL && id->n_parties > 0 ? id->parties[0] : "", "app",
				  http_req_header(r, "App-Id")));
}

static void echo(struct http_req *r, void *arg)
{
	size_t len;
	const char *data = http_req_body(r, &len);

	http_reply(r, http_req_query(r, "fail") != NULL ? 500 : 200,
		   http_req_header(r, "content-type"), data, len);
}

static void note_gone(void *arg)
{
	gone = true;
}

static void hold(struct http_req *r, void *arg)
{
	held = r;
	is_held = true;
	http_req_on_close(r, note_gone, NULL);
}

static const struct http_route routes[] = {
    {"GET", "/who", who, 0, 0, "the caller"},
    {"POST", "/echo", echo, HTTP_RAW_BODY, 64 * 1024 * 1024, "the body"},
    {"GET", "/hold", hold, 0, 0, "answered by the test"},
};

static void serve(const char *listen, struct tls_ctx *tls)
{
	struct http_server_opts opts = {.listen = listen, .tls = tls};
	struct err e;

	server = http_server_new(loop, &opts, &e);
	ck_assert_msg(server != NULL, "%s", e.msg);
	http_server_routes(server, routes, ARRAY_LEN(routes));
}

static const char *at(const char *path)
{
	snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", http_server_port(server), path);
	return url;
}

static const char *tls_at(const char *path)
{
	snprintf(url, sizeof(url), "https://127.0.0.1:%d%s", http_server_port(server), path);
	return url;
}

static void call_with(struct tls_ctx *tls)
{
	struct err e;

	client = http_client_new(loop, tls, 4, &e);
	ck_assert_msg(client != NULL, "%s", e.msg);
}

/* ---- a scripted server: what it says to which request on which connection ---- */

struct script {
	struct evconnlistener *listener;
	int connections;
	int requests;
	/* "" says nothing, NULL closes, "!..." says it and closes */
	const char *(*answer)(int connection, int request);
	int port;
	struct bufferevent *open[16];
};
static struct script script;

struct script_conn {
	int number, requests;
};

static void script_end(struct bufferevent *bev, short what, void *arg)
{
	for (size_t i = 0; i < ARRAY_LEN(script.open); i++)
		if (script.open[i] == bev)
			script.open[i] = NULL;
	free(arg);
	bufferevent_free(bev);
}

static void script_sent(struct bufferevent *bev, void *arg)
{
	script_end(bev, 0, arg);
}

static void script_read(struct bufferevent *bev, void *arg)
{
	struct script_conn *c = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	struct evbuffer_ptr end;

	while ((end = evbuffer_search(in, "\r\n\r\n", 4, NULL)).pos >= 0) {
		evbuffer_drain(in, (size_t)end.pos + 4);
		script.requests++;
		const char *text = script.answer(c->number, c->requests++);
		if (text == NULL) {
			script_end(bev, 0, c);
			return;
		}
		bool last = text[0] == '!';
		bufferevent_write(bev, text + last, strlen(text + last));
		if (last) {
			bufferevent_setcb(bev, NULL, script_sent, script_end, c);
			return;
		}
	}
}

static void script_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int n,
			  void *arg)
{
	struct script_conn *c = mem_zalloc(sizeof(*c));
	struct bufferevent *bev = bufferevent_socket_new(loop, fd, BEV_OPT_CLOSE_ON_FREE);

	c->number = script.connections++;
	ck_assert_uint_lt((size_t)c->number, ARRAY_LEN(script.open));
	script.open[c->number] = bev;
	bufferevent_setcb(bev, script_read, NULL, script_end, c);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static const char *serve_script(const char *(*answer)(int connection, int request))
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	socklen_t len = sizeof(in);

	memset(&script, 0, sizeof(script));
	script.answer = answer;
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	script.listener = evconnlistener_new_bind(loop, script_accept, NULL, LEV_OPT_CLOSE_ON_FREE,
						  16, (struct sockaddr *)&in, sizeof(in));
	ck_assert_ptr_nonnull(script.listener);
	getsockname(evconnlistener_get_fd(script.listener), (struct sockaddr *)&in, &len);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", ntohs(in.sin_port));
	return url;
}

static void setup(void)
{
	fixture_open();
	server = NULL;
	client = NULL;
	is_held = gone = false;
	memset(&script, 0, sizeof(script));
}

static void teardown(void)
{
	http_client_free(client);
	http_server_free(server);
	if (script.listener != NULL)
		evconnlistener_free(script.listener);
	for (size_t i = 0; i < ARRAY_LEN(script.open); i++) {
		void *c = NULL;
		if (script.open[i] == NULL)
			continue;
		bufferevent_getcb(script.open[i], NULL, NULL, NULL, &c);
		script_end(script.open[i], 0, c);
	}
	result_free(&res);
	fixture_close();
}

/* ---- calls to our own server ---- */

START_TEST(connection_is_kept)
{
	char first[64];

	serve("127.0.0.1:0", NULL);
	call_with(NULL);
	const char *headers[] = {"App-Id", "me", NULL};
	struct http_call call = {.method = "GET", .url = at("/who"), .headers = headers};
	do_call(client, &call, &res);
	ck_assert_int_eq(res.err.code, ERR_OK);
	ck_assert_int_eq(res.status, 200);
	ck_assert_str_eq(res.type, "application/json");
	ck_assert_str_eq(json_string_value(json_object_get(res.json, "app")), "me");
	str_copy(first, sizeof(first), json_string_value(json_object_get(res.json, "from")));
	result_free(&res);
	do_get(client, at("/who"), &res);
	ck_assert_str_eq(json_string_value(json_object_get(res.json, "from")), first);
	ck_assert_ptr_null(json_object_get(res.json, "app"));
}
END_TEST

START_TEST(errors_of_the_server_are_answers)
{
	serve("127.0.0.1:0", NULL);
	call_with(NULL);
	do_get(client, at("/none"), &res);
	ck_assert_int_eq(res.err.code, ERR_OK);
	ck_assert_int_eq(res.status, 404);
	ck_assert_int_eq(json_integer_value(json_object_get(res.json, "code")), ERR_SERVER);
}
END_TEST

START_TEST(large_bodies_both_ways)
{
	const size_t len = 20 * 1000 * 1000 + 1;
	char *data = mem_alloc(len);

	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i ^ (i >> 8) ^ (i >> 16));
	serve("127.0.0.1:0", NULL);
	call_with(NULL);
	struct http_call call = {.method = "POST",
				 .url = at("/echo"),
				 .body = data,
				 .body_len = len,
				 .content_type = "application/octet-stream"};
	do_call(client, &call, &res);
	ck_assert_int_eq(res.status, 200);
	ck_assert_str_eq(res.type, "application/octet-stream");
	ck_assert_uint_eq(res.body.len, len);
	ck_assert_int_eq(memcmp(res.body.data, data, len), 0);
	free(data);
}
END_TEST

START_TEST(head_call_has_no_body)
{
	serve("127.0.0.1:0", NULL);
	call_with(NULL);
	struct http_call call = {.method = "HEAD", .url = at("/who")};
	do_call(client, &call, &res);
	ck_assert_int_eq(res.status, 200);
	ck_assert_uint_eq(res.body.len, 0);
	result_free(&res);
	do_get(client, at("/who"), &res);
	ck_assert_int_eq(res.status, 200);
}
END_TEST

START_TEST(unix_socket_is_called)
{
	char listen[280];

	snprintf(listen, sizeof(listen), "unix:%s/sock", temp_dir());
	serve(listen, NULL);
	call_with(NULL);
	snprintf(url, sizeof(url), "%s:/who", listen);
	for (int i = 0; i < 2; i++) {
		do_get(client, url, &res);
		ck_assert_msg(res.err.code == ERR_OK, "%s", res.err.msg);
		ck_assert_str_eq(json_string_value(json_object_get(res.json, "from")), "unix");
		result_free(&res);
	}
	snprintf(url, sizeof(url), "%s-none:/who", listen);
	do_get(client, url, &res);
	ck_assert_int_eq(res.err.code, ERR_CONNECT);
}
END_TEST

START_TEST(names_are_looked_up)
{
	serve("127.0.0.1:0", NULL);
	call_with(NULL);
	snprintf(url, sizeof(url), "http://localhost:%d/who", http_server_port(server));
	do_get(client, url, &res);
	ck_assert_msg(res.err.code == ERR_OK, "%s", res.err.msg);
	ck_assert_int_eq(res.status, 200);
	result_free(&res);
	/* a name that cannot exist */
	do_get(client, "http://no_such_host.invalid:1/", &res);
	ck_assert_int_eq(res.err.code, ERR_CONNECT);
	ck_assert_ptr_nonnull(strstr(res.err.msg, "no_such_host.invalid"));
}
END_TEST

START_TEST(slow_answer_times_out)
{
	serve("127.0.0.1:0", NULL);
	call_with(NULL);
	struct http_call call = {.method = "GET", .url = at("/hold"), .timeout_ms = 100};
	do_call(client, &call, &res);
	ck_assert_int_eq(res.err.code, ERR_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(res.err.msg, "waiting for the answer"));
	run_until(&gone);
	http_reply(held, 200, NULL, "", 0);
}
END_TEST

START_TEST(cancelled_call_never_comes)
{
	serve("127.0.0.1:0", NULL);
	call_with(NULL);
	struct http_call call = {.method = "GET", .url = at("/hold")};
	void *h = http_call_start(client, &call, result_cb, &res);
	run_until(&is_held);
	http_call_cancel(client, h);
	run_until(&gone);
	http_reply(held, 200, NULL, "", 0);
	ck_assert_int_eq(res.calls, 0);
	/* before it is connected, while the name is looked up, and when it has failed already */
	http_call_cancel(client, http_call_start(client, &call, result_cb, &res));
	call.url = "http://localhost:1/";
	http_call_cancel(client, http_call_start(client, &call, result_cb, &res));
	call.url = "nonsense";
	http_call_cancel(client, http_call_start(client, &call, result_cb, &res));
	run_ms(50);
	ck_assert_int_eq(res.calls, 0);
}
END_TEST

START_TEST(ending_client_answers_its_calls)
{
	serve("127.0.0.1:0", NULL);
	call_with(NULL);
	struct http_call call = {.method = "GET", .url = at("/hold")};
	ck_assert_ptr_nonnull(http_call_start(client, &call, result_cb, &res));
	run_until(&is_held);
	http_client_free(client);
	client = NULL;
	ck_assert_int_eq(res.calls, 1);
	ck_assert_int_eq(res.err.code, ERR_CONNECT);
	http_reply(held, 200, NULL, "", 0);
}
END_TEST

static void free_client(const struct http_response *r, void *arg)
{
	http_client_free(client);
	client = NULL;
	ck_assert_int_eq(r->status, 200);
	ck_assert_ptr_nonnull(r->json);
	*(bool *)arg = true;
}

START_TEST(callback_may_free_the_client)
{
	bool done = false;

	serve("127.0.0.1:0", NULL);
	call_with(NULL);
	struct http_call call = {.method = "GET", .url = at("/who")};
	ck_assert_ptr_nonnull(http_call_start(client, &call, free_client, &done));
	run_until(&done);
	ck_assert_ptr_null(client);
}
END_TEST

START_TEST(wrong_calls_fail)
{
	static const char *const evil_value[] = {"X-A", "b\r\nX-Evil: c", NULL};
	static const char *const evil_name[] = {"X A", "b", NULL};
	static const char *const framing[] = {"Content-Length", "5", NULL};
	const struct http_call wrong[] = {
	    {.method = "GET", .url = "nonsense"},
	    {.method = "GET", .url = NULL},
	    {.method = NULL, .url = "http://127.0.0.1:1/"},
	    {.method = "G T", .url = "http://127.0.0.1:1/"},
	    {.method = "GET", .url = "http://127.0.0.1:1/", .headers = evil_value},
	    {.method = "GET", .url = "http://127.0.0.1:1/", .headers = evil_name},
	    {.method = "GET", .url = "http://127.0.0.1:1/", .headers = framing},
	    {.method = "POST",
	     .url = "http://127.0.0.1:1/",
	     .body = "x",
	     .body_len = 1,
	     .content_type = "a\r\nb: c"},
	};

	call_with(NULL);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		do_call(client, &wrong[i], &res);
		ck_assert_msg(res.err.code == ERR_USAGE, "call %zu: %s", i, res.err.msg);
	}
	do_get(client, "http://127.0.0.1:1/", &res);
	ck_assert_int_eq(res.err.code, ERR_CONNECT);
	ck_assert_ptr_nonnull(strstr(res.err.msg, "refused"));
	do_get(client, "https://127.0.0.1:1/", &res);
	ck_assert_int_eq(res.err.code, ERR_TLS);
	struct http_call call = {
	    .method = "GET", .url = "http://127.0.0.1:1/", .expect_party = "1"};
	do_call(client, &call, &res);
	ck_assert_int_eq(res.err.code, ERR_TLS);
}
END_TEST

/* ---- parts as they come ---- */

static size_t part_bytes;
static int parts_wanted;

static bool on_part(const void *data, size_t len, void *arg)
{
	part_bytes += len;
	return parts_wanted-- > 0;
}

START_TEST(parts_come_one_by_one)
{
	const size_t len = 3 * 1000 * 1000;
	char *data = mem_zalloc(len);

	serve("127.0.0.1:0", NULL);
	call_with(NULL);
	struct http_call call = {.method = "POST",
				 .url = at("/echo"),
				 .body = data,
				 .body_len = len,
				 .content_type = "text/plain",
				 .on_data = on_part};
	part_bytes = 0;
	parts_wanted = 1000000;
	do_call(client, &call, &res);
	ck_assert_int_eq(res.status, 200);
	ck_assert_uint_eq(part_bytes, len);
	ck_assert_uint_eq(res.body.len, 0);
	result_free(&res);
	part_bytes = 0;
	parts_wanted = 2;
	do_call(client, &call, &res);
	ck_assert_int_eq(res.err.code, ERR_IO);
	ck_assert_uint_lt(part_bytes, len);
	result_free(&res);
	/* what an error says is not mixed with the data */
	part_bytes = 0;
	call.url = at("/echo?fail");
	call.body_len = 10;
	do_call(client, &call, &res);
	ck_assert_int_eq(res.status, 500);
	ck_assert_uint_eq(part_bytes, 0);
	ck_assert_uint_eq(res.body.len, 10);
	free(data);
}
END_TEST

/* ---- bodies that are asked for ---- */

#define LONG_BODY (9 * 1000 * 1000 + 7)

static size_t given, give_up_at;

static char byte_at(size_t i)
{
	return (char)(i * 31 + i / 4099);
}

static int64_t give(void *out, size_t size, void *arg)
{
	char *p = out;

	ck_assert_ptr_eq(arg, &res);
	if (given >= give_up_at)
		return -1;
	/* never all that would fit, so that pieces have odd lengths */
	size = size > 10007 ? 10007 : size;
	for (size_t i = 0; i < size; i++)
		p[i] = byte_at(given + i);
	given += size;
	return (int64_t)size;
}

/* "head", then LONG_BODY bytes; what comes back must be the same. */
static void give_a_long_body(const char *to, struct result *out)
{
	struct http_call call = {.method = "POST",
				 .url = to,
				 .body = "head",
				 .body_len = 4,
				 .content_type = "application/octet-stream",
				 .more_len = LONG_BODY,
				 .more = give};
	given = 0;
	do_call(client, &call, out);
}

static void assert_long_body(const struct result *out)
{
	ck_assert_msg(out->err.code == ERR_OK, "%s", out->err.msg);
	ck_assert_int_eq(out->status, 200);
	ck_assert_uint_eq(out->body.len, LONG_BODY + 4);
	ck_assert_int_eq(memcmp(out->body.data, "head", 4), 0);
	for (size_t i = 0; i < LONG_BODY; i++)
		if (out->body.data[i + 4] != byte_at(i))
			ck_abort_msg("byte %zu differs", i);
}

START_TEST(long_body_is_asked_for)
{
	serve("127.0.0.1:0", NULL);
	call_with(NULL);
	give_up_at = SIZE_MAX;
	for (int i = 0; i < 2; i++) { /* the second goes over the same connection */
		give_a_long_body(at("/echo"), &res);
		assert_long_body(&res);
		result_free(&res);
	}
	give_up_at = LONG_BODY / 2;
	give_a_long_body(at("/echo"), &res);
	ck_assert_int_eq(res.err.code, ERR_IO);
	ck_assert_uint_lt(given, LONG_BODY);
	result_free(&res);
	/* nobody takes it there: the answer ends the call, and the connection is not used again */
	give_up_at = SIZE_MAX;
	give_a_long_body(at("/none"), &res);
	ck_assert_msg(res.status == 404 || res.status == 413 || res.err.code == ERR_CONNECT,
		      "%d %s", res.status, res.err.msg);
	result_free(&res);
	do_get(client, at("/who"), &res);
	ck_assert_int_eq(res.status, 200);
}
END_TEST

START_TEST(tls_asks_for_a_long_body)
{
	make_ca("ca");
	make_site("ca", "a", "1", 10);
	struct tls_ctx *ctx = site_ctx("ca", "ca", "a");
	serve("127.0.0.1:0", ctx);
	call_with(ctx);
	give_up_at = SIZE_MAX;
	give_a_long_body(tls_at("/echo"), &res);
	assert_long_body(&res);
	http_client_free(client);
	client = NULL;
	http_server_free(server);
	server = NULL;
	tls_ctx_free(ctx);
}
END_TEST

/* ---- scripted answers ---- */

static const char ok_answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

static const char *second_request_finds_it_closed(int connection, int request)
{
	return connection == 0 && request == 1 ? NULL : ok_answer;
}

START_TEST(stale_connection_is_tried_again_once)
{
	serve_script(second_request_finds_it_closed);
	call_with(NULL);
	do_get(client, url, &res);
	ck_assert_int_eq(res.status, 200);
	result_free(&res);
	do_get(client, url, &res);
	ck_assert_msg(res.err.code == ERR_OK, "%s", res.err.msg);
	ck_assert_int_eq(script.connections, 2);
	ck_assert_int_eq(script.requests, 3);
}
END_TEST

static const char *only_first_request_is_answered(int connection, int request)
{
	return connection == 0 && request == 0 ? ok_answer : NULL;
}

START_TEST(fresh_connection_is_not_tried_again)
{
	serve_script(only_first_request_is_answered);
	call_with(NULL);
	do_get(client, url, &res);
	ck_assert_int_eq(res.status, 200);
	result_free(&res);
	do_get(client, url, &res);
	ck_assert_int_eq(res.err.code, ERR_CONNECT);
	ck_assert_int_eq(script.connections, 2);
	ck_assert_int_eq(script.requests, 3);
	do_get(client, url, &res);
	ck_assert_int_eq(res.err.code, ERR_CONNECT);
	ck_assert_int_eq(script.requests, 4);
}
END_TEST

static const char *half_an_answer_the_second_time(int connection, int request)
{
	return request == 0 ? ok_answer : "!H";
}

START_TEST(begun_answer_is_not_tried_again)
{
	serve_script(half_an_answer_the_second_time);
	call_with(NULL);
	do_get(client, url, &res);
	result_free(&res);
	do_get(client, url, &res);
	ck_assert_int_eq(res.err.code, ERR_CONNECT);
	ck_assert_int_eq(script.requests, 2);
}
END_TEST

static const char *says_more_than_asked(int connection, int request)
{
	return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n"
	       "Content-Length: 4\r\n\r\nevil";
}

START_TEST(unasked_answer_is_not_taken_for_the_next)
{
	serve_script(says_more_than_asked);
	call_with(NULL);
	for (int i = 1; i <= 3; i++) {
		do_get(client, url, &res);
		ck_assert_str_eq(buf_str(&res.body), "ok");
		result_free(&res);
		run_ms(10);
		ck_assert_int_eq(script.connections, i);
	}
}
END_TEST

static const char *scripted;

static const char *say_scripted(int connection, int request)
{
	return scripted;
}

static const struct {
	const char *text;
	enum err_code code;
	const char *body;
} scripts[] = {
    {"!HTTP/1.1 200 OK\r\n\r\nuntil the end", ERR_OK, "until the end"},
    {"!HTTP/1.0 200 OK\r\n\r\n", ERR_OK, ""},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", ERR_OK, "x"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n", ERR_OK,
     "x"},
    {"!HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx", ERR_CONNECT, NULL},
    {"!HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", ERR_CONNECT, NULL},
    {NULL, ERR_CONNECT, NULL},
    {"SSH-2.0-x\r\n", ERR_PARSE, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", ERR_PARSE, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", ERR_LIMIT, NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n", ERR_LIMIT, NULL},
    {"", ERR_TIMEOUT, NULL},
};

START_TEST(scripted_answer)
{
	scripted = scripts[_i].text;
	serve_script(say_scripted);
	call_with(NULL);
	struct http_call call = {
	    .method = "GET", .url = url, .max_body_bytes = 100, .timeout_ms = 200};
	do_call(client, &call, &res);
	ck_assert_msg(res.err.code == scripts[_i].code, "case %d: %d %s", _i, (int)res.err.code,
		      res.err.msg);
	if (scripts[_i].body != NULL)
		ck_assert_str_eq(buf_str(&res.body), scripts[_i].body);
}
END_TEST

/* ---- TLS ---- */

START_TEST(sites_call_each_other)
{
	make_ca("ca");
	make_site("ca", "guest", "9999", 10);
	make_site("ca", "host", "10000", 10);
	struct tls_ctx *guest = site_ctx("ca", "ca", "guest");
	struct tls_ctx *host = site_ctx("ca", "ca", "host");
	serve("127.0.0.1:0", host);
	call_with(guest);
	char first[64] = "";
	struct http_call call = {.method = "GET", .url = tls_at("/who"), .expect_party = "10000"};
	for (int i = 0; i < 2; i++) {
		do_call(client, &call, &res);
		ck_assert_msg(res.err.code == ERR_OK, "%s", res.err.msg);
		ck_assert_str_eq(res.peer_party, "10000");
		ck_assert_str_eq(json_string_value(json_object_get(res.json, "party")), "9999");
		const char *from = json_string_value(json_object_get(res.json, "from"));
		if (i > 0)
			ck_assert_str_eq(from, first);
		str_copy(first, sizeof(first), from);
		result_free(&res);
	}
	/* An idle connection to the right place is no excuse. */
	call.expect_party = "9999";
	do_call(client, &call, &res);
	ck_assert_int_eq(res.err.code, ERR_TLS);
	ck_assert_ptr_nonnull(strstr(res.err.msg, "may not speak for party 9999"));
	http_client_free(client);
	client = NULL;
	http_server_free(server);
	server = NULL;
	tls_ctx_free(guest);
	tls_ctx_free(host);
}
END_TEST

START_TEST(tls_carries_large_bodies)
{
	const size_t len = 5 * 1000 * 1000 + 3;
	char *data = mem_alloc(len);

	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i * 13 + i / 997);
	make_ca("ca");
	make_site("ca", "a", "1", 10);
	struct tls_ctx *ctx = site_ctx("ca", "ca", "a");
	serve("127.0.0.1:0", ctx);
	call_with(ctx);
	struct http_call call = {.method = "POST",
				 .url = tls_at("/echo"),
				 .body = data,
				 .body_len = len,
				 .content_type = "application/octet-stream"};
	for (int i = 0; i < 3; i++) {
		do_call(client, &call, &res);
		ck_assert_msg(res.err.code == ERR_OK, "%s", res.err.msg);
		ck_assert_uint_eq(res.body.len, len);
		ck_assert_int_eq(memcmp(res.body.data, data, len), 0);
		result_free(&res);
	}
	free(data);
	http_client_free(client);
	client = NULL;
	http_server_free(server);
	server = NULL;
	tls_ctx_free(ctx);
}
END_TEST

/* {the server's, the client's} CA and days; which side's check fails shows in the words */
static const struct {
	const char *server_ca, *client_ca;
	int server_days, client_days;
	const char *why;
} strangers[] = {
    {"evil", "ca", 10, 10, "certificate"},
    {"ca", "evil", 10, 10, "certificate"},
    {"ca", "ca", 0, 10, "certificate has expired"},
    {"ca", "ca", 10, 0, "alert"},
};

START_TEST(strangers_are_refused)
{
	make_ca("ca");
	make_ca("evil");
	make_site(strangers[_i].server_ca, "s", "1", strangers[_i].server_days);
	make_site(strangers[_i].client_ca, "c", "2", strangers[_i].client_days);
	struct tls_ctx *s = site_ctx(strangers[_i].server_ca, strangers[_i].server_ca, "s");
	struct tls_ctx *c = site_ctx(strangers[_i].client_ca, strangers[_i].client_ca, "c");
	serve("127.0.0.1:0", s);
	call_with(c);
	do_get(client, tls_at("/who"), &res);
	ck_assert_msg(res.err.code == ERR_TLS, "%d: %s", (int)res.err.code, res.err.msg);
	ck_assert_msg(strstr(res.err.msg, strangers[_i].why) != NULL, "%s", res.err.msg);
	http_client_free(client);
	client = NULL;
	http_server_free(server);
	server = NULL;
	tls_ctx_free(s);
	tls_ctx_free(c);
}
END_TEST

START_TEST(plain_and_tls_do_not_mix)
{
	make_ca("ca");
	make_site("ca", "a", "1", 10);
	struct tls_ctx *ctx = site_ctx("ca", "ca", "a");
	serve("127.0.0.1:0", ctx);
	call_with(ctx);
	do_get(client, at("/who"), &res);
	ck_assert_int_ne(res.err.code, ERR_OK);
	http_server_free(server);
	serve("127.0.0.1:0", NULL);
	do_get(client, tls_at("/who"), &res);
	ck_assert_int_eq(res.err.code, ERR_TLS);
	http_client_free(client);
	client = NULL;
	tls_ctx_free(ctx);
}
END_TEST

static TCase *cases(void)
{
	TCase *tc = tcase_create("client");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, connection_is_kept);
	tcase_add_test(tc, errors_of_the_server_are_answers);
	tcase_add_test(tc, large_bodies_both_ways);
	tcase_add_test(tc, head_call_has_no_body);
	tcase_add_test(tc, unix_socket_is_called);
	tcase_add_test(tc, names_are_looked_up);
	tcase_add_test(tc, slow_answer_times_out);
	tcase_add_test(tc, cancelled_call_never_comes);
	tcase_add_test(tc, ending_client_answers_its_calls);
	tcase_add_test(tc, callback_may_free_the_client);
	tcase_add_test(tc, wrong_calls_fail);
	tcase_add_test(tc, parts_come_one_by_one);
	tcase_add_test(tc, long_body_is_asked_for);
	tcase_add_test(tc, tls_asks_for_a_long_body);
	tcase_add_test(tc, stale_connection_is_tried_again_once);
	tcase_add_test(tc, fresh_connection_is_not_tried_again);
	tcase_add_test(tc, begun_answer_is_not_tried_again);
	tcase_add_test(tc, unasked_answer_is_not_taken_for_the_next);
	tcase_add_loop_test(tc, scripted_answer, 0, (int)ARRAY_LEN(scripts));
	tcase_add_test(tc, sites_call_each_other);
	tcase_add_test(tc, tls_carries_large_bodies);
	tcase_add_loop_test(tc, strangers_are_refused, 0, (int)ARRAY_LEN(strangers));
	tcase_add_test(tc, plain_and_tls_do_not_mix);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("net_http");
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
