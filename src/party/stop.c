#include "party/stop.h"

#include "base/js.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/peer.h"

#include <stdlib.h>
#include <string.h>

struct stop {
	struct node *node;
	stop_cb *cb;
	void *arg;
	char job_id[65];
	char scheduler[65];
	char party[65];
	int64_t attempt; /* of the job, as this site knows it: the wish must not hit a rerun */
};

static void finish(struct stop *s, const struct err *e)
{
	s->cb(e, s->arg);
	free(s);
}

/* Database trouble as a client may see it. */
static void fail_db(struct stop *s, const struct err *e)
{
	const struct log_ctx ctx = {.job_id = s->job_id, .attempt = -1};
	struct err shown = *e;

	if (e->code == ERR_DB) {
		log_error(&ctx, "stop: %s", e->msg);
		(void)err_set(&shown, ERR_SERVER,
			      "the database refused the request; the server log has the details");
	}
	finish(s, &shown);
}

/* Kept as a message and sent until the scheduler's site takes it. */
static void on_kept(struct db_result *res, void *arg)
{
	struct stop *s = arg;
	struct err e;

	if (db_error(res) != NULL) {
		fail_db(s, db_error(res));
		return;
	}
	node_wake(s->node, WAKE_OUTBOX);
	(void)err_set(&e, ERR_FEDERATED,
		      "Federated schedule error, the scheduler's site (party %s) was not reached; "
		      "the stop of "
		      "job %s is kept and sent until it is",
		      s->scheduler, s->job_id);
	finish(s, &e);
}

static void on_answer(const struct http_response *res, void *arg)
{
	struct stop *s = arg;
	enum err_code code;
	char text[ERR_MSG_MAX - 128];
	struct err e;

	if (!peer_answer(res, &code, text, sizeof(text))) {
		struct db_batch *b = db_batch_new(s->node->db);
		db_add(b, Q_API_JOB_STOP_LATER);
		db_text(b, s->scheduler);
		db_text(b, s->party);
		db_text(b, s->job_id);
		db_int(b, s->attempt);
		db_submit(b, on_kept, s);
	} else if (code == ERR_OK) {
		finish(s, NULL);
	} else {
		(void)err_set(&e, code, "%s", text);
		finish(s, &e);
	}
}

static void ask_scheduler(struct stop *s, const char *url)
{
	struct node *n = s->node;
	struct err e;

	if (n->tls == NULL || url[0] == '\0') {
		(void)err_set(&e, ERR_JOB_KILL,
			      "Kill job failed: the job is scheduled by party %s, and there is no "
			      "route to it",
			      s->scheduler);
		finish(s, &e);
		return;
	}
	json_t *body = json_pack("{s:s, s:s, s:I}", "job_id", s->job_id, "stop_status", "canceled",
				 "attempt", (json_int_t)s->attempt);
	char *text = js_dump_str(body);
	const struct peer_call call = {.dest_party = s->scheduler,
				       .src_party = s->party,
				       .url = url,
				       .path = "/v2/scheduler/job/stop",
				       .job_id = s->job_id};
	peer_post(n, &call, text, strlen(text), NULL, on_answer, s);
	free(text);
	json_decref(body);
}

static void on_stop(struct db_result *res, void *arg)
{
	struct stop *s = arg;
	struct err e;

	if (db_error(res) != NULL) {
		fail_db(s, db_error(res));
	} else if (db_get_bool(res, 0, 0, "o_found")) {
		node_wake(s->node, WAKE_SCHED);
		finish(s, NULL);
	} else if (db_rows(res, 1) == 0) {
		(void)err_set(&e, ERR_JOB_NOT_FOUND, "No found job: job_id[%s]", s->job_id);
		finish(s, &e);
	} else {
		str_copy(s->scheduler, sizeof(s->scheduler),
			 db_get(res, 1, 0, "scheduler_party_id"));
		str_copy(s->party, sizeof(s->party), db_get(res, 1, 0, "party_id"));
		s->attempt = db_get_int(res, 1, 0, "attempt");
		ask_scheduler(s, db_get(res, 1, 0, "url"));
	}
}

void stop_job(struct node *n, const char *job_id, const char *actor, stop_cb *cb, void *arg)
{
	struct stop *s = mem_zalloc(sizeof(*s));
	struct db_batch *b;
	struct err e;

	s->node = n;
	s->cb = cb;
	s->arg = arg;
	if (!str_copy(s->job_id, sizeof(s->job_id), job_id)) {
		(void)err_set(&e, ERR_JOB_NOT_FOUND, "No found job: job_id[%s...]", s->job_id);
		finish(s, &e);
		return;
	}
	b = db_batch_new(n->db);
	db_add(b, Q_API_JOB_STOP);
	db_text(b, s->job_id);
	db_text(b, actor);
	db_null(b);
	db_add(b, Q_API_JOB_SCHEDULER);
	db_text(b, s->job_id);
	db_submit(b, on_stop, s);
}
