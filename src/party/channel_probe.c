/*
 * A component that waits for a message cannot tell a slow peer from a dead network. While a pop has
 * been parked for some seconds, the sender's site is asked for a sign of life; when it has not
 * given one for peer.gone_s, the pop fails. The end of the peer's process itself is the scheduler's
 * business.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/channel_int.h"
#include "party/peer.h"

#include <stdio.h>
#include <stdlib.h>

#define PROBE_EVERY_MS 5000

struct probe {
	struct channel *c;
	char *party_id;
	bool busy;
	int64_t failing_since_ms; /* 0: it answers */
};

static void probe_free(void *p)
{
	struct probe *x = p;

	free(x->party_id);
	free(x);
}

static void failed(struct probe *x, const char *why)
{
	struct node *n = x->c->node;
	int64_t now_ms = clock_mono_ms();

	if (x->failing_since_ms == 0)
		x->failing_since_ms = now_ms;
	if (now_ms - x->failing_since_ms < n->conf->peer_gone_s * 1000)
		return;
	struct err e;
	err_set(&e, ERR_FEDERATED, "party %s could not be reached for %lld s: %s", x->party_id,
		(long long)n->conf->peer_gone_s, why);
	log_warn(LOG_CTX_NONE, "%s", e.msg);
	channel_fail_parked(x->c, x->party_id, &e);
}

static void on_answer(const struct http_response *res, void *arg)
{
	struct probe *x = arg;
	enum err_code code;
	char text[ERR_MSG_MAX];

	x->busy = false;
	if (peer_answer(res, &code, text, sizeof(text)))
		x->failing_since_ms = 0;
	else
		failed(x, text);
}

static void on_route(struct db_result *res, void *arg)
{
	struct probe *x = arg;
	char *url;

	if (db_error(res) != NULL || db_rows(res, 0) == 0) {
		x->busy = false;
		failed(x, db_error(res) != NULL ? db_error(res)->msg : "no route");
		return;
	}
	url = mem_printf("%s/v2/partner/ping", db_get(res, 0, 0, "url"));
	const struct http_call call = {.method = "GET",
				       .url = url,
				       .expect_party = x->party_id,
				       .timeout_ms = (int)x->c->node->conf->peer_timeout_ms};
	http_call_start(x->c->node->http, &call, on_answer, x);
	free(url);
}

static void probe(struct channel *c, const char *party_id)
{
	struct probe *x = map_get(c->probes, party_id);

	if (x == NULL) {
		x = mem_zalloc(sizeof(*x));
		x->c = c;
		x->party_id = mem_strdup(party_id);
		map_set(c->probes, party_id, x);
	}
	if (x->busy)
		return;
	x->busy = true;
	struct db_batch *b = db_batch_new(c->node->db);
	db_add(b, Q_ROUTE_GET);
	db_text(b, party_id);
	db_submit(b, on_route, x);
}

static bool look(const char *key, void *value, void *arg)
{
	struct mailbox *b = value;
	struct channel *c = arg;
	int64_t now_ms = clock_mono_ms();

	for (size_t i = 0; i < b->n_inboxes; i++) {
		const struct inbox *in = &b->inboxes[i];
		if (in->parked != NULL && now_ms - in->parked_since_ms >= PROBE_EVERY_MS / 2 &&
		    !node_serves(c->node, in->from.party_id))
			probe(c, in->from.party_id);
	}
	return true;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;

	if (!c->node->stopping)
		map_each(c->boxes, look, c);
}

void channel_probes_start(struct channel *c)
{
	const struct timeval tv = {PROBE_EVERY_MS / 1000, 0};

	c->probes = map_new();
	c->probe_timer = event_new(c->node->base, -1, EV_PERSIST, on_timer, c);
	evtimer_add(c->probe_timer, &tv);
}

void channel_probes_free(struct channel *c)
{
	event_free(c->probe_timer);
	map_free(c->probes, probe_free);
}
