/* Requests: their storage, and what handlers read of them. */
#include "config.h"
#include "net/http_int.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* A pool would hide from AddressSanitizer that a handler uses a request after its answer. */
#if defined(__SANITIZE_ADDRESS__)
#define USE_POOL 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define USE_POOL 0
#endif
#endif
#ifndef USE_POOL
#define USE_POOL 1
#endif

struct http_req *req_new(struct http_server *s, struct http_conn *c)
{
	struct http_req *r = TAILQ_FIRST(&s->pool);

	if (r != NULL) {
		TAILQ_REMOVE(&s->pool, r, link);
		s->n_pool--;
	} else {
		r = mem_zalloc(sizeof(*r));
		r->body_fd = -1;
		r->out_fd = -1;
	}
	r->server = s;
	r->conn = c;
	r->peer = c->peer;
	r->identity = c->identity;
	http_parser_init(&r->parser, HTTP_REQUEST);
	r->parser.max_header_bytes = s->opts.limits.max_header_bytes;
	return r;
}

static void req_free(struct http_req *r)
{
	http_parser_free(&r->parser);
	http_target_free(&r->target);
	buf_free(&r->part_text);
	buf_free(&r->body);
	buf_free(&r->extra);
	free(r);
}

static void trim(struct buf *b)
{
	if (b->cap > HTTP_POOL_KEEP)
		buf_free(b);
	else
		buf_reset(b);
}

/* Everything a new request must not inherit. */
static void req_reset(struct http_req *r)
{
	if (r->conn == NULL)
		free(r->identity);
	r->conn = NULL;
	r->identity = NULL;
	if (r->body_fd >= 0)
		close(r->body_fd);
	if (r->out_fd >= 0)
		close(r->out_fd);
	r->body_fd = r->out_fd = -1;
	json_decref(r->json);
	r->json = NULL;
	trim(&r->parser.head);
	trim(&r->target.path);
	trim(&r->target.query);
	trim(&r->part_text);
	trim(&r->body);
	trim(&r->extra);
	r->target.n_pairs = 0;
	r->route = NULL;
	r->path_known = r->head_only = r->bad_json = false;
	r->n_parts = 0;
	r->id[0] = r->remote[0] = 0;
	r->on_close = NULL;
	r->on_answer = NULL;
	r->user[0] = 0;
	r->reply = REPLY_NONE;
	r->chunked = r->starved = false;
	r->on_room = NULL;
}

void req_release(struct http_req *r)
{
	struct http_server *s = r->server;

	req_closed(r);
	req_reset(r);
	if (!USE_POOL || s == NULL || s->freed || s->n_pool >= HTTP_POOL_MAX) {
		req_free(r);
		return;
	}
	TAILQ_INSERT_HEAD(&s->pool, r, link);
	s->n_pool++;
}

void req_opened(struct http_req *r)
{
	r->open = true;
	TAILQ_INSERT_TAIL(&r->server->open, r, link);
	r->server->n_open++;
}

void req_closed(struct http_req *r)
{
	if (!r->open)
		return;
	r->open = false;
	if (r->server == NULL)
		return;
	TAILQ_REMOVE(&r->server->open, r, link);
	r->server->n_open--;
}

/* ---- bodies ---- */

/* A file without a name: it is gone with the last descriptor, whatever happens to the process. */
bool req_spool_open(struct http_req *r, struct err *e)
{
	const char *dir = r->server->spool_dir;

#ifdef O_TMPFILE
	r->body_fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
#endif
	if (r->body_fd < 0) {
		char *path = mem_printf("%s/.body.XXXXXX", dir);
		r->body_fd = mkostemp(path, O_CLOEXEC);
		if (r->body_fd >= 0)
			unlink(path);
		free(path);
	}
	if (r->body_fd < 0)
		return err_set(e, ERR_IO, "cannot keep the body in a file: %s", strerror(errno));
	return true;
}

bool req_spool_write(struct http_req *r, const char *data, size_t len, struct err *e)
{
	while (len > 0) {
		ssize_t n = write(r->body_fd, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, ERR_IO, "cannot keep the body in a file: %s",
				       strerror(n < 0 ? errno : ENOSPC));
		data += n;
		len -= (size_t)n;
	}
	return true;
}

void req_parse_json(struct http_req *r)
{
	if (r->body.len == 0 || !http_is_json_type(http_parser_field(&r->parser, "content-type")))
		return;
	struct js_limits lim = js_limits_default;
	if (lim.max_bytes < r->body.len)
		lim.max_bytes = r->body.len; /* the route's limit has been checked */
	r->json = js_parse(r->body.data, r->body.len, &lim, &r->json_err);
	r->bad_json = r->json == NULL;
}

/* ---- what handlers ask for ---- */

const char *http_req_method(const struct http_req *r)
{
	return http_parser_method(&r->parser);
}

const struct http_route *http_req_route(const struct http_req *r)
{
	return r->route;
}

