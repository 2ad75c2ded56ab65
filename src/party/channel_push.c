/* Frames on their way: from a component to the node that runs the receiver. */
#include "auth/request.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/channel_int.h"
#include "party/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST_MS 20
#define RETRY_MAX_MS   1000

struct push {
	struct channel *c;
	struct http_req *r; /* whose body is the frame; lives until it is answered */
	struct frame_in f;
	char job_id[65], task_name[51], tag[CHANNEL_TAG_MAX + 1];
	bool forward; /* came from another site or node: looks for the node only once */
	bool gone;    /* the component has hung up */
	int tries;
	int64_t unreached_since_ms; /* 0: reached */
	struct event *timer;
	void *call;
};

static void attempt(struct push *p);

static void push_free(struct push *p)
{
	if (p->timer != NULL)
		event_free(p->timer);
	free(p);
}

static void finish(struct push *p, enum err_code code, const char *text)
{
	if (code == ERR_OK)
		reply_ok(p->r, NULL);
	else
		reply_code(p->r, code, "%s", text);
	push_free(p);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	attempt(arg);
}

static void retry(struct push *p)
{
	int64_t ms = RETRY_FIRST_MS;

	for (int i = 0; i < p->tries && ms < RETRY_MAX_MS; i++)
		ms *= 2;
	if (ms > RETRY_MAX_MS)
		ms = RETRY_MAX_MS;
	p->tries++;
	const struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
	if (p->timer == NULL)
		p->timer = evtimer_new(p->c->node->base, on_retry, p);
	evtimer_add(p->timer, &tv);
}

/* The frame did not get there. Not started yet and full are temporary; not reached is so for a
 * while. */
static void not_taken(struct push *p, enum err_code code, const char *text)
{
	struct node *n = p->c->node;

	if (p->forward || p->gone || n->stopping) {
		finish(p, code, text);
		return;
	}
	if (code == ERR_LIMIT || code == ERR_TASK_NOT_FOUND) {
		p->unreached_since_ms = 0;
		retry(p);
		return;
	}
	if (code != ERR_FEDERATED) {
		finish(p, code, text);
		return;
	}
	int64_t now_ms = clock_mono_ms();
	if (p->unreached_since_ms == 0)
		p->unreached_since_ms = now_ms;
	if (now_ms - p->unreached_since_ms > n->conf->peer_gone_s * 1000) {
		char why[ERR_MSG_MAX];
		snprintf(why, sizeof(why), "party %s could not be reached for %lld s: %s",
			 p->f.dst.party_id, (long long)n->conf->peer_gone_s, text);
		finish(p, ERR_FEDERATED, why);
		return;
	}
	retry(p);
}

static void on_answer(const struct http_response *res, void *arg)
{
	struct push *p = arg;
	enum err_code code;
	char text[ERR_MSG_MAX];

	p->call = NULL;
	if (!peer_answer(res, &code, text, sizeof(text)))
		not_taken(p, ERR_FEDERATED, text);
	else if (code == ERR_OK)
		finish(p, ERR_OK, "");
	else
		not_taken(p, code, text);
}

static void add_query(struct buf *b, const char *key, const char *value)
{
	buf_printf(b, "%c%s=", b->len == 0 ? '?' : '&', key);
	for (const unsigned char *s = (const unsigned char *)value; *s != '\0'; s++) {
		if ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
		    (*s >= '0' && *s <= '9') || *s == '_' || *s == '-' || *s == '.')
			buf_addc(b, (char)*s);
		else
			buf_printf(b, "%%%02X", *s);
	}
}

static void post(struct push *p, const char *url, const char *dest_party)
{
	struct buf q = {0};
	char num[24];
	char *path;

	add_query(&q, "job_id", p->f.job_id);
	add_query(&q, "task_name", p->f.task_name);
	snprintf(num, sizeof(num), "%d", p->f.attempt);
	add_query(&q, "attempt", num);
	add_query(&q, "src_role", p->f.src.role);
	add_query(&q, "src_party", p->f.src.party_id);
	add_query(&q, "dst_role", p->f.dst.role);
	add_query(&q, "dst_party", p->f.dst.party_id);
	add_query(&q, "tag", p->f.tag);
	snprintf(num, sizeof(num), "%lld", (long long)p->f.seq);
	add_query(&q, "seq", num);
	add_query(&q, "more", p->f.more ? "1" : "0");
	if (node_serves(p->c->node, p->f.dst.party_id))
		add_query(&q, "hop", "1"); /* between two nodes of this site: no further */
	path = mem_printf("/v2/partner/channel/push%s", buf_str(&q));
	const struct peer_call call = {.dest_party = dest_party,
				       .src_party = p->f.src.party_id,
				       .url = url,
				       .path = path,
				       .job_id = p->f.job_id};
	p->call = peer_post(p->c->node, &call, p->f.data, p->f.len, "application/octet-stream",
			    on_answer, p);
	free(path);
	buf_free(&q);
}

