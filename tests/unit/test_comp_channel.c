/* Messages: wire format, channels in memory and through a node, and the HTTP client under them. */
#include "config.h"
#include "comp_parties.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "component/httpc.h"
#include "component/metrics.h"
#include "component/wire.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

START_TEST(wire_round_trip)
{
	struct buf b = {0};
	struct wire w;
	struct err e;
	char *s;

	wire_put_u8(&b, 200);
	wire_put_u32(&b, 0xdeadbeef);
	wire_put_u64(&b, 0x0102030405060708u);
	wire_put_f64(&b, -0.1);
	wire_put_str(&b, "text");
	ck_assert_int_eq((unsigned char)b.data[1], 0xde); /* big-endian */
	wire_init(&w, b.data, b.len);
	ck_assert_uint_eq(wire_u8(&w), 200);
	ck_assert_uint_eq(wire_u32(&w), 0xdeadbeef);
	ck_assert_uint_eq(wire_u64(&w), 0x0102030405060708u);
	ck_assert_double_eq(wire_f64(&w), -0.1);
	ck_assert(!wire_done(&w, &e));
	s = wire_str(&w);
	ck_assert_str_eq(s, "text");
	free(s);
	ck_assert(wire_done(&w, &e));
	buf_free(&b);
}
END_TEST

START_TEST(wire_never_passes_the_end)
{
	static const unsigned char data[] = {0, 0, 0, 9, 'a', 'b'}, nul[] = {0, 0, 0, 2, 'a', 0};
	struct wire w;
	struct err e;

	wire_init(&w, data, sizeof data);
	ck_assert_ptr_null(wire_str(&w));
	ck_assert_uint_eq(wire_u8(&w), 0); /* bad stays bad, though bytes are left */
	ck_assert(!wire_done(&w, &e));
	wire_init(&w, nul, sizeof nul);
	ck_assert_ptr_null(wire_str(&w));
	wire_init(&w, NULL, 0);
	ck_assert_uint_eq(wire_u64(&w), 0);
	ck_assert_ptr_null(wire_bytes(&w, 1));
	wire_init(&w, data, 3);
	ck_assert_uint_eq(wire_u32(&w), 0);
	ck_assert_ptr_null(wire_bytes(&w, SIZE_MAX));
}
END_TEST

START_TEST(memory_channel)
{
	struct channel_hub *hub = channel_hub_new(1000);
	struct channel *a = channel_mem_new(hub, "guest", "1"),
		       *b = channel_mem_new(hub, "host", "2");
	struct buf m = {0};
	struct err e;

	ck_assert(channel_send(a, "host", "2", "first", "abc", 3, &e));
	ck_assert(channel_send(a, "host", "2", "second", NULL, 0, &e));
	ck_assert(channel_send(a, "host", "2", "third", "abcd", 4, &e));
	ck_assert(channel_send(b, "guest", "1", "back", "x", 1, &e));
	ck_assert(channel_recv(b, "guest", "1", "first", 3, &m, &e));
	ck_assert_str_eq(m.data, "abc");
	ck_assert(channel_recv(a, "host", "2", "back", 1, &m, &e));
	ck_assert(!channel_recv(b, "guest", "1", "other", 10, &m, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "'second'"));
	ck_assert(!channel_recv(b, "guest", "1", "third", 3, &m, &e));
	ck_assert_int_eq(e.code, ERR_LIMIT);
	ck_assert(!channel_recv(b, "guest", "1", "more", 3, &m, &e));
	ck_assert_int_eq(e.code, ERR_TIMEOUT);
	ck_assert(!channel_send(a, "host", "2", "bad tag", "", 0, &e));
	channel_hub_abort(hub);
	ck_assert(!channel_recv(b, "guest", "1", "more", 3, &m, &e));
	ck_assert_int_eq(e.code, ERR_PEER);
	buf_free(&m);
	channel_free(a);
	channel_free(b);
	channel_hub_free(hub);
}
END_TEST

/* ---- a node that answers by script ---- */

#define ANSWERS_MAX 16

static struct node {
	int fd;
	uint16_t port;
	pthread_t thread;
	/* One entry per request; NULL ends. An entry that starts with '~' closes the connection
	 * after the answer; "~" alone closes without one. */
	const char *answers[ANSWERS_MAX];
	struct buf requests[ANSWERS_MAX];
	int served;
} node;