const char *http_req_path(const struct http_req *r)
{
	return buf_str(&r->target.path);
}

static char fold_name(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c + ('a' - 'A'));
	return c == '_' ? '-' : c;
}

static bool same_name(const char *a, const char *b)
{
	while (*a != 0 && fold_name(*a) == fold_name(*b)) {
		a++;
		b++;
	}
	return *a == 0 && *b == 0;
}

const char *http_req_header(const struct http_req *r, const char *name)
{
	const struct http_parser *p = &r->parser;
	const char *loose = NULL;

	if (p->head.data == NULL)
		return NULL;
	for (size_t i = 0; i < p->n_fields; i++) {
		const char *have = p->head.data + p->fields[i].name;
		if (strcasecmp(have, name) == 0)
			return p->head.data + p->fields[i].value;
		if (loose == NULL && same_name(have, name))
			loose = p->head.data + p->fields[i].value;
	}
	return loose;
}

const char *http_req_query(const struct http_req *r, const char *key)
{
	for (size_t i = 0; i < r->target.n_pairs; i++)
		if (strcmp(r->target.query.data + r->target.pairs[i].key, key) == 0)
			return r->target.query.data + r->target.pairs[i].value;
	return NULL;
}

size_t http_req_query_count(const struct http_req *r)
{
	return r->target.n_pairs;
}

void http_req_query_at(const struct http_req *r, size_t i, const char **key, const char **value)
{
	*key = r->target.query.data + r->target.pairs[i].key;
	*value = r->target.query.data + r->target.pairs[i].value;
}

const char *http_req_part(const struct http_req *r, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < r->n_parts; i++)
		if (r->parts[i].name_len == len && memcmp(r->parts[i].name, name, len) == 0)
			return r->parts[i].value;
	return NULL;
}

json_t *http_req_json(const struct http_req *r)
{
	return r->json;
}

const char *http_req_body(const struct http_req *r, size_t *len)
{
	if (len != NULL)
		*len = r->body.len;
	return buf_str(&r->body);
}

int http_req_body_fd(const struct http_req *r)
{
	return r->body_fd;
}

const struct tls_identity *http_req_identity(const struct http_req *r)
{
	return r->identity;
}

/* The logical value of a request includes what is worked out when it is first asked for. */
static struct http_req *cached(const struct http_req *r)
{
	struct http_req *out;

	memcpy(&out, &r, sizeof(out));
	return out;
}

const char *http_req_id(const struct http_req *r)
{
	struct http_req *w = cached(r);

	if (w->id[0] != 0)
		return w->id;
	const char *given = http_parser_field(&w->parser, "x-request-id");
	if (given != NULL && str_is_name(given, HTTP_REQ_ID_MAX))
		str_copy(w->id, sizeof(w->id), given);
	else if (w->server != NULL)
		snprintf(w->id, sizeof(w->id), "%s-%" PRIx64, w->server->id_prefix,
			 w->server->id_next++);
	else
		str_random_hex(w->id, 12);
	return w->id;
}

const char *http_req_remote(const struct http_req *r)
{
	struct http_req *w = cached(r);
	char ip[INET6_ADDRSTRLEN] = "?";

	if (w->remote[0] != 0)
		return w->remote;
	switch (w->peer.sa.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &w->peer.in.sin_addr, ip, sizeof(ip));
		snprintf(w->remote, sizeof(w->remote), "%s:%u", ip, ntohs(w->peer.in.sin_port));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &w->peer.in6.sin6_addr, ip, sizeof(ip));
		snprintf(w->remote, sizeof(w->remote), "[%s]:%u", ip, ntohs(w->peer.in6.sin6_port));
		break;
	default:
		str_copy(w->remote, sizeof(w->remote), "unix");
		break;
	}
	return w->remote;
}

bool http_req_path_known(const struct http_req *r)
{
	return r->path_known;
}

bool http_req_bad_json(const struct http_req *r, const char **why)
{
	if (why != NULL)
		*why = r->bad_json ? r->json_err.msg : NULL;
	return r->bad_json;
}

void *http_req_arg(const struct http_req *r)
{
	return r->server != NULL ? r->server->opts.arg : NULL;
}

void http_req_on_close(struct http_req *r, void (*cb)(void *arg), void *arg)
{
	r->on_close = cb;
	r->on_close_arg = arg;
}

void http_req_on_answer(struct http_req *r, http_answer_cb *cb, void *arg)
{
	r->on_answer = cb;
	r->on_answer_arg = arg;
}

void req_answering(struct http_req *r, int status, const json_t *body)
{
	http_answer_cb *cb = r->on_answer;

	r->on_answer = NULL;
	if (cb != NULL)
		cb(status, body, r->on_answer_arg);
}

void http_req_set_user(struct http_req *r, const char *user)
{
	str_copy(r->user, sizeof(r->user), user);
}

const char *http_req_user(const struct http_req *r)
{
	return r->user;
}
