#include "party/control.h"

#include "auth/request.h"
#include "base/js.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "dag/dag.h"
#include "party/catalog.h"
#include "party/create.h"
#include "party/partner.h"
#include "party/permit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct control {
	struct node *node;
	control_cb *cb;
	void *arg;
	enum control_what what;
	char job_id[65];
	char *actor;
	char *from;
	bool all;
	json_t *parameters;
	json_t *root;  /* the definition with the new parameters */
	json_t *parts; /* what this site's parties make of it */
	char initiator[51];
	struct http_req *peer; /* asked by another site: its certificate must name the initiator */
};

static void control_free(struct control *c)
{
	free(c->actor);
	free(c->from);
	json_decref(c->parameters);
	json_decref(c->root);
	json_decref(c->parts);
	free(c);
}

static void finish(struct control *c, json_t *answer)
{
	c->cb(answer, c->arg);
	control_free(c);
}

static void fail(struct control *c, const struct err *e)
{
	finish(c, node_envelope(e->code, e->msg, NULL));
}

/* ---- the last step: the database carries it out ---- */

static void on_done(struct db_result *res, void *arg)
{
	struct control *c = arg;
	const struct log_ctx ctx = {.job_id = c->job_id, .attempt = -1};
	json_t *data = NULL;

	if (db_error(res) != NULL) {
		fail(c, db_error(res));
		return;
	}
	if (c->what == CONTROL_RERUN) {
		int64_t n = db_get_int(res, 0, 0, "n");
		log_info(&ctx, "rerun of %lld tasks by %s", (long long)n, c->actor);
		data = json_pack("{s:I}", "tasks", (json_int_t)n);
	} else {
		data = json_pack("{s:s}", "status", db_get(res, 0, 0, "o_status"));
	}
	node_wake(c->node, WAKE_SCHED);
	node_wake(c->node, WAKE_OUTBOX);
	finish(c, node_envelope(ERR_OK, "success", data));
}

static void rerun(struct control *c, const json_t *local)
{
	struct db_batch *b = db_batch_new(c->node->db);

	db_add(b, Q_JOB_RERUN);
	db_text(b, c->job_id);
	db_bool(b, c->all);
	db_text(b, c->from);
	db_text(b, c->actor);
	db_json(b, c->root);
	db_json(b, local);
	size_t i;
	json_t *part;
	json_array_foreach (c->parts, i, part)
		permit_add(c->node, b, part);
	db_submit(b, on_done, c);
}

/* ---- other parameters ---- */

/* Lays the new parameters over those of the definition; in party_tasks too where a party has its
 * own value. */
static bool lay_over(struct control *c, struct err *e)
{
	json_t *tasks = js_get(c->root, "dag.tasks");
	json_t *sites = js_get(c->root, "dag.party_tasks");
	const char *task;
	json_t *params;

	json_object_foreach (c->parameters, task, params) {
		json_t *t = json_object_get(tasks, task);
		if (t == NULL || !json_is_object(params))
			return err_set(
			    e, ERR_JOB_PARAMS,
			    t == NULL ? "parameters.%s: the job has no such task"
				      : "parameters.%s: an object {parameter: value} is needed",
			    task);
		if (!json_is_object(json_object_get(t, "parameters")))
			json_object_set_new(t, "parameters", json_object());
		json_object_update(json_object_get(t, "parameters"), params);
		const char *site;
		json_t *s;
		json_object_foreach (sites, site, s) {
			json_t *own = json_object_get(
			    json_object_get(json_object_get(s, "tasks"), task), "parameters");
			if (json_is_object(own))
				json_object_update_existing(own, params);
		}
	}
	return true;
}

static json_t *local_tasks(struct control *c, json_t *providers, struct err *e)
{
	struct dag_defaults def = party_dag_defaults(c->node->conf);
	struct dag *d = dag_compile(c->root, &def, e);
	json_t *all = json_object();
	bool ok = d != NULL;

	c->parts = json_array();

	for (size_t i = 0; ok && i < d->n_parties; i++) {
		if (!node_serves(c->node, d->parties[i].id))
			continue;
		json_t *payload = party_create_payload(d, (int)i, c->job_id, &def, e);
		ok = payload != NULL && party_create_settle(payload, c->node->conf, providers, e);
		if (ok) {
			char no[24];
			snprintf(no, sizeof(no), "%zu", i);
			json_object_set(all, no, json_object_get(payload, "tasks"));
			json_array_append(c->parts, payload);
		}
		json_decref(payload);
	}
	dag_free(d);
	if (!ok) {
		json_decref(all);
		return NULL;
	}
	return all;
}

