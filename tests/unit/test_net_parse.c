/* The HTTP parser against good and hostile messages, each fed whole, byte by byte, and in threes.
 */
#include "config.h"
#include "net/http_parse.h"
#include "net/http_target.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct outcome {
	enum http_event end; /* HTTP_END, HTTP_BAD or HTTP_MORE */
	int status;
	const char *why;
	struct buf body;
	size_t used;
	bool keep_alive;
	enum http_framing framing;
};

struct options {
	size_t max_header;
	uint64_t max_body;
	bool head_only;
	bool eof; /* the other side closes at the end */
};

static void run(enum http_kind kind, const struct options *opt, const char *data, size_t len,
		size_t piece, struct outcome *out)
{
	struct http_parser p = {0};
	size_t at = 0;
	enum http_event ev = HTTP_MORE;

	memset(out, 0, sizeof(*out));
	http_parser_init(&p, kind);
	p.max_header_bytes = opt->max_header > 0 ? opt->max_header : 4096;
	p.max_body_bytes = opt->max_body > 0 ? opt->max_body : 1 << 20;
	p.head_only = opt->head_only;
	while (ev != HTTP_END && ev != HTTP_BAD) {
		size_t n = len - at < piece ? len - at : piece;
		/* A copy of its own size, so that a read beyond it is seen by the sanitizer. */
		char *copy = malloc(n > 0 ? n : 1);
		ck_assert_ptr_nonnull(copy);
		memcpy(copy, data + at, n);
		size_t used, part_len;
		const char *part;
		ev = http_parse(&p, copy, n, &used, &part, &part_len);
		ck_assert_uint_le(used, n);
		if (ev == HTTP_DATA) {
			ck_assert_uint_gt(part_len, 0);
			buf_add(&out->body, part, part_len);
		}
		free(copy);
		at += used;
		if (ev == HTTP_MORE) {
			ck_assert_uint_eq(used, n);
			if (at == len)
				break;
		}
	}
	if (ev == HTTP_MORE && opt->eof)
		ev = http_parse_eof(&p);
	out->end = ev;
	out->status = p.status;
	out->why = p.why;
	out->used = at;
	out->keep_alive = p.keep_alive;
	out->framing = p.framing;
	http_parser_free(&p);
}

static const size_t pieces[] = {SIZE_MAX, 1, 3};

#define REQ     "POST /v2/job HTTP/1.1\r\nHost: a\r\n"
#define TEXT(s) (s), sizeof(s) - 1

/* ---- requests that are fine ---- */

