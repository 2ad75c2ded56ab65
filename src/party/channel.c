#include "party/channel.h"

#include "auth/request.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/channel_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUTE_TTL_MS    10000
#define POP_TIMEOUT_MAX 60000

static size_t box_limit(const struct channel *c)
{
	return (size_t)c->node->conf->channel_mb << 20;
}

/* ---- mailboxes ---- */

void channel_start(struct node *n)
{
	struct channel *c = mem_zalloc(sizeof(*c));

	c->node = n;
	c->boxes = map_new();
	c->routes = map_new();
	n->channel = c;
	channel_probes_start(c);
}

static void frames_drop(struct inbox *in, int64_t before_seq)
{
	struct frame *f;

	while ((f = TAILQ_FIRST(&in->frames)) != NULL && f->seq < before_seq) {
		TAILQ_REMOVE(&in->frames, f, next);
		in->box->bytes -= f->len;
		free(f);
	}
}

/* The parked request is about to be answered, or its client has gone. */
static struct http_req *unpark(struct inbox *in)
{
	struct http_req *r = in->parked;

	in->parked = NULL;
	if (in->timer != NULL)
		evtimer_del(in->timer);
	return r;
}

static void mailbox_free(void *p)
{
	struct mailbox *b = p;

	for (size_t i = 0; i < b->n_inboxes; i++) {
		struct inbox *in = &b->inboxes[i];
		if (in->parked != NULL)
			reply_code(unpark(in), ERR_TASK_NOT_FOUND, "the task is over on this node");
		frames_drop(in, INT64_MAX);
		if (in->timer != NULL)
			event_free(in->timer);
	}
	free(b->inboxes);
	free(b->execution_id);
	free(b->job_id);
	free(b->task_name);
	free(b->token);
	free(b);
}

static void route_free(void *p)
{
	struct channel_route *r = p;

	free(r->url);
	free(r);
}

void channel_free(struct node *n)
{
	struct channel *c = n->channel;

	if (c == NULL)
		return;
	channel_probes_free(c);
	map_free(c->boxes, mailbox_free);
	map_free(c->routes, route_free);
	free(c);
	n->channel = NULL;
}

void channel_open(struct channel *c, const char *execution_id, const char *job_id,
		  const char *task_name, int attempt, const char *role, const char *party_id,
		  const char *token, const struct channel_party *parties, size_t n_parties)
{
	struct mailbox *b = mem_zalloc(sizeof(*b));

	b->channel = c;
	b->execution_id = mem_strdup(execution_id);
	b->job_id = mem_strdup(job_id);
	b->task_name = mem_strdup(task_name);
	b->attempt = attempt;
	b->token = mem_strdup(token);
	str_copy(b->own.role, sizeof(b->own.role), role);
	str_copy(b->own.party_id, sizeof(b->own.party_id), party_id);
	b->n_inboxes = n_parties;
	b->inboxes = mem_array(n_parties, sizeof(*b->inboxes));
	for (size_t i = 0; i < n_parties; i++) {
		b->inboxes[i].box = b;
		b->inboxes[i].from = parties[i];
		TAILQ_INIT(&b->inboxes[i].frames);
	}
	void *old = map_set(c->boxes, execution_id, b);
	if (old != NULL)
		mailbox_free(old);
}

void channel_close(struct channel *c, const char *execution_id)
{
	struct mailbox *b = map_del(c->boxes, execution_id);

	if (b != NULL)
		mailbox_free(b);
}

const struct channel_party *channel_find_party(const struct mailbox *b, const char *role,
					       const char *party_id)
{
	for (size_t i = 0; i < b->n_inboxes; i++) {
		if (str_eq(b->inboxes[i].from.role, role) &&
		    str_eq(b->inboxes[i].from.party_id, party_id))
			return &b->inboxes[i].from;
	}
	return NULL;
}

static struct inbox *find_inbox(struct mailbox *b, const char *role, const char *party_id)
{
	for (size_t i = 0; i < b->n_inboxes; i++) {
		if (str_eq(b->inboxes[i].from.role, role) &&
		    str_eq(b->inboxes[i].from.party_id, party_id))
			return &b->inboxes[i];
	}
	return NULL;
}