/* A request: head, and a body of Content-Length bytes. False when the client has gone. */
static bool read_request(int fd, struct buf *out)
{
	const char *end, *length;
	size_t want = SIZE_MAX;
	char block[65536];
	ssize_t n;

	while (out->len < want) {
		n = recv(fd, block, sizeof block, 0);
		if (n <= 0)
			return false;
		buf_add(out, block, (size_t)n);
		if (want != SIZE_MAX || (end = strstr(out->data, "\r\n\r\n")) == NULL)
			continue;
		length = strstr(out->data, "Content-Length: ");
		want =
		    (size_t)(end - out->data) + 4 + (length ? strtoul(length + 16, NULL, 10) : 0);
	}
	return true;
}

static void *serve(void *arg)
{
	const char *answer;
	int fd = -1;

	(void)arg;
	while (node.served < ANSWERS_MAX && (answer = node.answers[node.served]) != NULL) {
		bool close_after = *answer == '~';

		if (fd < 0 && (fd = accept(node.fd, NULL, NULL)) < 0)
			return NULL;
		if (!read_request(fd, &node.requests[node.served])) {
			buf_reset(&node.requests[node.served]);
			close(fd);
			fd = -1;
			continue;
		}
		answer += close_after;
		node.served++;
		ck_assert_int_eq(send(fd, answer, strlen(answer), MSG_NOSIGNAL),
				 (ssize_t)strlen(answer));
		if (close_after) {
			close(fd);
			fd = -1;
		}
	}
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void node_start(const char *const *answers)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof a;
	int i;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (i = 0; answers[i] != NULL; i++)
		node.answers[i] = answers[i];
	node.fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(node.fd, (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(listen(node.fd, 8), 0);
	ck_assert_int_eq(getsockname(node.fd, (struct sockaddr *)&a, &len), 0);
	node.port = ntohs(a.sin_port);
	ck_assert_int_eq(pthread_create(&node.thread, NULL, serve, NULL), 0);
}

/* All answers must have been asked for. */
static void node_stop(void)
{
	int i, want = 0;

	while (want < ANSWERS_MAX && node.answers[want] != NULL)
		want++;
	shutdown(node.fd, SHUT_RDWR);
	pthread_join(node.thread, NULL);
	close(node.fd);
	ck_assert_int_eq(node.served, want);
	for (i = 0; i < ANSWERS_MAX; i++)
		buf_free(&node.requests[i]);
}

static struct channel *open_channel(int64_t timeout_s)
{
	char url[64];
	struct channel *c;
	struct err e;

	snprintf(url, sizeof url, "http://127.0.0.1:%u", node.port);
	c = channel_node_new(url, "job_1 x", "secret", timeout_s, &e);
	ck_assert_ptr_nonnull(c);
	return c;
}

#define OK_JSON "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"code\":0}"
#define FRAME(seq, more, tag, len, body)                                                           \
	"HTTP/1.1 200 OK\r\nX-Norn-Tag: " tag "\r\nX-Norn-Seq: " seq "\r\nX-Norn-More: " more      \
	"\r\nContent-Length: " len "\r\n\r\n" body
#define EMPTY "HTTP/1.1 204 No Content\r\n\r\n"

START_TEST(node_send_numbers_frames)
{
	static const char *const answers[] = {OK_JSON, OK_JSON, OK_JSON, NULL};
	size_t len = 5 * 1024 * 1024;
	char *big = mem_zalloc(len);
	struct channel *c;
	struct err e = {0};

	node_start(answers);
	c = open_channel(10);
	ck_assert_msg(channel_send(c, "host", "a&b", "big", big, len, &e), "%s", e.msg);
	ck_assert_msg(channel_send(c, "host", "a&b", "none", NULL, 0, &e), "%s", e.msg);
	channel_free(c);
	ck_assert_ptr_nonnull(strstr(node.requests[0].data,
				     "POST /v2/worker/channel/push?execution_id=job_1%20x&to_role="
				     "host&to_party=a%26b&tag=big&seq=0&more=1 HTTP/1.1\r\n"));
	ck_assert_ptr_nonnull(strstr(node.requests[0].data, "Authorization: Bearer secret\r\n"));
	ck_assert_ptr_nonnull(strstr(node.requests[0].data, "Content-Length: 4194304\r\n"));
	ck_assert_ptr_nonnull(strstr(node.requests[1].data, "&seq=1&more=0 "));
	ck_assert_ptr_nonnull(strstr(node.requests[1].data, "Content-Length: 1048576\r\n"));
	ck_assert_ptr_nonnull(strstr(node.requests[2].data, "&tag=none&seq=2&more=0 "));
	free(big);
	node_stop();
}
END_TEST

START_TEST(node_send_tries_again_when_told_to)
{
	static const char *const answers[] = {
	    "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"code\":9005}",
	    "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"code\":2000}", OK_JSON,
	    "HTTP/1.1 403 No\r\nContent-Length: 32\r\n\r\n{\"code\":5004,\"message\":\"denied\"}",
	    NULL};
	struct channel *c;
	struct err e = {0};

	node_start(answers);
	c = open_channel(10);
	ck_assert_msg(channel_send(c, "host", "h", "t", "x", 1, &e), "%s", e.msg);
	ck_assert(!channel_send(c, "host", "h", "t", "x", 1, &e));
	ck_assert_int_eq(e.code, ERR_API_AUTH);
	ck_assert_ptr_nonnull(strstr(e.msg, "denied"));
	channel_free(c);
	node_stop();
}
END_TEST

START_TEST(node_recv_joins_frames)
{
	static const char *const answers[] = {EMPTY, FRAME("0", "1", "t", "3", "abc"),
					      FRAME("1", "0", "t", "2", "de"),
					      FRAME("2", "0", "t", "1", "f"), NULL};
	struct buf m = {0};
	struct channel *c;
	struct err e = {0};

	node_start(answers);
	c = open_channel(10);
	ck_assert_msg(channel_recv(c, "host", "h", "t", 5, &m, &e), "%s", e.msg);
	ck_assert_str_eq(m.data, "abcde");
	ck_assert_msg(channel_recv(c, "host", "h", "t", 5, &m, &e), "%s", e.msg);
	ck_assert_str_eq(m.data, "f");
	ck_assert_ptr_nonnull(strstr(node.requests[1].data, "&from_role=host&from_party=h&seq=0&"));
	ck_assert_ptr_nonnull(strstr(node.requests[3].data, "&seq=2&"));
	buf_free(&m);
	channel_free(c);
	node_stop();
}
END_TEST

START_TEST(node_recv_refuses)
{
	static const struct {
		const char *answer;
		const char *words;
	} cases[] = {
	    {FRAME("0", "0", "other", "1", "x"), "the peer sent 'other' instead"},
	    {FRAME("7", "0", "t", "1", "x"), "frame 7 instead of 0"},
	    {FRAME("0", "0", "t", "6", "abcdef"), "longer than 5"},
	    {FRAME("0", "0", "t\x1b[31m", "1", "x"), "\\x1b"},
	    {"HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n"
	     "{\"code\":104,\"message\":\"the peer has gone\"}",
	     "the peer has gone"},
	    {"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nboom", "status 500"},
	    {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "no valid length"},
	    {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "longer than"},
	    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "unknown coding"},
	    {"~SSH-2.0-OpenSSH_9\r\n", "not HTTP"},
	    {"~HTTP/1.1 200 OK\r\nX-Norn-Tag: t\r\nContent-Length: 5\r\n\r\nab", "closed"},
	};
	const char *answers[2] = {cases[_i].answer, NULL};
	struct buf m = {0};
	struct channel *c;
	struct err e = {0};

	node_start(answers);
	c = open_channel(10);
	ck_assert(!channel_recv(c, "host", "h", "t", 5, &m, &e));
	ck_assert_msg(strstr(e.msg, cases[_i].words) != NULL, "got: %s", e.msg);
	buf_free(&m);
	channel_free(c);
	node_stop();
}
END_TEST

START_TEST(node_recv_times_out)
{
	static const char *const answers[] = {NULL};
	struct buf m = {0};
	struct channel *c;
	struct httpc h;
	struct httpc_answer a;
	char url[64];
	struct err e = {0};

	node_start(answers); /* accepts, and never answers */
	snprintf(url, sizeof url, "http://127.0.0.1:%u", node.port);
	ck_assert(httpc_init(&h, url, NULL, &e));
	ck_assert(!httpc_request(&h, "GET", "/", NULL, NULL, 0, 100, &a, &e));
	ck_assert_int_eq(e.code, ERR_TIMEOUT);
	httpc_free(&h);
	c = open_channel(0);
	ck_assert(!channel_recv(c, "host", "h", "t", 5, &m, &e));
	ck_assert_int_eq(e.code, ERR_TIMEOUT);
	buf_free(&m);
	channel_free(c);
	node_stop();
}
END_TEST

START_TEST(http_connection_is_kept_and_renewed)
{
	static const char *const answers[] = {
	    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
	    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n",
	    "~HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb", /* closes without saying so */
	    "~HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nc",
	    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nd",
	    NULL};
	static const char *const bodies[] = {"a", "abcde", "b", "c", "d"};
	struct httpc_answer a;
	struct httpc h;
	char url[64];
	struct err e = {0};
	size_t i;

	node_start(answers);
	snprintf(url, sizeof url, "http://localhost:%u/base/", node.port);
	ck_assert(httpc_init(&h, url, NULL, &e));
	for (i = 0; i < ARRAY_LEN(bodies); i++) {
		ck_assert_msg(httpc_request(&h, "GET", "/x", NULL, NULL, 0, 5000, &a, &e), "%s",
			      e.msg);
		ck_assert_str_eq(buf_str(&a.body), bodies[i]);
		httpc_answer_free(&a);
	}
	ck_assert_ptr_nonnull(strstr(node.requests[0].data, "GET /base/x HTTP/1.1\r\n"));
	ck_assert_ptr_null(strstr(node.requests[0].data, "Authorization"));
	httpc_free(&h);
	node_stop();
}
END_TEST

START_TEST(http_only_to_this_machine)
{
	static const char *const bad[] = {"http://192.0.2.1:80",
					  "http://[2001:db8::1]:80",
					  "http://example.org/",
					  "https://127.0.0.1/",
					  "http://127.0.0.1:0",
					  "http://127.0.0.1:99999",
					  "http://",
					  "http://127.1.example",
					  "http://user@127.0.0.1",
					  "127.0.0.1"};
	static const char *const good[] = {"http://127.0.0.1:9380", "http://[::1]:9380/v2",
					   "http://localhost",      "http://127.9.9.9:1/",
					   "http://0.0.0.0:9380",   "http://[::]:9380"};
	struct httpc h;
	struct err e;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!httpc_init(&h, bad[i], NULL, &e), "%s", bad[i]);
	for (i = 0; i < ARRAY_LEN(good); i++) {
		ck_assert_msg(httpc_init(&h, good[i], NULL, &e), "%s", good[i]);
		httpc_free(&h);
	}
	ck_assert(!httpc_init(&h, good[0], "a\r\nb", &e));
}
END_TEST