/* ---- the receiver is of this site, on another node ---- */

static void on_node(struct db_result *res, void *arg)
{
	struct push *p = arg;
	char id[320];

	if (db_error(res) != NULL) {
		not_taken(p, ERR_FEDERATED, db_error(res)->msg);
		return;
	}
	if (db_rows(res, 0) == 0 || db_is_null(res, 0, 0, "node_id")) {
		not_taken(p, ERR_TASK_NOT_FOUND, "the receiver has not started yet");
		return;
	}
	if (!str_eq(db_get(res, 0, 0, "party_status"), "running")) {
		finish(p, ERR_CONFLICT, "the receiver's attempt is over");
		return;
	}
	if (str_eq(db_get(res, 0, 0, "node_id"), p->c->node->id) ||
	    !db_get_bool(res, 0, 0, "alive") || *db_get(res, 0, 0, "address") == '\0') {
		not_taken(p, ERR_TASK_NOT_FOUND, "the receiver's node does not answer");
		return;
	}
	channel_execution_id(&p->f, id, sizeof(id));
	channel_route_set(p->c, id, db_get(res, 0, 0, "address"));
	post(p, db_get(res, 0, 0, "address"), p->f.dst.party_id);
}

static void find_node(struct push *p)
{
	char id[320];
	const char *url;

	channel_execution_id(&p->f, id, sizeof(id));
	url = channel_route_get(p->c, id);
	if (url != NULL && p->tries == 0) {
		post(p, url, p->f.dst.party_id);
		return;
	}
	struct db_batch *b = db_batch_new(p->c->node->db);
	db_add(b, Q_CHANNEL_NODE);
	db_text(b, p->f.job_id);
	db_text(b, p->f.task_name);
	db_int(b, p->f.attempt);
	db_text(b, p->f.dst.role);
	db_text(b, p->f.dst.party_id);
	db_submit(b, on_node, p);
}

/* ---- the receiver is of another site ---- */

static void on_route(struct db_result *res, void *arg)
{
	struct push *p = arg;

	if (db_error(res) != NULL) {
		not_taken(p, ERR_FEDERATED, db_error(res)->msg);
		return;
	}
	if (db_rows(res, 0) == 0) {
		char why[160];
		snprintf(why, sizeof(why),
			 "no route to party %s: add one with `norn site add %s URL`",
			 p->f.dst.party_id, p->f.dst.party_id);
		not_taken(p, ERR_FEDERATED, why);
		return;
	}
	channel_route_set(p->c, p->f.dst.party_id, db_get(res, 0, 0, "url"));
	post(p, db_get(res, 0, 0, "url"), p->f.dst.party_id);
}

static void find_site(struct push *p)
{
	const char *url = channel_route_get(p->c, p->f.dst.party_id);

	if (url != NULL) {
		post(p, url, p->f.dst.party_id);
		return;
	}
	struct db_batch *b = db_batch_new(p->c->node->db);
	db_add(b, Q_ROUTE_GET);
	db_text(b, p->f.dst.party_id);
	db_submit(b, on_route, p);
}

static void attempt(struct push *p)
{
	struct err e = {0};

	if (p->gone) {
		finish(p, ERR_CONFLICT, "the component has hung up");
		return;
	}
	if (!node_serves(p->c->node, p->f.dst.party_id)) {
		find_site(p);
		return;
	}
	if (channel_deliver(p->c, &p->f, &e)) {
		finish(p, ERR_OK, "");
		return;
	}
	if (e.code != ERR_TASK_NOT_FOUND)
		not_taken(p, e.code, e.msg);
	else
		find_node(p);
}

static void on_gone(void *arg)
{
	struct push *p = arg;

	p->gone = true; /* ends at the next answer or retry */
}

static void start(struct http_req *r, const struct frame_in *f, bool forward)
{
	struct push *p = mem_zalloc(sizeof(*p));

	p->c = request_node(r)->channel;
	p->r = r;
	p->f = *f;
	p->forward = forward;
	str_copy(p->job_id, sizeof(p->job_id), f->job_id);
	str_copy(p->task_name, sizeof(p->task_name), f->task_name);
	str_copy(p->tag, sizeof(p->tag), f->tag);
	p->f.job_id = p->job_id;
	p->f.task_name = p->task_name;
	p->f.tag = p->tag;
	p->f.data = http_req_body(r, &p->f.len);
	http_req_on_close(r, on_gone, p);
	attempt(p);
}

static bool tag_fits(const char *tag)
{
	size_t n = strlen(tag);

	if (n > CHANNEL_TAG_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (tag[i] < 0x20 || tag[i] > 0x7e)
			return false;
	}
	return true;
}