const char *channel_route_get(struct channel *c, const char *key)
{
	const struct channel_route *r = map_get(c->routes, key);

	return r != NULL && r->until_ms > clock_mono_ms() ? r->url : NULL;
}

void channel_route_set(struct channel *c, const char *key, const char *url)
{
	struct channel_route *r = mem_zalloc(sizeof(*r));

	if (map_count(c->routes) > 10000) { /* never grows without bound */
		map_free(c->routes, route_free);
		c->routes = map_new();
	}
	r->url = mem_strdup(url);
	r->until_ms = clock_mono_ms() + ROUTE_TTL_MS;
	void *old = map_set(c->routes, key, r);
	if (old != NULL)
		route_free(old);
}

/* ---- frames in ---- */

static void answer_frame(struct http_req *r, const struct frame *f)
{
	char seq[24];

	snprintf(seq, sizeof(seq), "%lld", (long long)f->seq);
	http_reply_header(r, "X-Norn-Tag", f->tag);
	http_reply_header(r, "X-Norn-Seq", seq);
	http_reply_header(r, "X-Norn-More", f->more ? "1" : "0");
	http_reply(r, 200, "application/octet-stream", f->data, f->len);
}

void channel_execution_id(const struct frame_in *f, char *out, size_t size)
{
	snprintf(out, size, "%s_%s_%d_%s_%s", f->job_id, f->task_name, f->attempt, f->dst.role,
		 f->dst.party_id);
}

bool channel_deliver(struct channel *c, const struct frame_in *f, struct err *e)
{
	char id[320];

	channel_execution_id(f, id, sizeof(id));
	struct mailbox *b = map_get(c->boxes, id);
	if (b == NULL)
		return err_set(e, ERR_TASK_NOT_FOUND, "No found task: execution_id[%s]", id);
	struct inbox *in = find_inbox(b, f->src.role, f->src.party_id);
	if (in == NULL)
		return err_set(e, ERR_API_PERMISSION, "%s %s takes no part in this task",
			       f->src.role, f->src.party_id);
	if (f->seq < in->next_seq)
		return true; /* sent again because the answer was lost */
	if (f->seq > in->next_seq)
		return err_set(e, ERR_CONFLICT, "frame %lld came before frame %lld",
			       (long long)f->seq, (long long)in->next_seq);
	if (b->bytes + f->len > box_limit(c) && b->bytes > 0)
		return err_set(e, ERR_LIMIT, "the receiver's mailbox is full (peer.channel_mb)");
	struct frame *n = mem_zalloc(sizeof(*n) + f->len);
	n->seq = f->seq;
	n->more = f->more;
	n->len = f->len;
	str_copy(n->tag, sizeof(n->tag), f->tag);
	memcpy(n->data, f->data, f->len);
	TAILQ_INSERT_TAIL(&in->frames, n, next);
	b->bytes += f->len;
	in->next_seq++;
	if (in->parked != NULL && in->parked_seq == f->seq)
		answer_frame(unpark(in), n);
	return true;
}

/* ---- pop ---- */

struct mailbox *channel_authenticate(struct http_req *r)
{
	struct channel *c = request_node(r)->channel;
	const char *id = http_req_query(r, "execution_id");
	const char *auth = http_req_header(r, "Authorization");
	struct mailbox *b = id == NULL || c == NULL ? NULL : map_get(c->boxes, id);

	if (b == NULL) {
		reply_code(r, ERR_TASK_NOT_FOUND, "No found task: execution_id[%s]",
			   id == NULL ? "" : id);
		return NULL;
	}
	size_t n = strlen(b->token);
	if (auth == NULL || !str_starts(auth, "Bearer ") || strlen(auth + 7) != n ||
	    !str_eq_secret(auth + 7, b->token, n)) {
		reply_code(r, ERR_API_AUTH, "Authentication Failed: the task token is wrong");
		return NULL;
	}
	return b;
}

