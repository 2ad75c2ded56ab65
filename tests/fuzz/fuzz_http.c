/*
 * The HTTP parser and the readers of targets. The first byte chooses request or response and how
 * the rest is cut: what comes out must not depend on the cuts, and a refused message must stay
 * refused.
 */
#include "config.h"
#include "net/http_parse.h"
#include "net/http_target.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAX 1024
#define BODY_MAX   2048

struct outcome {
	enum http_event end;
	int status;
	struct buf body;
	struct buf head;
	size_t used;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(int ok)
{
	if (!ok)
		abort();
}

static void read_all(enum http_kind kind, const char *data, size_t len, size_t piece,
		     struct outcome *out)
{
	struct http_parser p = {0};
	enum http_event ev = HTTP_MORE;
	size_t at = 0;

	memset(out, 0, sizeof(*out));
	http_parser_init(&p, kind);
	p.max_header_bytes = HEADER_MAX;
	p.max_body_bytes = BODY_MAX;
	while (ev != HTTP_END && ev != HTTP_BAD) {
		const char *part;
		size_t n = len - at < piece ? len - at : piece, used, part_len;
		ev = http_parse(&p, data + at, n, &used, &part, &part_len);
		demand(used <= n);
		at += used;
		if (ev == HTTP_HEAD) {
			buf_add(&out->head, p.head.data, p.head.len);
			for (size_t i = 0; i < p.n_fields; i++)
				demand(http_parser_field(&p, p.head.data + p.fields[i].name) !=
				       NULL);
		}
		if (ev == HTTP_DATA) {
			demand(part >= data && part + part_len <= data + len);
			buf_add(&out->body, part, part_len);
		}
		if (ev == HTTP_MORE) {
			demand(used == n);
			if (at == len)
				break;
		}
	}
	if (ev == HTTP_MORE)
		ev = http_parse_eof(&p);
	if (ev == HTTP_BAD) {
		const char *part;
		size_t used, part_len;
		demand(p.status >= 400 && p.why != NULL);
		demand(http_parse(&p, "x", 1, &used, &part, &part_len) == HTTP_BAD && used == 0);
	}
	demand(out->body.len <= BODY_MAX && p.head.len <= HEADER_MAX);
	out->end = ev;
	out->status = p.status;
	out->used = at;
	http_parser_free(&p);
}

static void check_target(const char *text)
{
	struct http_target t = {0};
	struct http_url u;
	struct err e;
	const char *why;

	if (http_target_parse(&t, text, &why)) {
		const char *path = buf_str(&t.path);
		demand(strlen(path) == t.path.len);
		demand(strstr(path, "//") == NULL && strstr(path, "/../") == NULL);
		for (size_t i = 0; i < t.n_pairs; i++)
			demand(t.pairs[i].value < t.query.len);
	} else {
		demand(why != NULL);
	}
	if (http_url_parse(text, &u, &e))
		demand(u.target >= text && u.target <= text + strlen(text));
	http_target_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole, cut;

	if (size == 0)
		return 0;
	enum http_kind kind = (data[0] & 1) != 0 ? HTTP_RESPONSE : HTTP_REQUEST;
	size_t piece = (size_t)(data[0] >> 1) % 8 + 1;
	const char *text = (const char *)data + 1;
	read_all(kind, text, size - 1, SIZE_MAX, &whole);
	read_all(kind, text, size - 1, piece, &cut);
	demand(whole.end == cut.end && whole.status == cut.status);
	demand(whole.head.len == cut.head.len);
	demand(memcmp(buf_str(&whole.head), buf_str(&cut.head), whole.head.len) == 0);
	if (whole.end == HTTP_END) {
		demand(whole.used == cut.used && whole.body.len == cut.body.len);
		demand(memcmp(buf_str(&whole.body), buf_str(&cut.body), whole.body.len) == 0);
	}
	buf_free(&whole.head);
	buf_free(&whole.body);
	buf_free(&cut.head);
	buf_free(&cut.body);

	char *target = malloc(size);
	demand(target != NULL);
	memcpy(target, text, size - 1);
	target[size - 1] = 0;
	check_target(target);
	free(target);
	return 0;
}