static void on_catalog(json_t *providers, const struct err *why, void *arg)
{
	struct control *c = arg;
	struct err e = {0};
	json_t *local = NULL;

	if (providers == NULL) {
		fail(c, why);
		return;
	}
	if (!lay_over(c, &e) || (local = local_tasks(c, providers, &e)) == NULL) {
		fail(c, &e);
		return;
	}
	rerun(c, local);
	json_decref(local);
}

/* ---- the first step: whose job is it ---- */

static void on_found(struct db_result *res, void *arg)
{
	struct control *c = arg;
	struct db_batch *b;

	if (db_error(res) != NULL) {
		fail(c, db_error(res));
		return;
	}
	if (db_rows(res, 0) == 0) {
		finish(c, NULL);
		return;
	}
	if (c->peer != NULL) {
		const struct tls_identity *id = http_req_identity(c->peer);
		const char *initiator = db_get(res, 0, 0, "initiator_party_id");
		if (id == NULL || !tls_identity_has(id, initiator)) {
			struct err e;
			err_set(&e, ERR_API_PERMISSION,
				"No Permission: only the initiator of the job (party %s) may ask "
				"for that",
				initiator);
			fail(c, &e);
			return;
		}
	}
	if (c->what != CONTROL_RERUN) {
		b = db_batch_new(c->node->db);
		db_add(b, Q_JOB_SUSPEND);
		db_text(b, c->job_id);
		db_bool(b, c->what == CONTROL_SUSPEND);
		db_text(b, c->actor);
		db_submit(b, on_done, c);
	} else if (json_object_size(c->parameters) == 0) {
		rerun(c, NULL);
	} else {
		c->root = db_get_json(res, 0, 0, "dag");
		catalog_get(c->node, on_catalog, c);
	}
}

static void start(struct node *n, const struct control_opts *o, struct http_req *peer,
		  control_cb *cb, void *arg)
{
	struct control *c = mem_zalloc(sizeof(*c));
	struct db_batch *b;

	c->node = n;
	c->cb = cb;
	c->arg = arg;
	c->what = o->what;
	c->all = o->all;
	c->actor = mem_strdup(o->actor);
	c->from = mem_strdup(o->from);
	c->parameters = o->parameters == NULL ? NULL : json_deep_copy(o->parameters);
	c->peer = peer;
	if (!str_copy(c->job_id, sizeof(c->job_id), o->job_id)) {
		struct err e;
		err_set(&e, ERR_JOB_NOT_FOUND, "No found job: job_id[%s...]", c->job_id);
		fail(c, &e);
		return;
	}
	b = db_batch_new(n->db);
	db_add(b, Q_JOB_CONTROL_FIND);
	db_text(b, c->job_id);
	db_submit(b, on_found, c);
}

void control_job(struct node *n, const struct control_opts *opts, control_cb *cb, void *arg)
{
	start(n, opts, NULL, cb, arg);
}

/* ---- asked by another site ---- */

static void on_peer_answer(json_t *answer, void *arg)
{
	struct http_req *r = arg;

	if (answer == NULL)
		reply_code(r, ERR_JOB_NOT_FOUND, "No found job: this site does not schedule it");
	else
		http_reply_json(r, 200, answer);
}

static const struct param control_handle_scheduler_params[] = {{"job_id", P_STR, true, NULL},
							       {"all", P_BOOL, false, "false"},
							       {"from", P_STR, false, NULL},
							       {"parameters", P_DICT, false, NULL}};
const struct http_doc control_scheduler_doc = {TAKES_JSON(control_handle_scheduler_params),
					       .data = "{tasks?:integer status?:string}"};

void control_handle_scheduler(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	const char *path = http_req_path(r);
	const struct control_opts o = {
	    .what = str_ends(path, "/rerun")     ? CONTROL_RERUN
		    : str_ends(path, "/suspend") ? CONTROL_SUSPEND
						 : CONTROL_RESUME,
	    .job_id = js_str(p, "job_id", ""),
	    .actor = "initiator",
	    .all = js_bool(p, "all", false),
	    .from = js_str(p, "from", NULL),
	    .parameters = json_object_get(p, "parameters"),
	};
	start(request_node(r), &o, r, on_peer_answer, r);
	json_decref(p);
}

/* ---- a party runs it again ---- */

struct again {
	struct http_req *r;
	json_t *p;
	json_t *part; /* the party's part of the new definition; NULL: the old one stays */
};

