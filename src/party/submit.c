#include "party/submit.h"

#include "auth/request.h"
#include "base/clock.h"
#include "base/js.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/catalog.h"
#include "party/create.h"
#include "party/peer.h"
#include "party/permit.h"
#include "party/submit_doc.h"
#include "party/submit_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/time.h>
#include <time.h>

#define POLL_FIRST_MS      20
#define POLL_MAX_MS        100
#define CREATE_SLACK_MS    20000 /* the scheduler gives up first, and says why */
#define LOST_WAIT_MS       500
#define WRITE_TRIES        5
#define HAND_OVER_SLACK_MS 10000

struct submit {
	struct node *node;
	submit_cb *cb;
	void *arg;
	char *user_name;
	char *key;
	char *actor;
	bool plan;
	json_t *plan_answer;
	bool as_scheduler;
	struct dag *dag;
	json_t *providers;
	json_t *routes;
	char job_id[65];
	char model_id[101];
	char model_version[16];
	int writes;
	bool lost; /* a write whose outcome is not known: the job may exist */
	int64_t deadline_ms;
	int wait_ms;
	struct event *timer;
};

static void submit_free(struct submit *s)
{
	if (s->timer != NULL)
		event_free(s->timer);
	dag_free(s->dag);
	json_decref(s->providers);
	json_decref(s->routes);
	json_decref(s->plan_answer);
	free(s->user_name);
	free(s->key);
	free(s->actor);
	free(s);
}

static void finish(struct submit *s, json_t *answer)
{
	s->cb(answer, s->arg);
	submit_free(s);
}

static void fail(struct submit *s, const struct err *e)
{
	finish(s, node_envelope(e->code, e->msg, NULL));
}

/* With job id and model: the job exists, whatever became of it. */
static json_t *job_envelope(const struct submit *s, enum err_code code, const char *message)
{
	json_t *v = node_envelope(
	    code, message,
	    json_pack("{s:s, s:s}", "model_id", s->model_id, "model_version", s->model_version));

	json_object_set_new(v, "job_id", json_string(s->job_id));
	return v;
}

static void finish_job(struct submit *s, enum err_code code, const char *message)
{
	finish(s, job_envelope(s, code, message));
}

static void log_made(const struct submit *s)
{
	const struct log_ctx ctx = {.job_id = s->job_id, .attempt = -1};

	log_info(&ctx, "submitted by %s: %zu tasks, %zu parties, initiator %s", s->actor,
		 s->dag->n_tasks, s->dag->n_parties, s->dag->initiator_party_id);
}

/* Database trouble as a client may see it. */
static void fail_db(struct submit *s, const struct err *e)
{
	if (e->code != ERR_DB) {
		fail(s, e);
		return;
	}
	log_error(LOG_CTX_NONE, "submit: %s", e->msg);
	struct err shown;
	(void)err_set(&shown, ERR_JOB_CREATE,
		      "the database refused the job; the server log has the details");
	fail(s, &shown);
}

/* Whether the statement was only too slow, or in the way of others, all tries long. Then nothing
 * was written. */
static bool had_no_time(const char *sqlstate)
{
	static const char *const states[] = {"57014", "55P03", "40001", "40P01"};

	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		if (strcmp(sqlstate, states[i]) == 0)
			return true;
	}
	return false;
}

/* Local time to the microsecond and four random digits: the form that clients of FATE know. */
static void make_job_id(char *out, size_t size)
{
	struct timeval now;
	struct tm tm;
	unsigned random = 0;
	char text[32];

	gettimeofday(&now, NULL);
	localtime_r(&now.tv_sec, &tm);
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		random = (unsigned)clock_mono_us();
	strftime(text, sizeof(text), "%Y%m%d%H%M%S", &tm);
	snprintf(out, size, "%s%06ld%04u", text, (long)now.tv_usec, random % 10000);
}

/* ---- waiting for the parties ---- */

static void ask_state(struct submit *s);

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	ask_state(arg);
}

static void ask_later(struct submit *s, int ms)
{
	const struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	if (s->timer == NULL)
		s->timer = evtimer_new(s->node->base, on_timer, s);
	evtimer_add(s->timer, &tv);
}

static void write_job(struct submit *s);

