/*
 * The channel through the party's own node: push and pop of numbered frames over HTTP. A message is
 * one or more frames of at most FRAME_MAX bytes, the last with more=0.
 */
#include "config.h"

#include "component/channel.h"

#include "base/clock.h"
#include "base/js.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "component/httpc.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FRAME_MAX (4 * 1024 * 1024)
#define POP_MS    20000 /* one long poll */
#define SLACK_MS  30000 /* on top of what the node was asked to take at most */

struct peer {
	uint64_t next_out, next_in; /* frame numbers */
};

struct node_channel {
	struct channel base;
	struct httpc http;
	char *execution_id; /* URL-encoded */
	int64_t timeout_ms;
	struct map *peers; /* "role/party" -> struct peer */
};

static struct peer *peer_of(struct node_channel *c, const char *role, const char *party)
{
	char *key = mem_printf("%s/%s", role, party);
	struct peer *p = map_get(c->peers, key);

	if (p == NULL) {
		p = mem_zalloc(sizeof *p);
		(void)map_set(c->peers, key, p);
	}
	free(key);
	return p;
}

static void url_encode(struct buf *out, const char *s)
{
	for (; *s; s++) {
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~",
			   *s))
			buf_addc(out, *s);
		else
			buf_printf(out, "%%%02X", (unsigned char)*s);
	}
}

/* The node refused: its envelope's code and words become the error. */
static bool refused(const struct httpc_answer *a, struct err *e)
{
	struct err ignored;
	json_t *o = js_parse(buf_str(&a->body), a->body.len, &js_limits_default, &ignored);
	int64_t code = js_int(o, "code", ERR_PEER);
	const char *msg = js_str(o, "message", NULL);

	err_set(e, code > 0 && code < 100000 ? (enum err_code)code : ERR_PEER, "%s",
		msg ? msg : "the node refused");
	if (msg == NULL)
		err_set(e, ERR_PEER, "the node answered with status %d", a->status);
	json_decref(o);
	return false;
}

/* Success is a 2xx status with an empty body or an envelope of code 0. */
static bool push_ok(const struct httpc_answer *a, int64_t *code)
{
	struct err ignored;
	json_t *o;

	*code = 0;
	if (a->status / 100 == 2 && a->body.len == 0)
		return true;
	o = js_parse(buf_str(&a->body), a->body.len, &js_limits_default, &ignored);
	*code = js_int(o, "code", -1);
	json_decref(o);
	return a->status / 100 == 2 && *code == 0;
}

