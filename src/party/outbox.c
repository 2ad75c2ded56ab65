#include "party/outbox.h"

#include "base/js.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH          32
#define IDLE_MAX_MS    1000
#define ERROR_WAIT_MS  500
#define RETRY_FIRST_MS 200
#define SERVER_TRIES   10 /* of a message that is answered with an error of the server itself */
#define RETRY_MAX_MS   15000

struct message {
	struct outbox *box;
	int64_t no, lease_no;
	int64_t job_no; /* 0: none */
	int party_no;
	int tries;
	char dest[51], src[51];
	char job_id[65];
	const struct command *command;
	json_t *body;
};

/* What an answer means: statements added to the batch that removes the message. ok: code 0. */
typedef void on_answer(const struct message *m, bool ok, enum err_code code, const char *text,
		       struct db_batch *b);

struct command {
	const char *name;
	const char *path;
	on_answer *answer;
	bool wakes_sched;
};

struct outbox {
	struct node *node;
	struct event *timer;
	bool claiming;
	bool again;
	bool stopped;
	int in_flight;
};

/* ---- what answers mean ---- */

static void created(const struct message *m, bool ok, enum err_code code, const char *text,
		    struct db_batch *b)
{
	db_add(b, Q_SCHED_CREATED);
	db_int(b, m->job_no);
	db_int(b, m->party_no);
	db_bool(b, ok);
	db_text(b, ok ? NULL : text);
}

static void reserved(const struct message *m, bool ok, enum err_code code, const char *text,
		     struct db_batch *b)
{
	db_add(b, Q_SCHED_RESERVED);
	db_int(b, m->job_no);
	db_int(b, m->party_no);
	db_text(b, ok ? "granted" : code == ERR_JOB_RESOURCE_LIMIT ? "never" : "refused");
	db_text(b, ok ? NULL : text);
}

static void job_started(const struct message *m, bool ok, enum err_code code, const char *text,
			struct db_batch *b)
{
	if (ok)
		return;
	char why[ERR_MSG_MAX + 128];
	snprintf(why, sizeof(why), "party %s refused to start the job: %s", m->dest, text);
	db_add(b, Q_SCHED_FAIL_JOB);
	db_text(b, m->job_id);
	db_text(b, why);
}

static void task_started(const struct message *m, bool ok, enum err_code code, const char *text,
			 struct db_batch *b)
{
	if (ok)
		return;
	char why[ERR_MSG_MAX + 128];
	snprintf(why, sizeof(why), "party %s refused to start the task: %s", m->dest, text);
	db_add(b, Q_SCHED_REMOTE_REPORT);
	db_text(b, m->job_id);
	db_text(b, js_str(m->body, "task_name", ""));
	db_int(b, js_int(m->body, "task_version", 0));
	db_text(b, js_str(m->body, "role", ""));
	db_text(b, js_str(m->body, "party_id", ""));
	db_text(b, "failed");
	db_null(b);
	db_null(b);
	db_text(b, why);
	db_null(b);
	db_bool(b, false);
}

static void refused(const struct message *m, bool ok, enum err_code code, const char *text,
		    struct db_batch *b)
{
	if (ok)
		return;
	char who[64];
	snprintf(who, sizeof(who), "party %s", m->dest);
	db_add(b, Q_OUTBOX_REFUSED);
	db_text(b, m->job_id);
	db_text(b, js_str(m->body, "role", NULL));
	db_text(b, js_str(m->body, "party_id", NULL));
	db_text(b, "refused");
	db_text(b, text);
	db_text(b, who);
}

