/* What the tests of src/net share: one event loop, a server and a client on it, raw sockets, a CA.
 */
#ifndef NORN_TESTS_NET_FIXTURE_H
#define NORN_TESTS_NET_FIXTURE_H

#include "base/buf.h"
#include "net/http.h"

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

#define WAIT_MS 30000 /* longer than anything that should happen takes, also under valgrind */

extern struct event_base *loop;

void fixture_open(void);
void fixture_close(void);

/* Runs the loop until *flag, or fails the test. */
void run_until(const bool *flag);
void run_ms(int ms);

/* A connected, non-blocking socket to 127.0.0.1:port. */
int raw_connect(int port);
void raw_send(int fd, const char *text); /* all of it, running the loop when the socket is full */
void raw_send_bytes(int fd, const void *data, size_t len);
/* Runs the loop and reads until buf has the text; fails the test at the end of the connection. */
void raw_expect(int fd, struct buf *got, const char *text);
/* Reads until the other side closes; whatever came is appended. */
void raw_read_to_end(int fd, struct buf *got);
/* Takes one whole answer with a Content-Length off the front of got, reading as needed. */
int raw_answer(int fd, struct buf *got, struct buf *body);

/* One client call, run to its end. */
struct result {
	bool done;
	int calls; /* how often the callback came */
	struct err err;
	int status;
	struct buf body;
	char type[64];
	json_t *json;
	char peer_party[TLS_PARTY_ID_MAX];
};
void result_cb(const struct http_response *res, void *arg); /* arg: struct result */
void result_free(struct result *r);
void do_call(struct http_client *c, const struct http_call *call, struct result *out);
void do_get(struct http_client *c, const char *url, struct result *out);

/* A directory that is removed with the fixture. */
const char *temp_dir(void);
/* Site files under temp_dir(): CA directory and site names are relative to it. */
void make_ca(const char *ca);
void make_site(const char *ca, const char *name, const char *party, int days);
struct tls_ctx *site_ctx(const char *ca, const char *cert_ca, const char *name);

#endif