static void on_state(struct db_result *res, void *arg)
{
	struct submit *s = arg;
	bool late = clock_mono_ms() > s->deadline_ms;
	struct err e;

	if (db_error(res) != NULL || db_rows(res, 0) == 0) {
		if (db_error(res) == NULL && s->lost && s->writes < WRITE_TRIES) {
			write_job(s); /* it was not written after all */
			return;
		}
		if (db_error(res) == NULL || late) {
			(void)err_set(&e, ERR_JOB_CREATE,
				      "job %s: the database does not answer for it%s%s", s->job_id,
				      db_error(res) != NULL ? ": " : "",
				      db_error(res) != NULL ? db_error(res)->msg : "");
			fail(s, &e);
			return;
		}
		ask_later(s, LOST_WAIT_MS);
		return;
	}
	str_copy(s->model_id, sizeof(s->model_id), db_get(res, 0, 0, "model_id"));
	str_copy(s->model_version, sizeof(s->model_version), db_get(res, 0, 0, "model_version"));
	if (strcmp(db_get(res, 0, 0, "reason_code"), "party_refused") == 0) {
		(void)err_set(&e, ERR_JOB_CREATE, "Create job failed: %s",
			      db_get(res, 0, 0, "reason"));
		finish_job(s, ERR_JOB_CREATE, e.msg);
	} else if (strcmp(db_get(res, 0, 0, "status"), "ready") != 0) {
		finish_job(s, ERR_OK, "success");
	} else if (late) {
		finish_job(s, ERR_JOB_CREATE,
			   "Create job failed: not every party has answered in time "
			   "(jobs.create_timeout_s); "
			   "the job is still being tried");
	} else {
		ask_later(s, s->wait_ms);
		s->wait_ms = s->wait_ms * 3 / 2 > POLL_MAX_MS ? POLL_MAX_MS : s->wait_ms * 3 / 2;
	}
}

static void ask_state(struct submit *s)
{
	struct db_batch *b = db_batch_new(s->node->db);

	db_add(b, Q_API_SUBMIT_STATE);
	db_text(b, s->job_id);
	db_submit(b, on_state, s);
}

/* ---- the write ---- */

static void on_written(struct db_result *res, void *arg)
{
	struct submit *s = arg;
	const struct err *e = db_error(res);

	if (e != NULL) {
		if (e->code == ERR_DB_LOST && s->writes < WRITE_TRIES) {
			s->lost = true;
			ask_later(s, LOST_WAIT_MS);
		} else if (strcmp(db_sqlstate(res), "23505") == 0 && s->lost) {
			ask_state(s); /* the write that seemed lost has come through */
		} else if (strcmp(db_sqlstate(res), "23505") == 0 && s->writes < WRITE_TRIES) {
			/* Somebody used the same idempotency key, or the same id, in this very
			 * moment. */
			write_job(s);
		} else if (!s->lost && had_no_time(db_sqlstate(res))) {
			struct err busy;
			(void)err_set(&busy, ERR_DB_UNAVAILABLE,
				      "the database has too much to do to take the job now: %s",
				      e->msg);
			fail(s, &busy);
		} else {
			fail_db(s, e);
		}
		return;
	}
	bool is_new = db_get_bool(res, 0, 0, "o_new");
	str_copy(s->job_id, sizeof(s->job_id), db_get(res, 0, 0, "o_job_id"));
	if (is_new) {
		node_wake(s->node, WAKE_SCHED);
		if (!submit_all_local(s->node, s->dag))
			node_wake(s->node, WAKE_OUTBOX);
	}
	if (is_new && strcmp(db_get(res, 0, 0, "o_status"), "ready") != 0) {
		str_copy(s->model_id, sizeof(s->model_id), party_model_id(s->dag, s->job_id));
		str_copy(s->model_version, sizeof(s->model_version), party_model_version(s->dag));
		s->cb(job_envelope(s, ERR_OK, "success"), s->arg);
		/* Behind the answer: this makes the job's directory of logs. */
		log_made(s);
		submit_free(s);
		return;
	}
	if (is_new)
		log_made(s);
	ask_state(s);
}

static void on_plan_state(struct db_result *res, void *arg)
{
	struct submit *s = arg;

	if (db_error(res) != NULL) {
		fail_db(s, db_error(res));
		return;
	}
	submit_plan_waits(s->plan_answer, res);
	finish(s, node_envelope(ERR_OK, "success", json_incref(s->plan_answer)));
}

/* What other parties' jobs use here must be granted to them. */
static bool add_permits(const struct submit *s, struct db_batch *b, struct err *e)
{
	struct dag_defaults def = party_dag_defaults(s->node->conf);

	for (size_t i = 0; s->node->conf->auth_permission && i < s->dag->n_parties; i++) {
		if (!node_serves(s->node, s->dag->parties[i].id))
			continue;
		json_t *payload = party_create_payload(s->dag, (int)i, s->job_id, &def, e);
		if (payload == NULL)
			return false;
		permit_add(s->node, b, payload);
		json_decref(payload);
	}
	return true;
}