static void pause_ms(long ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

static bool push_frame(struct node_channel *c, const char *target, const void *data, size_t len,
		       int64_t deadline, struct err *e)
{
	struct httpc_answer a;
	int64_t left, code;
	long wait = 20;
	bool ok;

	for (;;) {
		left = deadline - clock_mono_ms();
		if (left <= 0)
			return err_set(e, ERR_TIMEOUT, "the peer did not take it in time");
		if (!httpc_request(&c->http, "POST", target, "application/octet-stream", data, len,
				   left + SLACK_MS, &a, e))
			return false;
		ok = push_ok(&a, &code);
		/* The peer is not there yet, or its mailbox is full: both pass. */
		if (ok || (code != ERR_LIMIT && code != ERR_TASK_NOT_FOUND)) {
			if (!ok)
				(void)refused(&a, e);
			httpc_answer_free(&a);
			return ok;
		}
		httpc_answer_free(&a);
		pause_ms(wait);
		wait = wait < 1000 ? wait * 2 : wait;
	}
}

static bool node_send(struct channel *ch, const char *role, const char *party, const char *tag,
		      const void *data, size_t len, struct err *e)
{
	struct node_channel *c = (struct node_channel *)ch;
	struct peer *p = peer_of(c, role, party);
	int64_t deadline = clock_mono_ms() + c->timeout_ms;
	const char *at = data;
	struct buf target = {0};
	size_t n;
	bool ok;

	do {
		n = len > FRAME_MAX ? FRAME_MAX : len;
		buf_reset(&target);
		buf_printf(&target, "/v2/worker/channel/push?execution_id=%s&to_role=%s&to_party=",
			   c->execution_id, role);
		url_encode(&target, party);
		buf_printf(&target, "&tag=%s&seq=%llu&more=%d", tag,
			   (unsigned long long)p->next_out, n < len);
		ok = push_frame(c, target.data, at, n, deadline, e);
		p->next_out++;
		at += n;
		len -= n;
	} while (ok && len > 0);
	buf_free(&target);
	return ok;
}

/* One frame into out; *more tells whether the message goes on. */
static bool take_frame(const struct httpc_answer *a, const char *tag, uint64_t seq, size_t max_len,
		       struct buf *out, bool *more, struct err *e)
{
	char v[CHANNEL_TAG_MAX + 1], number[24];

	if (!httpc_header(a, "X-Norn-Tag", v, sizeof v))
		return err_set(e, ERR_PARSE, "the node's answer has no valid tag");
	if (strcmp(v, tag) != 0) {
		struct buf shown = {0};

		str_vis(&shown, v, strlen(v));
		err_set(e, ERR_PEER, "the peer sent '%s' instead", buf_str(&shown));
		buf_free(&shown);
		return false;
	}
	snprintf(number, sizeof number, "%llu", (unsigned long long)seq);
	if (httpc_header(a, "X-Norn-Seq", v, sizeof v) && strcmp(v, number) != 0)
		return err_set(e, ERR_PARSE, "the node gave frame %s instead of %s", v, number);
	if (out->len + a->body.len > max_len)
		return err_set(e, ERR_LIMIT, "longer than %zu bytes", max_len);
	buf_add(out, a->body.data, a->body.len);
	*more = httpc_header(a, "X-Norn-More", v, sizeof v) && strcmp(v, "1") == 0;
	return true;
}

static bool node_recv(struct channel *ch, const char *role, const char *party, const char *tag,
		      size_t max_len, struct buf *out, struct err *e)
{
	struct node_channel *c = (struct node_channel *)ch;
	struct peer *p = peer_of(c, role, party);
	int64_t deadline = clock_mono_ms() + c->timeout_ms, left;
	struct httpc_answer a;
	struct buf target = {0};
	bool more = true, ok = true;

	while (ok && more) {
		left = deadline - clock_mono_ms();
		if (left <= 0) {
			ok = err_set(e, ERR_TIMEOUT, "nothing came in %lld s",
				     (long long)(c->timeout_ms / 1000));
			break;
		}
		left = left > POP_MS ? POP_MS : left;
		buf_reset(&target);
		buf_printf(&target,
			   "/v2/worker/channel/pop?execution_id=%s&from_role=%s&from_party=",
			   c->execution_id, role);
		url_encode(&target, party);
		buf_printf(&target, "&seq=%llu&timeout_ms=%lld", (unsigned long long)p->next_in,
			   (long long)left);
		ok = httpc_request(&c->http, "GET", target.data, NULL, NULL, 0, left + SLACK_MS, &a,
				   e);
		if (!ok)
			break;
		if (a.status == 200 && httpc_header(&a, "X-Norn-Tag", (char[256]){0}, 256)) {
			ok = take_frame(&a, tag, p->next_in, max_len, out, &more, e);
			p->next_in++;
			deadline = clock_mono_ms() + c->timeout_ms;
		} else if (a.status != 204) {
			ok = refused(&a, e);
		}
		httpc_answer_free(&a);
	}
	buf_free(&target);
	return ok;
}

static void node_free(struct channel *ch)
{
	struct node_channel *c = (struct node_channel *)ch;

	httpc_free(&c->http);
	map_free(c->peers, free);
	free(c->execution_id);
	free(c);
}

static const struct channel_ops node_ops = {node_send, node_recv, node_free};

struct channel *channel_node_new(const char *url, const char *execution_id, const char *token,
				 int64_t timeout_s, struct err *e)
{
	struct node_channel *c = mem_zalloc(sizeof *c);
	struct buf id = {0};

	c->base.ops = &node_ops;
	if (!httpc_init(&c->http, url, token, e)) {
		free(c);
		return NULL;
	}
	url_encode(&id, execution_id);
	c->execution_id = buf_take(&id);
	c->timeout_ms = timeout_s * 1000;
	c->peers = map_new();
	return &c->base;
}
