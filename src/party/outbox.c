#include "party/outbox_int.h"

#include "base/clock.h"
#include "base/js.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH           32
#define GROUP_MAX_BYTES (512 << 10) /* gateways often take 1 MiB */
#define IDLE_MAX_MS     1000
#define LOOK_AGAIN_MS   5
#define ERROR_WAIT_MS   500
#define RETRY_FIRST_MS  200
#define SERVER_TRIES    10 /* of a message that is answered with an error of the server itself */
#define RETRY_MAX_MS    15000
#define SINGLE_S        600 /* a site that takes no groups is asked again behind it */

struct outbox {
	struct node *node;
	struct event *timer;
	int64_t look_ms; /* monotonic: when the timer fires; 0: it is not set */
	bool claiming;
	bool again;
	bool stopped;
};

static void claim(struct outbox *box);

/* Claims in so many ms at the latest. */
static void look_in(struct outbox *box, int64_t ms)
{
	const struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
	int64_t at_ms = clock_mono_ms() + ms;

	if (box->claiming) {
		box->again = true; /* it may not have seen what this is for */
	} else if (!box->stopped && (box->look_ms == 0 || at_ms < box->look_ms)) {
		box->look_ms = at_ms;
		evtimer_add(box->timer, &tv);
	}
}

static void group_free(struct group *g)
{
	for (size_t i = 0; i < g->n; i++)
		free(g->messages[i].body);
	free(g);
}

/* ---- answers ---- */

static void on_recorded(struct db_result *r, void *arg)
{
	struct group *g = arg;
	struct node *n = g->box->node;

	if (db_error(r) != NULL && db_error(r)->code == ERR_CONFLICT)
		log_info(LOG_CTX_NONE, "outbox: an answer came too late: %s", db_error(r)->msg);
	else if (db_error(r) != NULL)
		log_warn(LOG_CTX_NONE, "outbox: recording an answer: %s", db_error(r)->msg);
	else if (g->wakes_sched)
		node_wake(n, WAKE_SCHED);
	/* The next messages of the same job and party go now. */
	outbox_claimed(n, r, g->claim_at);
	if (g->retry_ms > 0)
		look_in(g->box, g->retry_ms);
	group_free(g);
}

static void submit(struct group *g, struct db_batch *b)
{
	g->claim_at = outbox_claim_add(g->box->node, b);
	db_submit(b, on_recorded, g);
}

static void add_numbers(const struct group *g, size_t n, struct db_batch *b)
{
	struct db_array nos = {0};

	for (size_t i = 0; i < n; i++)
		db_array_int(&nos, g->messages[i].no);
	db_array(b, &nos);
	db_int(b, g->lease_no);
}

static void add_route_ok(const struct group *g, struct db_batch *b)
{
	db_add(b, Q_ROUTE_OK);
	db_text(b, g->dest);
}

/* Message i was not delivered, and those behind it wait for it. */
static void add_failed(struct group *g, size_t i, const char *why, struct db_batch *b)
{
	const struct message *m = &g->messages[i];
	const struct log_ctx ctx = {.job_id = g->job_id, .party_id = g->dest, .attempt = -1};
	int64_t wait_ms = RETRY_FIRST_MS;

	for (int t = 1; t < m->tries && wait_ms < RETRY_MAX_MS; t++)
		wait_ms *= 2;
	if (wait_ms > RETRY_MAX_MS)
		wait_ms = RETRY_MAX_MS;
	log_warn(&ctx, "%s did not reach party %s (try %d, again in %lld ms): %s", m->command->name,
		 g->dest, m->tries, (long long)wait_ms, why);
	db_add(b, Q_OUTBOX_FAILED);
	db_int(b, m->no);
	db_int(b, g->lease_no);
	db_text(b, why);
	db_int(b, wait_ms);
	g->retry_ms = wait_ms;
}

static void try_later(struct group *g, const char *why)
{
	struct db_batch *b = db_batch_new(g->box->node->db);

	add_failed(g, 0, why, b);
	db_add(b, Q_ROUTE_ERROR);
	db_text(b, g->dest);
	db_text(b, why);
	submit(g, b);
}

static void answered_alone(struct group *g, enum err_code code, const char *text)
{
	struct db_batch *b = db_batch_new(g->box->node->db);

	db_add(b, Q_OUTBOX_DONE);
	add_numbers(g, 1, b);
	outbox_answered(g, &g->messages[0], code, text, b);
	if (code == ERR_OK)
		add_route_ok(g, b);
	submit(g, b);
}