static void write_job(struct submit *s)
{
	struct err e;

	s->writes++;
	if (!s->lost)
		make_job_id(s->job_id, sizeof(s->job_id));
	struct submit_doc doc = {.node = s->node,
				 .dag = s->dag,
				 .providers = s->providers,
				 .routes = s->routes,
				 .job_id = s->job_id,
				 .user_name = s->user_name,
				 .key = s->key,
				 .actor = s->actor};
	if (!submit_doc_prepare(&doc, &e)) {
		submit_doc_free(&doc);
		fail(s, &e);
		return;
	}
	if (s->plan) {
		s->plan_answer = submit_plan(&doc);
		submit_doc_free(&doc);
		struct db_batch *q = db_batch_new(s->node->db);
		db_add(q, Q_API_PLAN_STATE);
		db_text(q, s->node->conf->engine);
		db_submit(q, on_plan_state, s);
		return;
	}
	const json_t *inherit = js_get(s->dag->root, "dag.conf.inheritance");
	s->deadline_ms = clock_mono_ms() + s->node->conf->create_timeout_s * 1000 + CREATE_SLACK_MS;
	s->wait_ms = POLL_FIRST_MS;
	struct db_batch *b = db_batch_new(s->node->db);
	submit_doc_bind(&doc, b);
	submit_doc_free(&doc);
	if (inherit != NULL) {
		db_add(b, Q_API_JOB_INHERIT);
		db_text(b, s->job_id);
		db_json(b, inherit);
	}
	if (!add_permits(s, b, &e)) {
		db_batch_free(b);
		fail(s, &e);
		return;
	}
	db_submit(b, on_written, s);
}

/* ---- handing the job to the site of its scheduler ---- */

static void on_handed(const struct http_response *res, void *arg)
{
	struct submit *s = arg;
	enum err_code code;
	char text[ERR_MSG_MAX - 128];
	struct err e;

	if (!peer_answer(res, &code, text, sizeof(text))) {
		(void)err_set(&e, ERR_FEDERATED,
			      "Federated schedule error, the scheduler's site (party %s) did not "
			      "take the job: %s",
			      s->dag->scheduler_party_id, text);
		fail(s, &e);
		return;
	}
	finish(s, json_deep_copy(res->json));
}

static void hand_over(struct submit *s)
{
	const char *to = s->dag->scheduler_party_id;
	const char *url = js_str(s->routes, to, NULL);
	struct err e;

	if (s->node->tls == NULL || url == NULL) {
		(void)err_set(&e, ERR_JOB_PARAMS,
			      "dag.conf.scheduler_party_id: party %s is not served by this site "
			      "and there is no "
			      "route to it; add one with `norn site add %s https://HOST:PORT`",
			      to, to);
		fail(s, &e);
		return;
	}
	json_t *body = json_pack("{s:O, s:O, s:s}", "dag", json_object_get(s->dag->root, "dag"),
				 "schema_version", json_object_get(s->dag->root, "schema_version"),
				 "kind", js_str(s->dag->root, "kind", "fate"));
	if (s->user_name != NULL)
		json_object_set_new(body, "user_name", json_string(s->user_name));
	if (s->key != NULL)
		json_object_set_new(body, "idempotency_key", json_string(s->key));
	if (s->plan)
		json_object_set_new(body, "plan", json_true());
	char *text = js_dump_str(body);
	const struct peer_call call = {
	    .dest_party = to,
	    .src_party = s->dag->initiator_party_id,
	    .url = url,
	    .path = "/v2/scheduler/job/create",
	    .key = s->key,
	    .timeout_ms =
		(int)s->node->conf->create_timeout_s * 1000 + CREATE_SLACK_MS + HAND_OVER_SLACK_MS,
	};
	peer_post(s->node, &call, text, strlen(text), NULL, on_handed, s);
	free(text);
	json_decref(body);
}

/* ---- what must be known first ---- */

static void on_routes(struct db_result *res, void *arg)
{
	struct submit *s = arg;

	if (db_error(res) != NULL) {
		fail_db(s, db_error(res));
		return;
	}
	s->routes = json_object();
	for (int i = 0; i < db_rows(res, 0); i++)
		json_object_set_new(s->routes, db_get(res, 0, i, "party_id"),
				    json_string(db_get(res, 0, i, "url")));
	if (node_serves(s->node, s->dag->scheduler_party_id))
		write_job(s);
	else
		hand_over(s);
}