static const struct param channel_handle_push_params[] = {
    {"execution_id", P_STR, true, NULL}, {"to_role", P_STR, true, NULL},
    {"to_party", P_STR, true, NULL},     {"tag", P_STR, true, NULL},
    {"seq", P_INT, true, NULL},          {"more", P_BOOL, false, "false"},
};
const struct http_doc channel_push_doc = {TAKES_QUERY(channel_handle_push_params)};

bool channel_admit(struct http_req *r)
{
	json_t *p = request_args(r);

	json_decref(p);
	return p != NULL && channel_authenticate(r) != NULL;
}

void channel_handle_push(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);
	struct mailbox *b = p == NULL ? NULL : channel_authenticate(r);
	const struct channel_party *to;

	if (b == NULL) {
		json_decref(p);
		return;
	}
	const char *role = json_string_value(json_object_get(p, "to_role"));
	const char *party = json_string_value(json_object_get(p, "to_party"));
	to = channel_find_party(b, role, party);
	if (to == NULL) {
		reply_code(r, ERR_API_PARAMETER, "%s %s takes no part in this task", role, party);
	} else if (!tag_fits(json_string_value(json_object_get(p, "tag")))) {
		reply_code(r, ERR_API_PARAMETER, "tag: at most %d printable ASCII characters",
			   CHANNEL_TAG_MAX);
	} else {
		const struct frame_in f = {
		    .job_id = b->job_id,
		    .task_name = b->task_name,
		    .attempt = b->attempt,
		    .src = b->own,
		    .dst = *to,
		    .tag = json_string_value(json_object_get(p, "tag")),
		    .seq = json_integer_value(json_object_get(p, "seq")),
		    .more = json_is_true(json_object_get(p, "more")),
		};
		start(r, &f, false);
	}
	json_decref(p);
}

static const struct param channel_handle_peer_push_params[] = {
    {"job_id", P_STR, true, NULL},    {"task_name", P_STR, true, NULL},
    {"attempt", P_INT, true, NULL},   {"src_role", P_STR, true, NULL},
    {"src_party", P_STR, true, NULL}, {"dst_role", P_STR, true, NULL},
    {"dst_party", P_STR, true, NULL}, {"tag", P_STR, true, NULL},
    {"seq", P_INT, true, NULL},       {"more", P_BOOL, false, "false"},
    {"hop", P_INT, false, "0"},
};
const struct http_doc channel_peer_push_doc = {TAKES_QUERY(channel_handle_peer_push_params)};

void channel_handle_peer_push(struct http_req *r, void *arg)
{
	struct node *n = request_node(r);
	json_t *p = request_args(r);
	struct frame_in f = {0};
	struct err e = {0};

	if (p == NULL)
		return;
	f.job_id = json_string_value(json_object_get(p, "job_id"));
	f.task_name = json_string_value(json_object_get(p, "task_name"));
	f.attempt = (int)json_integer_value(json_object_get(p, "attempt"));
	f.tag = json_string_value(json_object_get(p, "tag"));
	f.seq = json_integer_value(json_object_get(p, "seq"));
	f.more = json_is_true(json_object_get(p, "more"));
	str_copy(f.src.role, sizeof(f.src.role), json_string_value(json_object_get(p, "src_role")));
	str_copy(f.src.party_id, sizeof(f.src.party_id),
		 json_string_value(json_object_get(p, "src_party")));
	str_copy(f.dst.role, sizeof(f.dst.role), json_string_value(json_object_get(p, "dst_role")));
	str_copy(f.dst.party_id, sizeof(f.dst.party_id),
		 json_string_value(json_object_get(p, "dst_party")));
	bool hop = json_integer_value(json_object_get(p, "hop")) > 0;
	/* Between two nodes of one site the caller shows the site's own certificate and brings a
	 * frame of another party, whose right to send it was checked by the first node. */
	const struct tls_identity *id = http_req_identity(r);
	bool own_node = hop && id != NULL && tls_identity_has(id, node_conf_own_party(n->conf));
	if (!own_node && !request_speaks_for(r, f.src.party_id)) {
		json_decref(p);
		return;
	}
	f.data = http_req_body(r, &f.len);
	if (!str_is_name(f.job_id, 64) || !str_is_name(f.task_name, 50) || !tag_fits(f.tag)) {
		reply_code(r, ERR_API_PARAMETER, "job_id, task_name or tag is not valid");
	} else if (!node_serves(n, f.dst.party_id)) {
		reply_code(r, ERR_API_PARAMETER, "party %s is not served by this site",
			   f.dst.party_id);
	} else if (channel_deliver(n->channel, &f, &e)) {
		reply_ok(r, NULL);
	} else if (e.code != ERR_TASK_NOT_FOUND || hop) {
		reply_err(r, &e);
	} else {
		start(r, &f, true);
	}
	json_decref(p);
}