/* Whether a message is sent again when it was answered so. Trouble inside the other site may pass:
 * an end or a release must not get lost by it. */
static bool may_pass(enum err_code code, const struct message *m)
{
	return code == ERR_DB_LOST || code == ERR_DB_UNAVAILABLE ||
	       (code == ERR_SERVER && m->tries < SERVER_TRIES);
}

static void on_alone(const struct http_response *res, void *arg)
{
	struct group *g = arg;
	enum err_code code;
	char text[ERR_MSG_MAX];

	if (g->box->stopped)
		group_free(g);
	else if (!peer_answer(res, &code, text, sizeof(text)) || may_pass(code, &g->messages[0]))
		try_later(g, text);
	else
		answered_alone(g, code, text);
}

/* As if nothing had been sent; from now on one by one. */
static void go_single(struct group *g, const char *why)
{
	const struct log_ctx ctx = {.job_id = g->job_id, .party_id = g->dest, .attempt = -1};
	struct db_batch *b = db_batch_new(g->box->node->db);

	log_info(&ctx, "party %s takes no groups of messages, for %d s they go one by one: %s",
		 g->dest, SINGLE_S, why);
	db_add(b, Q_ROUTE_SINGLE);
	db_text(b, g->dest);
	db_int(b, SINGLE_S);
	db_add(b, Q_OUTBOX_UNSENT);
	add_numbers(g, g->n, b);
	submit(g, b);
}

/* How many of them, from the first, were answered for good. *code and *text: of the one behind. */
static size_t count_answers(const struct group *g, const json_t *answers, enum err_code *code,
			    const char **text)
{
	size_t i;

	*code = ERR_SERVER;
	*text = "the other site has not come to it";
	for (i = 0; i < g->n && i < json_array_size(answers); i++) {
		const json_t *a = json_array_get(answers, i);
		if (!json_is_integer(json_object_get(a, "code")))
			break;
		enum err_code c = (enum err_code)json_integer_value(json_object_get(a, "code"));
		if (may_pass(c, &g->messages[i])) {
			*code = c;
			*text = js_str(a, "message", "");
			break;
		}
	}
	return i;
}

/* Whether a crash of the server may undo that they were answered: then they are sent again. */
static bool may_forget(const struct group *g, const json_t *answers)
{
	for (size_t i = 0; i < g->n; i++) {
		if (!g->messages[i].command->copy_known ||
		    js_int(json_array_get(answers, i), "code", ERR_SERVER) != ERR_OK)
			return false;
	}
	return true;
}

static void take_answers(struct group *g, const json_t *answers)
{
	struct db_batch *b = db_batch_new(g->box->node->db);
	enum err_code code;
	const char *text;
	size_t n = count_answers(g, answers, &code, &text);

	if (may_forget(g, answers))
		db_add(b, Q_DB_LAZY);
	if (n > 0) {
		db_add(b, Q_OUTBOX_DONE);
		add_numbers(g, n, b);
	}
	for (size_t i = 0; i < n; i++) {
		const json_t *a = json_array_get(answers, i);
		outbox_answered(g, &g->messages[i], (enum err_code)js_int(a, "code", ERR_SERVER),
				js_str(a, "message", ""), b);
	}
	if (n < g->n) {
		char *why = mem_printf("%d %s", (int)code, text);
		add_failed(g, n, why, b);
		free(why);
	}
	add_route_ok(g, b);
	submit(g, b);
}

static void on_group(const struct http_response *res, void *arg)
{
	struct group *g = arg;
	const json_t *answers = js_get(res->json, "data.answers");
	enum err_code code = ERR_OK;
	char text[ERR_MSG_MAX];
	bool reached = peer_answer(res, &code, text, sizeof(text));
	/* A gateway that does not let a group through never will. */
	bool barred = res->error == NULL && res->status >= 400 && res->status < 500 &&
		      !json_is_integer(json_object_get(res->json, "code"));

	if (g->box->stopped)
		group_free(g);
	else if (reached && json_is_array(answers) && json_array_size(answers) > 0)
		take_answers(g, answers);
	else if (reached || barred)
		go_single(g, text);
	else
		try_later(g, text);
}

/* ---- calls ---- */