static void again_free(struct again *a)
{
	json_decref(a->p);
	json_decref(a->part);
	free(a);
}

static void on_again(struct db_result *res, void *arg)
{
	struct again *a = arg;

	if (db_error(res) != NULL)
		reply_db_err(a->r, res);
	else
		reply_ok(a->r, NULL);
	again_free(a);
}

static void run_again(struct again *a)
{
	struct db_batch *b = db_batch_new(request_node(a->r)->db);

	partner_add_message(a->r, a->p, b);
	db_add(b, Q_PARTY_JOB_RERUN);
	db_json(b, a->p);
	if (a->part != NULL)
		permit_add(request_node(a->r), b, a->part);
	db_submit(b, on_again, a);
}

/* The rows of the new attempts, from the new definition: only of tasks in "attempts". */
static bool add_tasks(struct again *a, json_t *providers, struct err *e)
{
	struct node *n = request_node(a->r);
	struct dag_defaults def = party_dag_defaults(n->conf);
	json_t *attempts = json_object_get(a->p, "attempts");
	struct dag *d = dag_compile(json_object_get(a->p, "dag"), &def, e);
	enum dag_role role = ROLE_LOCAL;
	json_t *payload = NULL;
	json_t *tasks;
	size_t i;
	json_t *t;

	if (d == NULL)
		return false;
	int party = dag_role_parse(js_str(a->p, "role", ""), &role)
			? dag_find_party(d, role, js_str(a->p, "party_id", ""))
			: -1;
	if (party >= 0)
		payload = party_create_payload(d, party, js_str(a->p, "job_id", ""), &def, e);
	else
		err_set(e, ERR_JOB_CREATE, "this party is not in the new definition");
	dag_free(d);
	if (payload == NULL)
		return false;
	if (!party_create_settle(payload, n->conf, providers, e)) {
		json_decref(payload);
		return false;
	}
	tasks = json_array();
	json_array_foreach (json_object_get(payload, "tasks"), i, t) {
		json_t *attempt = json_object_get(attempts, js_str(t, "task_name", ""));
		if (!json_is_integer(attempt))
			continue;
		json_object_set(t, "attempt", attempt);
		json_array_append(tasks, t);
	}
	json_object_set_new(a->p, "tasks", tasks);
	a->part = payload;
	return true;
}

static void on_again_catalog(json_t *providers, const struct err *why, void *arg)
{
	struct again *a = arg;
	struct err e = {0};

	if (providers == NULL || !add_tasks(a, providers, &e)) {
		reply_err(a->r, providers == NULL ? why : &e);
		again_free(a);
		return;
	}
	run_again(a);
}

static void on_again_scheduler(struct db_result *res, void *arg)
{
	struct again *a = arg;

	if (db_error(res) != NULL) {
		reply_db_err(a->r, res);
	} else if (db_rows(res, 0) == 0) {
		reply_code(a->r, ERR_JOB_NOT_FOUND,
			   "No found job: job_id[%s],role[%s],party_id[%s]",
			   js_str(a->p, "job_id", ""), js_str(a->p, "role", ""),
			   js_str(a->p, "party_id", ""));
	} else if (request_speaks_for(a->r, db_get(res, 0, 0, "scheduler_party_id"))) {
		if (json_object_get(a->p, "dag") != NULL)
			catalog_get(request_node(a->r), on_again_catalog, a);
		else
			run_again(a);
		return;
	}
	again_free(a);
}

static const struct param control_handle_partner_rerun_params[] = {
    {"job_id", P_STR, true, NULL},   {"role", P_STR, true, NULL},
    {"party_id", P_STR, true, NULL}, {"attempt", P_INT, true, NULL},
    {"dag", P_DICT, false, NULL},    {"attempts", P_DICT, false, NULL}};
const struct http_doc control_rerun_doc = {TAKES_JSON(control_handle_partner_rerun_params),
					   .header = "X-Norn-Key"};

void control_handle_partner_rerun(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);
	struct again *a;
	struct db_batch *b;

	if (p == NULL)
		return;
	a = mem_zalloc(sizeof(*a));
	a->r = r;
	a->p = p;
	b = db_batch_new(request_node(r)->db);
	db_add(b, Q_PARTY_SCHEDULER);
	db_text(b, js_str(p, "job_id", ""));
	db_text(b, js_str(p, "role", ""));
	db_text(b, js_str(p, "party_id", ""));
	db_submit(b, on_again_scheduler, a);
}