static void load_routes(struct submit *s)
{
	struct db_batch *b = db_batch_new(s->node->db);

	db_add(b, Q_API_ROUTES);
	db_submit(b, on_routes, s);
}

static void on_catalog(json_t *providers, const struct err *e, void *arg)
{
	struct submit *s = arg;

	if (providers == NULL) {
		fail_db(s, e);
		return;
	}
	s->providers = json_incref(providers);
	if (submit_all_local(s->node, s->dag))
		write_job(s);
	else
		load_routes(s);
}

/* The initiator is whoever takes the job from a client: one of this site's parties. */
static void set_initiator(const struct submit *s, json_t *root)
{
	json_t *dag = json_object_get(root, "dag");
	json_t *conf = json_object_get(dag, "conf");
	const char *given = js_str(conf, "initiator_party_id", NULL);

	if (!json_is_object(dag) || (conf != NULL && !json_is_object(conf) && !json_is_null(conf)))
		return; /* dag_compile says what is wrong */
	if (given != NULL && node_serves(s->node, given) && !str_eq(given, "0"))
		return;
	if (!json_is_object(conf)) {
		conf = json_object();
		json_object_set_new(dag, "conf", conf);
	}
	json_object_set_new(conf, "initiator_party_id",
			    json_string(node_conf_own_party(s->node->conf)));
}

void submit_job(struct node *n, json_t *root, const struct submit_opts *opts, submit_cb *cb,
		void *arg)
{
	struct submit *s = mem_zalloc(sizeof(*s));
	struct dag_defaults def = party_dag_defaults(n->conf);
	struct err e = {0};

	s->node = n;
	s->cb = cb;
	s->arg = arg;
	s->user_name = mem_strdup(opts->user_name);
	s->key = mem_strdup(opts->idempotency_key);
	s->actor = mem_strdup(opts->actor != NULL ? opts->actor : "client");
	s->plan = opts->plan;
	s->as_scheduler = opts->as_scheduler;
	if (s->key != NULL && !str_is_name(s->key, 64)) {
		(void)err_set(
		    &e, ERR_API_PARAMETER,
		    "idempotency_key: 1 to 64 letters, digits, '_', '.' and '-' are allowed");
		fail(s, &e);
		return;
	}
	if (!s->as_scheduler)
		set_initiator(s, root);
	s->dag = dag_compile_own(json_incref(root), &def, &e);
	if (s->dag == NULL) {
		fail(s, &e);
	} else if (node_serves(n, s->dag->scheduler_party_id)) {
		catalog_get(n, on_catalog, s);
	} else if (s->as_scheduler) {
		(void)err_set(&e, ERR_JOB_PARAMS,
			      "dag.conf.scheduler_party_id: party %s is not served by this site",
			      s->dag->scheduler_party_id);
		fail(s, &e);
	} else {
		load_routes(s);
	}
}

/* ---- the other end of handing over ---- */

static void on_scheduled(json_t *answer, void *arg)
{
	http_reply_json(arg, 200, answer);
}

static const struct param submit_handle_scheduler_create_params[] = {
    {"dag", P_DICT, true, NULL},
    {"schema_version", P_STR, true, NULL},
    {"kind", P_STR, false, "\"fate\""},
    {"user_name", P_STR, false, NULL},
    {"idempotency_key", P_STR, false, NULL},
    {"plan", P_BOOL, false, "false"},
};
const struct http_doc submit_scheduler_doc = {TAKES_JSON(submit_handle_scheduler_create_params),
					      .data = "{model_id:string model_version:string}|Plan",
					      .has_job_id = true};

void submit_handle_scheduler_create(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	const char *initiator = js_str(js_get(p, "dag.conf"), "initiator_party_id", NULL);
	if (initiator == NULL) {
		reply_code(r, ERR_JOB_PARAMS, "dag.conf.initiator_party_id: missing");
	} else if (request_speaks_for(r, initiator)) {
		char *actor = mem_printf("party %s", initiator);
		json_t *root = json_pack("{s:O, s:O, s:O}", "dag", json_object_get(p, "dag"),
					 "schema_version", json_object_get(p, "schema_version"),
					 "kind", json_object_get(p, "kind"));
		const struct submit_opts opts = {
		    .user_name = js_str(p, "user_name", NULL),
		    .idempotency_key = js_str(p, "idempotency_key", NULL),
		    .actor = actor,
		    .plan = js_bool(p, "plan", false),
		    .as_scheduler = true,
		};
		submit_job(request_node(r), root, &opts, on_scheduled, r);
		json_decref(root);
		free(actor);
	}
	json_decref(p);
}