static void add_body(const struct group *g, struct buf *out)
{
	buf_adds(out, "{\"messages\":[");
	for (size_t i = 0; i < g->n; i++) {
		const struct message *m = &g->messages[i];
		buf_printf(out, "%s{\"no\":%lld,\"command\":\"%s\",\"body\":", i > 0 ? "," : "",
			   (long long)m->no, m->command->name);
		buf_adds(out, m->body);
		buf_addc(out, '}');
	}
	buf_adds(out, "]}");
}

static void post(struct group *g, const char *url)
{
	const struct message *m = &g->messages[0];
	struct buf body = {0};
	char key[32];
	bool together = g->may_group && m->command->may_group;

	snprintf(key, sizeof(key), "%lld", (long long)m->no);
	const struct peer_call call = {.dest_party = g->dest,
				       .src_party = g->src,
				       .url = url,
				       .path = together ? PEER_MESSAGES : m->command->path,
				       .job_id = g->job_id,
				       .key = key};
	if (together)
		add_body(g, &body);
	else
		buf_adds(&body, m->body);
	peer_post(g->box->node, &call, body.data, body.len, NULL, together ? on_group : on_alone,
		  g);
	buf_free(&body);
}

static void deliver(struct group *g, const char *url, bool too_late, const char *last_error)
{
	char text[ERR_MSG_MAX];

	if (g->messages[0].command == NULL) { /* of a newer node: it will take it back */
		group_free(g);
	} else if (too_late) {
		snprintf(text, sizeof(text), "party %s did not answer in time: %s", g->dest,
			 *last_error != '\0' ? last_error : "no route or no connection");
		answered_alone(g, ERR_FEDERATED, text);
	} else if (*url == '\0') {
		snprintf(text, sizeof(text),
			 "no route to party %s: add one with `norn site add %s URL`", g->dest,
			 g->dest);
		try_later(g, text);
	} else {
		post(g, url);
	}
}

/* ---- claims ---- */

static void add_message(struct group *g, const struct db_result *r, int k, int row)
{
	struct message *m = &g->messages[g->n++];

	m->no = db_get_int(r, k, row, "outbox_no");
	m->job_no = db_get_int(r, k, row, "job_no");
	m->party_no = (int)db_get_int(r, k, row, "party_no");
	m->tries = (int)db_get_int(r, k, row, "tries");
	m->command = outbox_command(db_get(r, k, row, "command"));
	m->body = mem_strdup(db_get(r, k, row, "body"));
}

/* The group that begins in this row. Returns the row behind it. */
static int take_group(struct outbox *box, const struct db_result *r, int k, int row)
{
	struct group *g = mem_zalloc(sizeof(*g));
	int first = row;

	g->box = box;
	g->lease_no = db_get_int(r, k, row, "lease_no");
	g->may_group = db_get_bool(r, k, row, "may_group");
	str_copy(g->dest, sizeof(g->dest), db_get(r, k, row, "dest_party_id"));
	str_copy(g->src, sizeof(g->src), db_get(r, k, row, "src_party_id"));
	str_copy(g->job_id, sizeof(g->job_id), db_get(r, k, row, "job_id"));
	for (; row < db_rows(r, k) && g->n < GROUP_MAX &&
	       db_get_int(r, k, row, "lease_no") == g->lease_no;
	     row++)
		add_message(g, r, k, row);
	deliver(g, db_get(r, k, first, "url"), db_get_bool(r, k, first, "too_late"),
		db_get(r, k, first, "last_error"));
	return row;
}

/* What was claimed as this node went down, as if it had not been: another one may send it at once.
 */
static void give_back(struct outbox *box, const struct db_result *r, int k)
{
	struct db_batch *b = db_batch_new(box->node->db);
	int rows = db_rows(r, k);
	int row = 0;

	while (row < rows && !db_is_null(r, k, row, "outbox_no")) {
		int64_t lease_no = db_get_int(r, k, row, "lease_no");
		struct db_array nos = {0};
		for (; row < rows && db_get_int(r, k, row, "lease_no") == lease_no; row++)
			db_array_int(&nos, db_get_int(r, k, row, "outbox_no"));
		db_add(b, Q_OUTBOX_UNSENT);
		db_array(b, &nos);
		db_int(b, lease_no);
	}
	if (row == 0) {
		db_batch_free(b);
		return;
	}
	db_submit(b, NULL, NULL);
	node_wake(box->node, WAKE_OUTBOX);
}

