#include "config.h"
#include "net_fixture.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct event_base *loop;
static char dir[256];

void fixture_open(void)
{
	loop = event_base_new();
	ck_assert_ptr_nonnull(loop);
	dir[0] = 0;
}

void fixture_close(void)
{
	struct err e;

	/* A turn for what was put off to the next one. */
	event_base_loop(loop, EVLOOP_NONBLOCK);
	event_base_free(loop);
	if (dir[0] != 0)
		ck_assert_msg(fs_remove_tree(dir, &e), "%s", e.msg);
}

static void turn(void)
{
	struct timeval tv = {.tv_usec = 1000};

	event_base_loopexit(loop, &tv);
	event_base_loop(loop, EVLOOP_ONCE);
}

void run_until(const bool *flag)
{
	int64_t end = clock_mono_ms() + WAIT_MS;

	while (!*flag) {
		ck_assert_msg(clock_mono_ms() < end, "waited too long");
		turn();
	}
}

void run_ms(int ms)
{
	int64_t end = clock_mono_ms() + ms;

	while (clock_mono_ms() < end)
		turn();
}

int raw_connect(int port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	ck_assert_int_eq(evutil_make_socket_nonblocking(fd), 0);
	return fd;
}

void raw_send_bytes(int fd, const void *data, size_t len)
{
	const char *p = data;
	int64_t end = clock_mono_ms() + WAIT_MS;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
		if (n < 0) {
			ck_assert_msg(errno == EAGAIN, "send: %s", strerror(errno));
			ck_assert_msg(clock_mono_ms() < end, "the server does not read");
			turn();
			continue;
		}
		p += n;
		len -= (size_t)n;
	}
}

void raw_send(int fd, const char *text)
{
	raw_send_bytes(fd, text, strlen(text));
}

/* false at the end of the connection */
static bool raw_read(int fd, struct buf *got)
{
	char piece[65536];
	ssize_t n = recv(fd, piece, sizeof(piece), 0);

	if (n > 0)
		buf_add(got, piece, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		return false;
	else
		turn();
	return true;
}

void raw_expect(int fd, struct buf *got, const char *text)
{
	int64_t end = clock_mono_ms() + WAIT_MS;

	while (strstr(buf_str(got), text) == NULL) {
		ck_assert_msg(clock_mono_ms() < end, "no \"%s\" in \"%s\"", text, buf_str(got));
		ck_assert_msg(raw_read(fd, got), "closed before \"%s\": \"%s\"", text,
			      buf_str(got));
	}
}

void raw_read_to_end(int fd, struct buf *got)
{
	int64_t end = clock_mono_ms() + WAIT_MS;

	while (raw_read(fd, got))
		ck_assert_msg(clock_mono_ms() < end, "not closed; got \"%.200s\"", buf_str(got));
}

int raw_answer(int fd, struct buf *got, struct buf *body)
{
	raw_expect(fd, got, "\r\n\r\n");
	size_t head = (size_t)(strstr(got->data, "\r\n\r\n") - got->data) + 4;
	int status = atoi(got->data + 9);
	const char *field = strstr(got->data, "\r\nContent-Length: ");
	ck_assert_ptr_nonnull(field);
	size_t len = (size_t)atol(field + 18);
	int64_t end = clock_mono_ms() + WAIT_MS;
	while (got->len < head + len) {
		ck_assert_msg(clock_mono_ms() < end, "the body is incomplete");
		ck_assert(raw_read(fd, got));
	}
	buf_reset(body);
	buf_add(body, got->data + head, len);
	buf_drop(got, head + len);
	return status;
}

void result_cb(const struct http_response *res, void *arg)
{
	struct result *r = arg;

	r->done = true;
	r->calls++;
	if (res->error != NULL) {
		r->err = *res->error;
		return;
	}
	r->status = res->status;
	buf_add(&r->body, res->body, res->body_len);
	str_copy(r->type, sizeof(r->type), res->content_type);
	r->json = json_incref(res->json);
	if (res->peer != NULL && res->peer->n_parties > 0)
		str_copy(r->peer_party, sizeof(r->peer_party), res->peer->parties[0]);
}

void result_free(struct result *r)
{
	buf_free(&r->body);
	json_decref(r->json);
	memset(r, 0, sizeof(*r));
}

void do_call(struct http_client *c, const struct http_call *call, struct result *out)
{
	memset(out, 0, sizeof(*out));
	ck_assert_ptr_nonnull(http_call_start(c, call, result_cb, out));
	ck_assert_msg(!out->done, "the callback came from inside the call");
	run_until(&out->done);
	ck_assert_int_eq(out->calls, 1);
}

void do_get(struct http_client *c, const char *url, struct result *out)
{
	struct http_call call = {.method = "GET", .url = url};

	do_call(c, &call, out);
}

const char *temp_dir(void)
{
	if (dir[0] == 0) {
		const char *tmp = getenv("TMPDIR");
		snprintf(dir, sizeof(dir), "%s/norn-net.XXXXXX", tmp != NULL ? tmp : P_tmpdir);
		ck_assert_ptr_nonnull(mkdtemp(dir));
	}
	return dir;
}

static const char *under(char *out, size_t size, const char *part, const char *file)
{
	snprintf(out, size, "%s/%s%s%s", temp_dir(), part, file[0] != 0 ? "/" : "", file);
	return out;
}

void make_ca(const char *ca)
{
	char path[512];
	struct err e;

	ck_assert_msg(tls_make_ca(under(path, sizeof(path), ca, ""), "Test CA", 30, &e), "%s",
		      e.msg);
}

void make_site(const char *ca, const char *name, const char *party, int days)
{
	char path[512];
	struct err e;

	under(path, sizeof(path), ca, "");
	ck_assert_msg(tls_make_cert(path, path, name, &party, 1, NULL, 0, days, &e), "%s", e.msg);
}

struct tls_ctx *site_ctx(const char *ca, const char *cert_ca, const char *name)
{
	char ca_file[512], cert[600], key[600], file[128];
	struct err e;

	under(ca_file, sizeof(ca_file), ca, "ca.crt");
	snprintf(file, sizeof(file), "%s.crt", name);
	under(cert, sizeof(cert), cert_ca, file);
	snprintf(file, sizeof(file), "%s.key", name);
	under(key, sizeof(key), cert_ca, file);
	struct tls_ctx *ctx = tls_ctx_new(ca_file, cert, key, &e);
	ck_assert_msg(ctx != NULL, "%s", e.msg);
	return ctx;
}