static void on_pop_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct inbox *in = arg;

	if (in->parked != NULL)
		http_reply(unpark(in), 204, "application/octet-stream", NULL, 0);
}

static void on_pop_gone(void *arg)
{
	struct inbox *in = arg;

	if (in->parked != NULL)
		http_reply(unpark(in), 204, "application/octet-stream", NULL, 0);
}

static void park(struct inbox *in, struct http_req *r, int64_t seq, int64_t timeout_ms)
{
	const struct timeval tv = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};

	if (in->timer == NULL)
		in->timer = evtimer_new(in->box->channel->node->base, on_pop_timeout, in);
	in->parked = r;
	in->parked_seq = seq;
	in->parked_since_ms = clock_mono_ms();
	http_req_on_close(r, on_pop_gone, in);
	evtimer_add(in->timer, &tv);
}

static const struct param handle_pop_params[] = {
    {"execution_id", P_STR, true, NULL},   {"from_role", P_STR, true, NULL},
    {"from_party", P_STR, true, NULL},     {"seq", P_INT, true, NULL},
    {"timeout_ms", P_INT, false, "30000"},
};

static void handle_pop(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);
	struct mailbox *b = p == NULL ? NULL : channel_authenticate(r);

	if (b == NULL) {
		json_decref(p);
		return;
	}
	const char *role = json_string_value(json_object_get(p, "from_role"));
	const char *party = json_string_value(json_object_get(p, "from_party"));
	int64_t seq = json_integer_value(json_object_get(p, "seq"));
	int64_t timeout_ms = json_integer_value(json_object_get(p, "timeout_ms"));
	struct inbox *in = find_inbox(b, role, party);
	if (in == NULL) {
		reply_code(r, ERR_API_PARAMETER, "%s %s takes no part in this task", role, party);
		json_decref(p);
		return;
	}
	json_decref(p);
	if (in->parked != NULL) /* a lost connection may come back before its end was noticed */
		http_reply(unpark(in), 204, "application/octet-stream", NULL, 0);
	frames_drop(in, seq);
	struct frame *f = TAILQ_FIRST(&in->frames);
	if (f != NULL && f->seq == seq) {
		answer_frame(r, f);
		return;
	}
	if (seq != in->next_seq) {
		reply_code(r, ERR_CONFLICT, "frame %lld is gone; the next one is %lld",
			   (long long)seq, (long long)in->next_seq);
		return;
	}
	if (timeout_ms <= 0) {
		http_reply(r, 204, "application/octet-stream", NULL, 0);
		return;
	}
	park(in, r, seq, timeout_ms < POP_TIMEOUT_MAX ? timeout_ms : POP_TIMEOUT_MAX);
}

struct failing {
	const char *party_id;
	const struct err *e;
};

static bool fail_box(const char *key, void *value, void *arg)
{
	struct mailbox *b = value;
	const struct failing *f = arg;

	for (size_t i = 0; i < b->n_inboxes; i++) {
		if (b->inboxes[i].parked != NULL &&
		    str_eq(b->inboxes[i].from.party_id, f->party_id))
			reply_err(unpark(&b->inboxes[i]), f->e);
	}
	return true;
}

void channel_fail_parked(struct channel *c, const char *party_id, const struct err *e)
{
	struct failing f = {.party_id = party_id, .e = e};

	map_each(c->boxes, fail_box, &f);
}

const struct http_route channel_worker_routes[] = {
    {"POST", "/v2/worker/channel/push", channel_handle_push, HTTP_RAW_BODY, CHANNEL_FRAME_MAX,
     "A frame to another party of the task", &channel_push_doc},
    {"GET", "/v2/worker/channel/pop", handle_pop, 0, 0,
     "The next frame from another party of the task",
     DOC(TAKES_QUERY(handle_pop_params), .media = "application/octet-stream",
	 .may_be_empty = true)},
};
const size_t channel_worker_n_routes = ARRAY_LEN(channel_worker_routes);