/* How long until there may be more to claim, in ms; -1: not known. */
static int take_claim(struct outbox *box, const struct db_result *r, int k)
{
	int row = 0, n = 0;

	while (row < db_rows(r, k) && !db_is_null(r, k, row, "outbox_no")) {
		row = take_group(box, r, k, row);
		n++;
	}
	if (n == BATCH)
		return 0;
	return row < db_rows(r, k) ? LOOK_AGAIN_MS : -1;
}

int outbox_claim_add(struct node *n, struct db_batch *b)
{
	if (n->outbox == NULL || n->outbox->stopped)
		return -1;
	db_add(b, Q_OUTBOX_CLAIM);
	db_int(b, BATCH);
	/* Longer than a call may take, so that nobody else sends the same message meanwhile. */
	db_int(b, n->conf->peer_timeout_ms + 2000);
	db_int(b, GROUP_MAX);
	db_int(b, GROUP_MAX_BYTES);
	outbox_bind_groupable(b);
	return (int)db_batch_count(b) - 1;
}

void outbox_claimed(struct node *n, const struct db_result *r, int k)
{
	int more_ms = 0;

	if (k < 0 || n->outbox == NULL)
		return;
	if (n->outbox->stopped) {
		if (db_error(r) == NULL)
			give_back(n->outbox, r, k);
		return;
	}
	/* What a batch that has failed could not claim lies there. */
	if (db_error(r) == NULL)
		more_ms = take_claim(n->outbox, r, k);
	if (more_ms >= 0)
		look_in(n->outbox, more_ms);
}

void outbox_look(struct node *n, int64_t ms)
{
	if (n->outbox != NULL)
		look_in(n->outbox, ms);
}

/* The statements of a claim of its own. */
enum { A_LAZY, A_CLAIM, A_NEXT_DUE };

static void on_claimed(struct db_result *r, void *arg)
{
	struct outbox *box = arg;
	int64_t wait_ms = IDLE_MAX_MS;

	box->claiming = false;
	if (box->stopped) {
		if (db_error(r) == NULL)
			give_back(box, r, A_CLAIM);
		return;
	}
	if (db_error(r) != NULL) {
		log_warn(LOG_CTX_NONE, "outbox: %s", db_error(r)->msg);
		look_in(box, ERROR_WAIT_MS);
		return;
	}
	int more_ms = take_claim(box, r, A_CLAIM);
	if (more_ms == 0 || box->again) {
		claim(box);
		return;
	}
	if (db_rows(r, A_NEXT_DUE) == 1)
		wait_ms = db_get_int(r, A_NEXT_DUE, 0, "wait_ms");
	/* A due row that was not claimed waits behind an earlier one of its job. */
	if (wait_ms < LOOK_AGAIN_MS)
		wait_ms = LOOK_AGAIN_MS;
	look_in(box, wait_ms < IDLE_MAX_MS ? wait_ms : IDLE_MAX_MS);
}

static void claim(struct outbox *box)
{
	struct db_batch *b;

	if (box->stopped)
		return;
	if (box->claiming) {
		box->again = true;
		return;
	}
	box->claiming = true;
	box->again = false;
	box->look_ms = 0;
	evtimer_del(box->timer);
	b = db_batch_new(box->node->db);
	/* After a crash of the server the messages are sent again, and known by their numbers. */
	db_add(b, Q_DB_LAZY);
	outbox_claim_add(box->node, b);
	db_add(b, Q_OUTBOX_NEXT_DUE);
	db_submit(b, on_claimed, box);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct outbox *box = arg;

	box->look_ms = 0;
	claim(box);
}

static void on_wake(void *arg)
{
	claim(arg);
}

void outbox_start(struct node *n)
{
	struct outbox *box = mem_zalloc(sizeof(*box));

	box->node = n;
	box->timer = evtimer_new(n->base, on_timer, box);
	n->outbox = box;
	node_on_wake(n, WAKE_OUTBOX, on_wake, box);
	claim(box);
}

void outbox_stop(struct node *n)
{
	if (n->outbox == NULL)
		return;
	n->outbox->stopped = true;
	evtimer_del(n->outbox->timer);
}

void outbox_free(struct node *n)
{
	if (n->outbox == NULL)
		return;
	event_free(n->outbox->timer);
	free(n->outbox);
	n->outbox = NULL;
}