static const struct command commands[] = {
    {"job_create", "/v2/partner/job/create", created, true},
    {"job_reserve", "/v2/partner/job/resource/apply", reserved, true},
    {"job_release", "/v2/partner/job/resource/return", refused, false},
    {"job_start", "/v2/partner/job/start", job_started, true},
    {"job_finish", "/v2/partner/job/status/update", refused, false},
    {"task_start", "/v2/partner/task/start", task_started, true},
    {"task_stop", "/v2/partner/task/stop", refused, false},
    {"task_report", "/v2/scheduler/task/report", refused, false},
    {"resource_wake", "/v2/scheduler/job/wake", refused, false},
    {"job_stop", "/v2/scheduler/job/stop", refused, false},
    {"job_rerun", "/v2/partner/job/rerun", job_started, true},
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

/* ---- one message ---- */

static void claim(struct outbox *box);

static void message_free(struct message *m)
{
	json_decref(m->body);
	free(m);
}

static void on_recorded(struct db_result *r, void *arg)
{
	struct message *m = arg;
	struct outbox *box = m->box;

	box->in_flight--;
	if (db_error(r) != NULL && db_error(r)->code == ERR_CONFLICT)
		log_info(LOG_CTX_NONE, "outbox: an answer came too late: %s", db_error(r)->msg);
	else if (db_error(r) != NULL)
		log_warn(LOG_CTX_NONE, "outbox: recording an answer: %s", db_error(r)->msg);
	else if (m->command != NULL && m->command->wakes_sched)
		node_wake(box->node, WAKE_SCHED);
	message_free(m);
	/* The next message of the same job and party may go now. */
	node_wake_local(box->node, WAKE_OUTBOX);
}

static void answered(struct message *m, bool ok, enum err_code code, const char *text)
{
	struct db_batch *b = db_batch_new(m->box->node->db);
	const struct log_ctx ctx = {.job_id = m->job_id, .party_id = m->dest, .attempt = -1};

	if (!ok)
		log_warn(&ctx, "%s to party %s: %d %s", m->command->name, m->dest, (int)code, text);
	db_add(b, Q_OUTBOX_DONE);
	db_int(b, m->no);
	db_int(b, m->lease_no);
	m->command->answer(m, ok, code, text, b);
	if (ok) {
		db_add(b, Q_ROUTE_OK);
		db_text(b, m->dest);
	}
	db_submit(b, on_recorded, m);
}

static void try_later(struct message *m, const char *why)
{
	const struct log_ctx ctx = {.job_id = m->job_id, .party_id = m->dest, .attempt = -1};
	int64_t wait_ms = RETRY_FIRST_MS;

	for (int i = 1; i < m->tries && wait_ms < RETRY_MAX_MS; i++)
		wait_ms *= 2;
	if (wait_ms > RETRY_MAX_MS)
		wait_ms = RETRY_MAX_MS;
	log_warn(&ctx, "%s did not reach party %s (try %d, again in %lld ms): %s", m->command->name,
		 m->dest, m->tries, (long long)wait_ms, why);
	struct db_batch *b = db_batch_new(m->box->node->db);
	db_add(b, Q_OUTBOX_FAILED);
	db_int(b, m->no);
	db_int(b, m->lease_no);
	db_text(b, why);
	db_int(b, wait_ms);
	db_add(b, Q_ROUTE_ERROR);
	db_text(b, m->dest);
	db_text(b, why);
	db_submit(b, on_recorded, m);
}

static void on_response(const struct http_response *res, void *arg)
{
	struct message *m = arg;
	enum err_code code;
	char text[ERR_MSG_MAX];

	if (m->box->stopped) {
		message_free(m);
		return;
	}
	if (!peer_answer(res, &code, text, sizeof(text))) {
		try_later(m, text);
		return;
	}
	/* Trouble inside the other site may pass: an end or a release must not get lost by it. */
	if (code == ERR_SERVER && m->tries < SERVER_TRIES) {
		try_later(m, text);
		return;
	}
	answered(m, code == ERR_OK, code, text);
}

static void deliver(struct message *m, const char *url, bool too_late, const char *last_error)
{
	char text[ERR_MSG_MAX];

	m->box->in_flight++;
	if (m->command == NULL) { /* of a newer node: it will take it back */
		m->box->in_flight--;
		message_free(m);
		return;
	}
	if (too_late) {
		snprintf(text, sizeof(text), "party %s did not answer in time: %s", m->dest,
			 *last_error != '\0' ? last_error : "no route or no connection");
		answered(m, false, ERR_FEDERATED, text);
		return;
	}
	if (*url == '\0') {
		snprintf(text, sizeof(text),
			 "no route to party %s: add one with `norn site add %s URL`", m->dest,
			 m->dest);
		try_later(m, text);
		return;
	}
	char *body = js_dump_str(m->body);
	char key[32];
	snprintf(key, sizeof(key), "%lld", (long long)m->no);
	const struct peer_call call = {.dest_party = m->dest,
				       .src_party = m->src,
				       .url = url,
				       .path = m->command->path,
				       .job_id = m->job_id,
				       .key = key};
	peer_post(m->box->node, &call, body, strlen(body), NULL, on_response, m);
	free(body);
}

/* ---- claims ---- */

static void sleep_ms(struct outbox *box, int64_t ms)
{
	const struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	if (!box->stopped)
		evtimer_add(box->timer, &tv);
}

static void on_next_due(struct db_result *r, void *arg)
{
	struct outbox *box = arg;
	int64_t wait_ms = IDLE_MAX_MS;

	box->claiming = false;
	if (box->stopped)
		return;
	if (box->again) {
		claim(box);
		return;
	}
	if (db_error(r) == NULL && db_rows(r, 0) == 1 && !db_is_null(r, 0, 0, "wait_ms"))
		wait_ms = db_get_int(r, 0, 0, "wait_ms");
	/* A due row that was not claimed waits behind an earlier one of its job. */
	if (wait_ms < 20)
		wait_ms = 20;
	sleep_ms(box, wait_ms < IDLE_MAX_MS ? wait_ms : IDLE_MAX_MS);
}

static void on_claimed(struct db_result *r, void *arg)
{
	struct outbox *box = arg;
	int n = 0;

	if (box->stopped)
		return;
	if (db_error(r) != NULL) {
		box->claiming = false;
		log_warn(LOG_CTX_NONE, "outbox: %s", db_error(r)->msg);
		sleep_ms(box, ERROR_WAIT_MS);
		return;
	}
	n = db_rows(r, 0);
	for (int i = 0; i < n; i++) {
		struct message *m = mem_zalloc(sizeof(*m));
		m->box = box;
		m->no = db_get_int(r, 0, i, "outbox_no");
		m->lease_no = db_get_int(r, 0, i, "lease_no");
		m->job_no = db_get_int(r, 0, i, "job_no");
		m->party_no = (int)db_get_int(r, 0, i, "party_no");
		m->tries = (int)db_get_int(r, 0, i, "tries");
		str_copy(m->dest, sizeof(m->dest), db_get(r, 0, i, "dest_party_id"));
		str_copy(m->src, sizeof(m->src), db_get(r, 0, i, "src_party_id"));
		str_copy(m->job_id, sizeof(m->job_id), db_get(r, 0, i, "job_id"));
		m->command = find_command(db_get(r, 0, i, "command"));
		m->body = db_get_json(r, 0, i, "body");
		deliver(m, db_get(r, 0, i, "url"), db_get_bool(r, 0, i, "too_late"),
			db_get(r, 0, i, "last_error"));
	}
	if (n == BATCH || box->again) {
		box->claiming = false;
		claim(box);
		return;
	}
	struct db_batch *b = db_batch_new(box->node->db);
	db_add(b, Q_OUTBOX_NEXT_DUE);
	db_submit(b, on_next_due, box);
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
	evtimer_del(box->timer);
	b = db_batch_new(box->node->db);
	db_add(b, Q_OUTBOX_CLAIM);
	db_int(b, BATCH);
	/* Longer than a call may take, so that nobody else sends the same message meanwhile. */
	db_int(b, box->node->conf->peer_timeout_ms + 2000);
	db_submit(b, on_claimed, box);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	claim(arg);
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