static const struct good {
	const char *text;
	size_t len;
	const char *body;
	size_t rest; /* bytes left for the next message */
	bool keep_alive;
} good_requests[] = {
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "", 0, true},
    {TEXT("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "", 0, true},
    {TEXT("GET / HTTP/1.1\r\nHost:\r\n\r\n"), "", 0, true},
    {TEXT("GET / HTTP/1.1\r\nHost: [::1]:9380\r\nConnection: close\r\n\r\n"), "", 0, false},
    {TEXT("GET / HTTP/1.1\r\nhOST: a\r\nConnection: x , CLOSE\t\r\n\r\n"), "", 0, false},
    {TEXT("GET / HTTP/1.0\r\n\r\n"), "", 0, false},
    {TEXT("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), "", 0, true},
    {TEXT(REQ "Content-Length: 5\r\n\r\nhello"), "hello", 0, true},
    {TEXT(REQ "Content-Length: 0\r\n\r\nGET "), "", 4, true},
    {TEXT(REQ "Content-Length: 2\r\n\r\nhello"), "he", 3, true},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "", 0, true},
    {TEXT(REQ "Transfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\nX"), "hello", 1, true},
    {TEXT(REQ "transfer-encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n02\r\nlo\r\n000\r\n\r\n"), "hello",
     0, true},
    {TEXT(REQ
	  "transfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n0;x=\"y z\"\r\nT: v\r\nU:\r\n\r\n"),
     "0123456789", 0, true},
    {TEXT(REQ "X-Bytes: \xc3\xa9\t!\r\n\r\n"), "", 0, true},
    {TEXT("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "", 0, true},
    {TEXT("GET http://b/c?d HTTP/1.1\r\nHost: a\r\n\r\n"), "", 0, true},
    /* not the framing fields, however alike */
    {TEXT(REQ "Content_Length: 5\r\n\r\n"), "", 0, true},
    {TEXT(REQ "X-Transfer-Encoding: gzip\r\n\r\n"), "", 0, true},
};

START_TEST(good_request_is_read)
{
	const struct good *g = &good_requests[_i];
	struct options opt = {0};

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		struct outcome o;
		run(HTTP_REQUEST, &opt, g->text, g->len, pieces[i], &o);
		ck_assert_msg(o.end == HTTP_END, "case %d, pieces of %zu: %s", _i, pieces[i],
			      o.why != NULL ? o.why : "incomplete");
		ck_assert_str_eq(buf_str(&o.body), g->body);
		ck_assert_uint_eq(g->len - o.used, g->rest);
		ck_assert_int_eq(o.keep_alive, g->keep_alive);
		buf_free(&o.body);
	}
}
END_TEST

/* ---- requests that must be refused ---- */

static const struct evil {
	const char *text;
	size_t len;
	int status;
} evil_requests[] = {
    /* framing that two readers could understand differently */
    {TEXT(REQ "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(REQ "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), 400},
    {TEXT(REQ "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), 400},
    {TEXT(REQ "Content-Length: 5, 5\r\n\r\nhello"), 400},
    {TEXT(REQ "Content-Length: +5\r\n\r\nhello"), 400},
    {TEXT(REQ "Content-Length: -5\r\n\r\nhello"), 400},
    {TEXT(REQ "Content-Length: 0x5\r\n\r\nhello"), 400},
    {TEXT(REQ "Content-Length: 5 5\r\n\r\nhello"), 400},
    {TEXT(REQ "Content-Length: \r\n\r\n"), 400},
    {TEXT(REQ "Content-Length: 18446744073709551621\r\n\r\nhello"), 400},
    {TEXT(REQ "Content-Length : 5\r\n\r\nhello"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501},
    {TEXT(REQ "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"), 501},
    {TEXT(REQ "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 501},
    {TEXT(REQ "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"), 501},
    {TEXT(REQ "Transfer-Encoding:\r\n\r\n0\r\n\r\n"), 501},
    {TEXT(REQ "Transfer-Encoding: \x0b"
	      "chunked\r\n\r\n0\r\n\r\n"),
     400},
    {TEXT(REQ "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
    /* lines */
    {TEXT("GET / HTTP/1.1\nHost: a\n\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\n\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: a\x01\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: a\x7f\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX(Y): b\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX\xc3\xa9: b\r\n\r\n"), 400},
    {TEXT("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    /* Host */
    {TEXT("GET / HTTP/1.1\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"), 400},
    /* start lines */
    {TEXT("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET /\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET / http/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1x\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET / HTTP/01.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505},
    {TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505},
    {TEXT("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), 505},
    {TEXT("get / HTTP/1.1\r\nHost: a\r\n\r\n"), 501},
    {TEXT("BREW / HTTP/1.1\r\nHost: a\r\n\r\n"), 501},
    {TEXT("G,T / HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("\x16\x03\x01\x02"), 400},
    {TEXT(" GET / HTTP/1.1\r\n"), 400},
    /* chunks */
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n 1\r\na\r\n0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n\r\na\r\n0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n;a\r\na\r\n0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\ng\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n1\r\na0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n1;a\x01=b\r\na\r\n0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n1;a\n\r\na\r\n0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\na\r\n0\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\na\r\n0\r\n\r\n"), 413},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n0\r\nT : v\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n0\r\n folded\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n0\r\nT: a\0b\r\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n0\r\nT: a\n\r\n"), 400},
    {TEXT(REQ "Transfer-Encoding: chunked\r\n\r\n0\r\n\n"), 400},
    /* expectations and length */
    {TEXT(REQ "Expect: 200-ok\r\n\r\n"), 417},
    {TEXT(REQ "Content-Length: 1048577\r\n\r\n"), 413},
};

START_TEST(evil_request_is_refused)
{
	const struct evil *v = &evil_requests[_i];
	struct options opt = {0};

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		struct outcome o;
		run(HTTP_REQUEST, &opt, v->text, v->len, pieces[i], &o);
		ck_assert_msg(o.end == HTTP_BAD, "case %d was not refused: %.60s", _i, v->text);
		ck_assert_msg(o.status == v->status, "case %d: status %d (%s), want %d", _i,
			      o.status, o.why, v->status);
		ck_assert_ptr_nonnull(o.why);
		buf_free(&o.body);
	}
}
END_TEST

START_TEST(refusal_is_final)
{
	struct http_parser p = {0};
	const char *part;
	size_t used, part_len;

	http_parser_init(&p, HTTP_REQUEST);
	ck_assert_int_eq(http_parse(&p, "\n", 1, &used, &part, &part_len), HTTP_BAD);
	ck_assert_int_eq(http_parse(&p, "GET", 3, &used, &part, &part_len), HTTP_BAD);
	ck_assert_uint_eq(used, 0);
	ck_assert_int_eq(http_parse_eof(&p), HTTP_BAD);
	http_parser_free(&p);
}
END_TEST

/* ---- limits ---- */

static void check_limit(const struct options *opt, const struct buf *text, enum http_event end,
			int status)
{
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		struct outcome o;
		run(HTTP_REQUEST, opt, text->data, text->len, pieces[i], &o);
		ck_assert_int_eq(o.end, end);
		if (end == HTTP_BAD)
			ck_assert_int_eq(o.status, status);
		buf_free(&o.body);
	}
}

static void add_repeated(struct buf *b, char c, size_t n)
{
	while (n-- > 0)
		buf_addc(b, c);
}

START_TEST(head_limit_is_exact)
{
	static const char tail[] = "\r\n\r\n";
	struct options opt = {.max_header = 200};
	struct buf b = {0};

	buf_adds(&b, REQ "X: ");
	add_repeated(&b, 'x', 200 - b.len - (sizeof(tail) - 1));
	buf_adds(&b, tail);
	ck_assert_uint_eq(b.len, 200);
	check_limit(&opt, &b, HTTP_END, 0);
	opt.max_header = 199;
	check_limit(&opt, &b, HTTP_BAD, 431);
	buf_reset(&b);
	/* no line end in sight */
	buf_adds(&b, "GET /");
	add_repeated(&b, 'x', 300);
	check_limit(&opt, &b, HTTP_BAD, 414);
	buf_free(&b);
}
END_TEST

START_TEST(number_of_fields_is_limited)
{
	struct options opt = {0};
	struct buf b = {0};

	buf_adds(&b, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 0; i < HTTP_MAX_FIELDS - 1; i++)
		buf_adds(&b, "X: y\r\n");
	size_t full = b.len;
	buf_adds(&b, "\r\n");
	check_limit(&opt, &b, HTTP_END, 0);
	b.len = full;
	buf_adds(&b, "X: y\r\n\r\n");
	check_limit(&opt, &b, HTTP_BAD, 431);
	buf_free(&b);
}
END_TEST

START_TEST(body_limit_is_exact)
{
	struct options opt = {.max_body = 10};
	struct buf b = {0};

	buf_adds(&b, REQ "Content-Length: 10\r\n\r\n0123456789");
	check_limit(&opt, &b, HTTP_END, 0);
	buf_reset(&b);
	buf_adds(&b, REQ "Transfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n4\r\n6789\r\n0\r\n\r\n");
	check_limit(&opt, &b, HTTP_END, 0);
	opt.max_body = 9;
	check_limit(&opt, &b, HTTP_BAD, 413);
	buf_reset(&b);
	buf_adds(&b, REQ "Content-Length: 10\r\n\r\n0123456789");
	check_limit(&opt, &b, HTTP_BAD, 413);
	buf_free(&b);
}
END_TEST

START_TEST(chunk_extras_are_limited)
{
	struct options opt = {.max_header = 400};
	struct buf b = {0};

	buf_adds(&b, REQ "Transfer-Encoding: chunked\r\n\r\n1;");
	add_repeated(&b, 'x', HTTP_MAX_CHUNK_EXT + 1);
	check_limit(&opt, &b, HTTP_BAD, 431);
	buf_reset(&b);
	buf_adds(&b, REQ "Transfer-Encoding: chunked\r\n\r\n0\r\n");
	for (int i = 0; i < 100; i++)
		buf_adds(&b, "T: v\r\n");
	check_limit(&opt, &b, HTTP_BAD, 431);
	buf_free(&b);
}
END_TEST

/* ---- what can be read off a request ---- */

START_TEST(fields_are_found)
{
	static const char text[] = "PUT /a%20b?c HTTP/1.1\r\nHost: h\r\nX-One: \t first \t\r\n"
				   "x-one: second\r\nEmpty:\r\nExpect: 100-Continue\r\n"
				   "Content-Length: 3\r\n\r\n";
	struct http_parser p = {0};
	const char *part;
	size_t used, part_len;

	http_parser_init(&p, HTTP_REQUEST);
	ck_assert(!http_parser_started(&p));
	ck_assert_int_eq(http_parse(&p, text, sizeof(text) - 1, &used, &part, &part_len),
			 HTTP_HEAD);
	ck_assert(http_parser_started(&p));
	ck_assert_str_eq(http_parser_method(&p), "PUT");
	ck_assert_str_eq(http_parser_target(&p), "/a%20b?c");
	ck_assert_str_eq(http_parser_field(&p, "x-one"), "first");
	ck_assert_str_eq(http_parser_field(&p, "empty"), "");
	ck_assert_ptr_null(http_parser_field(&p, "x"));
	ck_assert(p.expect_continue);
	ck_assert_int_eq(p.framing, HTTP_LENGTH);
	ck_assert_uint_eq(p.content_length, 3);
	ck_assert_uint_eq(http_parser_body_left(&p), 3);
	http_parser_free(&p);
}
END_TEST

START_TEST(parser_can_be_reused)
{
	static const char text[] = "GET /one HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n"
				   "GET /two HTTP/1.1\r\nHost: a\r\n\r\n";
	struct http_parser p = {0};
	const char *part;
	size_t used, part_len, at = 0;

	http_parser_init(&p, HTTP_REQUEST);
	ck_assert_int_eq(http_parse(&p, text, sizeof(text) - 1, &used, &part, &part_len),
			 HTTP_HEAD);
	at += used;
	ck_assert_int_eq(http_parse(&p, text + at, sizeof(text) - 1 - at, &used, &part, &part_len),
			 HTTP_END);
	ck_assert_uint_eq(used, 0);
	http_parser_init(&p, HTTP_REQUEST);
	ck_assert_int_eq(http_parse(&p, text + at, sizeof(text) - 1 - at, &used, &part, &part_len),
			 HTTP_HEAD);
	ck_assert_str_eq(http_parser_target(&p), "/two");
	ck_assert_ptr_null(http_parser_field(&p, "x"));
	http_parser_free(&p);
}
END_TEST

/* ---- responses ---- */

static const struct answer {
	const char *text;
	size_t len;
	enum http_event end;
	int status;
	const char *body;
	bool head_only, eof, keep_alive;
} answers[] = {
    {TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), HTTP_END, 200, "ok", 0, 0, true},
    {TEXT("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"), HTTP_END, 200, "ok", 0, 0, true},
    {TEXT("HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n"), HTTP_END, 404, "", 0, 0, true},
    {TEXT("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n"), HTTP_END, 204, "", 0, 0, true},
    {TEXT("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"), HTTP_END, 200, "", true, 0, true},
    {TEXT("HTTP/1.1 304 Same\r\nContent-Length: 7\r\n\r\n"), HTTP_END, 304, "", 0, 0, true},
    {TEXT("HTTP/1.1 200 OK\r\n\r\nuntil the end"), HTTP_END, 200, "until the end", 0, true, false},
    {TEXT("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"), HTTP_END, 200, "x", 0, 0, false},
    {TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"), HTTP_END,
     200, "x", 0, 0, true},
    {TEXT("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"), HTTP_BAD, 400, "short", 0, true, 0},
    {TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"), HTTP_BAD, 400, "x", 0,
     true, 0},
    {TEXT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP_BAD,
     400, "", 0, 0, 0},
    {TEXT("HTTP/1.1 101 Switching\r\n\r\n"), HTTP_BAD, 400, "", 0, 0, 0},
    {TEXT("HTTP/1.1 20 OK\r\n\r\n"), HTTP_BAD, 400, "", 0, 0, 0},
    {TEXT("HTTP/1.1 2000 OK\r\n\r\n"), HTTP_BAD, 400, "", 0, 0, 0},
    {TEXT("HTTP/1.1 700 OK\r\n\r\n"), HTTP_BAD, 400, "", 0, 0, 0},
    {TEXT("HTTP/2 200 OK\r\n\r\n"), HTTP_BAD, 400, "", 0, 0, 0},
    {TEXT("SSH-2.0-OpenSSH_9.2p1\r\n"), HTTP_BAD, 400, "", 0, 0, 0},
};

START_TEST(answer_is_read_or_refused)
{
	const struct answer *a = &answers[_i];
	struct options opt = {.head_only = a->head_only, .eof = a->eof};

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		struct outcome o;
		run(HTTP_RESPONSE, &opt, a->text, a->len, pieces[i], &o);
		ck_assert_msg(o.end == a->end && o.status == a->status,
			      "case %d: event %d, status %d, %s", _i, (int)o.end, o.status,
			      o.why != NULL ? o.why : "");
		ck_assert_str_eq(buf_str(&o.body), a->body);
		if (a->end == HTTP_END)
			ck_assert_int_eq(o.keep_alive, a->keep_alive);
		buf_free(&o.body);
	}
}
END_TEST

START_TEST(interim_answers_are_limited)
{
	struct options opt = {0};
	struct buf b = {0};
	struct outcome o;

	for (int i = 0; i <= HTTP_MAX_INTERIM; i++)
		buf_adds(&b, "HTTP/1.1 102 Processing\r\n\r\n");
	run(HTTP_RESPONSE, &opt, b.data, b.len, SIZE_MAX, &o);
	ck_assert_int_eq(o.end, HTTP_BAD);
	buf_free(&b);
	buf_free(&o.body);
}
END_TEST

/* ---- targets and URLs ---- */

static const struct {
	const char *target, *path;
} good_targets[] = {
    {"/", "/"},
    {"//", "/"},
    {"/v2//job///query/", "/v2/job/query"},
    {"/a%20b+c", "/a b+c"},
    {"/%7Efoo/%c3%A9", "/~foo/\xc3\xa9"},
    {"/a?b/../c", "/a"},
    {"http://host:1/a/b?c", "/a/b"},
    {"https://host", "/"},
    {"http://host?x=1", "/"},
    {"/...", "/..."},
    {"*", "*"},
};

START_TEST(good_target)
{
	struct http_target t = {0};
	const char *why;

	ck_assert_msg(http_target_parse(&t, good_targets[_i].target, &why), "%s: %s",
		      good_targets[_i].target, why);
	ck_assert_str_eq(buf_str(&t.path), good_targets[_i].path);
	http_target_free(&t);
}
END_TEST

static const char *const evil_targets[] = {
    "a",       "",          "/%",      "/%4",     "/%zz",    "/%00",        "/a%00b",    "/..",
    "/a/../b", "/%2e%2e/b", "/.",      "/a%2Fb",  "/%0a",    "/%7f",        "/%ff",      "/%c0%af",
    "/?a=%",   "/?a=%0",    "/?%zz=1", "/?a=%00", "/?a=%ff", "/?a=%c3&b=c", "ftp://x/y", "?a",
};

START_TEST(evil_target)
{
	struct http_target t = {0};
	const char *why = NULL;

	ck_assert_msg(!http_target_parse(&t, evil_targets[_i], &why), "%s", evil_targets[_i]);
	ck_assert_ptr_nonnull(why);
	http_target_free(&t);
}
END_TEST

START_TEST(query_is_decoded)
{
	static const char *const want[][2] = {{"a", "1"},   {"b c", "d&e=f"}, {"a", "2"},
					      {"flag", ""}, {"", "x"},        {"k", "v=w"}};
	struct http_target t = {0};
	const char *why;

	ck_assert(http_target_parse(&t, "/p?a=1&b+c=d%26e%3df&&a=2&flag&=x&k=v=w&", &why));
	ck_assert_uint_eq(t.n_pairs, ARRAY_LEN(want));
	for (size_t i = 0; i < t.n_pairs; i++) {
		ck_assert_str_eq(t.query.data + t.pairs[i].key, want[i][0]);
		ck_assert_str_eq(t.query.data + t.pairs[i].value, want[i][1]);
	}
	struct buf b = {0};
	buf_adds(&b, "/?");
	for (int i = 0; i <= HTTP_QUERY_MAX; i++)
		buf_adds(&b, "a&");
	ck_assert(!http_target_parse(&t, b.data, &why));
	buf_free(&b);
	http_target_free(&t);
}
END_TEST

static const struct {
	const char *url, *host, *port, *target;
} good_urls[] = {
    {"http://a", "a", "80", ""},
    {"https://a.b-c:8443/x?y=z", "a.b-c", "8443", "/x?y=z"},
    {"http://[::1]:9/", "::1", "9", "/"},
    {"http://a?b", "a", "80", "?b"},
    {"unix:/run/n.sock:/v2/job", "/run/n.sock", "", "/v2/job"},
};

START_TEST(good_url)
{
	struct http_url u;
	struct err e;

	ck_assert_msg(http_url_parse(good_urls[_i].url, &u, &e), "%s", e.msg);
	ck_assert_str_eq(u.host, good_urls[_i].host);
	ck_assert_str_eq(u.port, good_urls[_i].port);
	ck_assert_str_eq(u.target, good_urls[_i].target);
}
END_TEST

static const char *const evil_urls[] = {
    "",
    "a",
    "ftp://a/",
    "http://",
    "http:///x",
    "http://a:/",
    "http://a:0/",
    "http://a:65536/",
    "http://a:+1/",
    "http://a b/",
    "http://u@a/",
    "http://a/#f",
    "http://[::1/",
    "http://[::1]x/",
    "http://a/\r\nX: y",
    "unix:relative:/",
    "unix:/sock",
    "http://a/\xc3\xa9",
};

START_TEST(evil_url)
{
	struct http_url u;
	struct err e;

	ck_assert_msg(!http_url_parse(evil_urls[_i], &u, &e), "%s", evil_urls[_i]);
	ck_assert_int_eq(e.code, ERR_USAGE);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net_parse");
	TCase *tc = tcase_create("requests");
	tcase_add_loop_test(tc, good_request_is_read, 0, (int)ARRAY_LEN(good_requests));
	tcase_add_loop_test(tc, evil_request_is_refused, 0, (int)ARRAY_LEN(evil_requests));
	tcase_add_test(tc, refusal_is_final);
	tcase_add_test(tc, fields_are_found);
	tcase_add_test(tc, parser_can_be_reused);
	suite_add_tcase(s, tc);
	tc = tcase_create("limits");
	tcase_add_test(tc, head_limit_is_exact);
	tcase_add_test(tc, number_of_fields_is_limited);
	tcase_add_test(tc, body_limit_is_exact);
	tcase_add_test(tc, chunk_extras_are_limited);
	suite_add_tcase(s, tc);
	tc = tcase_create("responses");
	tcase_add_loop_test(tc, answer_is_read_or_refused, 0, (int)ARRAY_LEN(answers));
	tcase_add_test(tc, interim_answers_are_limited);
	suite_add_tcase(s, tc);
	tc = tcase_create("targets");
	tcase_add_loop_test(tc, good_target, 0, (int)ARRAY_LEN(good_targets));
	tcase_add_loop_test(tc, evil_target, 0, (int)ARRAY_LEN(evil_targets));
	tcase_add_test(tc, query_is_decoded);
	tcase_add_loop_test(tc, good_url, 0, (int)ARRAY_LEN(good_urls));
	tcase_add_loop_test(tc, evil_url, 0, (int)ARRAY_LEN(evil_urls));
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