START_TEST(metrics_are_posted)
{
	static const char *const answers[] = {OK_JSON, NULL};
	static const char *const groups[] = {"train"};
	struct metrics *m;
	char url[64];
	struct err e = {0};

	node_start(answers);
	snprintf(url, sizeof url, "http://127.0.0.1:%u/v2/worker/metric/save/x", node.port);
	m = metrics_open(url, "secret", &e);
	ck_assert_ptr_nonnull(m);
	metrics_add(m, metrics_record("lr_loss", "loss", groups, 1, "iterations",
				      json_pack("[{s:f,s:i}]", "metric", 0.5, "step", 3)));
	ck_assert(metrics_flush(m, &e));
	metrics_free(m);
	ck_assert_ptr_nonnull(strstr(node.requests[0].data, "POST /v2/worker/metric/save/x HTTP"));
	ck_assert_ptr_nonnull(strstr(node.requests[0].data, "Bearer secret"));
	ck_assert_ptr_nonnull(strstr(
	    node.requests[0].data,
	    "{\"data\":[{\"data\":[{\"metric\":0.5,\"step\":3}],\"groups\":[{\"index\":null,"
	    "\"name\":\"default\"},{\"index\":null,\"name\":\"train\"}],\"name\":\"lr_loss\","
	    "\"step_axis\":\"iterations\",\"type\":\"loss\"}]}"));
	node_stop();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("comp_channel");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 30);
	tcase_add_test(t, wire_round_trip);
	tcase_add_test(t, wire_never_passes_the_end);
	tcase_add_test(t, memory_channel);
	tcase_add_test(t, node_send_numbers_frames);
	tcase_add_test(t, node_send_tries_again_when_told_to);
	tcase_add_test(t, node_recv_joins_frames);
	tcase_add_loop_test(t, node_recv_refuses, 0, 11);
	tcase_add_test(t, node_recv_times_out);
	tcase_add_test(t, http_connection_is_kept_and_renewed);
	tcase_add_test(t, http_only_to_this_machine);
	tcase_add_test(t, metrics_are_posted);
	suite_add_tcase(s, t);
	return run_suite(s);
}
