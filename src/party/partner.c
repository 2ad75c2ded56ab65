#include "config.h"

#include "party/partner.h"

#include "auth/request.h"
#include "base/clock.h"
#include "base/js.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "dag/dag.h"
#include "party/catalog.h"
#include "party/channel.h"
#include "party/control.h"
#include "party/create.h"
#include "party/group.h"
#include "party/peer.h"
#include "party/permit.h"
#include "plan/status.h"

#include <stdlib.h>
#include <string.h>

#define J3                                                                                         \
	{"job_id", P_STR, true, NULL}, {"role", P_STR, true, NULL},                                \
	{                                                                                          \
		"party_id", P_STR, true, NULL                                                      \
	}
#define T5                                                                                         \
	J3, {"task_id", P_STR, true, NULL},                                                        \
	{                                                                                          \
		"task_version", P_INT, true, NULL, 0, INT32_MAX                                    \
	}

static const struct param j3[] = {J3};
static const struct param reserve_params[] = {J3, {"ttl_ms", P_INT, false, "60000", 0, INT32_MAX}};
static const struct param t5[] = {T5};
static const struct param task_stop_params[] = {
    T5, {"status", P_STR, false, "\"failed\""}, {"progress", P_INT, false, "0", 0, 100}};
static const struct param task_status_params[] = {
    T5, {"status", P_STR, true, NULL}, {"progress", P_INT, false, "0", 0, 100}};
static const struct param task_rerun_params[] = {T5,
						 {"new_version", P_INT, true, NULL, 0, INT32_MAX}};
static const struct param progress_params[] = {J3, {"progress", P_FLOAT, true, NULL}};
static const struct param job_status_params[] = {J3,
						 {"status", P_STR, true, NULL},
						 {"progress", P_INT, false, "0", 0, 100},
						 {"reason_code", P_STR, false, NULL},
						 {"reason", P_STR, false, NULL},
						 {"first_failure", P_DICT, false, NULL}};
static const struct param job_stop_params[] = {J3, {"status", P_STR, false, "\"failed\""}};

struct request;

struct command {
	const char *path;
	bool unknown_is_ok; /* a job that was never created here has nothing to stop */
	bool wakes_exec;
	void (*add)(struct request *q, struct db_batch *b);
	void (*reply)(struct request *q, const struct db_result *res);
};

struct request {
	struct http_req *r;
	const struct command *cmd;
	json_t *p;
	char task_name[51];
};

static const char *text(const struct request *q, const char *key)
{
	return js_str(q->p, key, NULL);
}

static void bind_j3(struct request *q, struct db_batch *b)
{
	db_text(b, text(q, "job_id"));
	db_text(b, text(q, "role"));
	db_text(b, text(q, "party_id"));
}

/* The batch of a command: the number of its message first, then what it is about. */
enum { A_MESSAGE, A_COMMAND, A_STATE };

/* job_id, task_name, attempt, role, party_id */
static void bind_task(struct request *q, struct db_batch *b)
{
	db_text(b, text(q, "job_id"));
	db_text(b, q->task_name);
	db_int(b, js_int(q->p, "task_version", 0));
	db_text(b, text(q, "role"));
	db_text(b, text(q, "party_id"));
}

static void request_free(struct request *q)
{
	json_decref(q->p);
	free(q);
}

/* ---- the commands ---- */

static void add_reserve(struct request *q, struct db_batch *b)
{
	db_add(b, Q_PARTY_RESERVE);
	bind_j3(q, b);
	db_int(b, js_int(q->p, "ttl_ms", 60000));
}

static void reply_reserve(struct request *q, const struct db_result *res)
{
	const char *result = db_get(res, A_COMMAND, 0, "result");
	const char *detail = db_get(res, A_COMMAND, 0, "detail");

	if (strcmp(result, "granted") == 0)
		reply_ok(q->r, NULL);
	else if (strcmp(result, "never") == 0)
		reply_code(q->r, ERR_JOB_RESOURCE_LIMIT, "%s", detail);
	else
		reply_code(q->r, ERR_JOB_RESOURCE, "%s", detail);
}

static void add_return(struct request *q, struct db_batch *b)
{
	db_add(b, Q_PARTY_RELEASE);
	bind_j3(q, b);
}

static void add_start(struct request *q, struct db_batch *b)
{
	db_add(b, Q_PARTY_JOB_START);
	bind_j3(q, b);
}

static void reply_start(struct request *q, const struct db_result *res)
{
	if (db_get_bool(res, A_COMMAND, 0, "started"))
		reply_ok(q->r, NULL);
	else
		reply_code(q->r, ERR_JOB_UPDATE,
			   "Update job does not take effect: job_id[%s],status[running]",
			   text(q, "job_id"));
}

static void add_job_status(struct request *q, struct db_batch *b)
{
	db_add(b, Q_PARTY_JOB_FINISH);
	bind_j3(q, b);
	db_text(b, text(q, "status"));
	db_int(b, js_int(q->p, "progress", 0));
	db_text(b, text(q, "reason_code"));
	db_text(b, text(q, "reason"));
	db_json(b, json_object_get(q->p, "first_failure"));
}

static void add_progress(struct request *q, struct db_batch *b)
{
	double v = js_num(q->p, "progress", 0);

	db_add(b, Q_PARTY_PROGRESS);
	bind_j3(q, b);
	db_int(b, v < 0 ? 0 : v > 100 ? 100 : (int64_t)v);
}

static void add_task_start(struct request *q, struct db_batch *b)
{
	db_add(b, Q_PARTY_TASK_START);
	bind_task(q, b);
	db_add(b, Q_PARTY_TASK_STATE);
	bind_task(q, b);
}

static void reply_task_start(struct request *q, const struct db_result *res)
{
	/* A start that comes twice finds the task started: that is no refusal. */
	if (db_get_int(res, A_COMMAND, 0, "n") == 1 ||
	    strcmp(db_get(res, A_STATE, 0, "status"), "running") == 0)
		reply_ok(q->r, NULL);
	else
		reply_code(
		    q->r, ERR_TASK_START, "Start task failed: the job is %s here, the task %s",
		    db_get(res, A_STATE, 0, "job_status"),
		    db_is_null(res, A_STATE, 0, "status") ? "unknown"
							  : db_get(res, A_STATE, 0, "status"));
}

static void add_task_stop(struct request *q, struct db_batch *b)
{
	db_add(b, Q_PARTY_TASK_FINISH);
	bind_task(q, b);
	db_text(b, text(q, "status"));
	db_int(b, js_int(q->p, "progress", 0));
}

static void add_collect(struct request *q, struct db_batch *b)
{
	db_add(b, Q_PARTY_TASK_STATE);
	bind_task(q, b);
}

/* Cores are reserved for the job as a whole, so of a task there is only to say whether it is here.
 */
static void reply_task_cores(struct request *q, const struct db_result *res)
{
	if (!db_is_null(res, A_COMMAND, 0, "status"))
		reply_ok(q->r, NULL);
	else
		reply_code(q->r, ERR_TASK_RESOURCE,
			   "Task resource exception: "
			   "job_id[%s],role[%s],party_id[%s],task_id[%s],task_version[%lld],"
			   "detail[no such task]",
			   text(q, "job_id"), text(q, "role"), text(q, "party_id"),
			   text(q, "task_id"), (long long)js_int(q->p, "task_version", 0));
}

/* A task runs from its start on; any other status is its end. */
static void add_task_status(struct request *q, struct db_batch *b)
{
	if (!str_eq(text(q, "status"), "running"))
		add_task_stop(q, b);
	else
		add_collect(q, b);
	db_add(b, Q_PARTY_TASK_STATE);
	bind_task(q, b);
}

static void reply_task_status(struct request *q, const struct db_result *res)
{
	if (!db_is_null(res, A_STATE, 0, "status"))
		reply_ok(q->r, NULL);
	else
		reply_code(q->r, ERR_TASK_UPDATE,
			   "Update task status does not take effect: "
			   "role[%s],party_id[%s],task_id[%s],task_version[%lld],status[%s]",
			   text(q, "role"), text(q, "party_id"), text(q, "task_id"),
			   (long long)js_int(q->p, "task_version", 0), text(q, "status"));
}

static void add_task_rerun(struct request *q, struct db_batch *b)
{
	db_add(b, Q_PARTY_TASK_RERUN);
	bind_task(q, b);
	db_int(b, js_int(q->p, "new_version", 0));
}

static json_t *ms_or_null(const struct db_result *res, const char *col)
{
	return db_is_null(res, A_COMMAND, 0, col)
		   ? json_null()
		   : json_integer(db_get_int(res, A_COMMAND, 0, col));
}

static void reply_collect(struct request *q, const struct db_result *res)
{
	if (db_is_null(res, A_COMMAND, 0, "status")) {
		reply_code(q->r, ERR_TASK_NOT_FOUND, "No found task");
		return;
	}
	json_t *d = json_copy(q->p);
	json_object_set_new(d, "status", json_string(db_get(res, A_COMMAND, 0, "status")));
	json_object_set_new(d, "party_status",
			    json_string(db_get(res, A_COMMAND, 0, "party_status")));
	json_object_set_new(d, "start_time", ms_or_null(res, "start_ms"));
	json_object_set_new(d, "end_time", ms_or_null(res, "end_ms"));
	json_object_set_new(d, "update_time", ms_or_null(res, "update_ms"));
	reply_ok(q->r, d);
}

static const struct command commands[] = {
    {"/v2/partner/job/resource/apply", false, false, add_reserve, reply_reserve},
    {"/v2/partner/job/resource/return", true, false, add_return, NULL},
    {"/v2/partner/job/start", false, false, add_start, reply_start},
    {"/v2/partner/job/status/update", true, true, add_job_status, NULL},
    {"/v2/partner/job/update", false, false, add_progress, NULL},
    {"/v2/partner/job/stop", true, true, add_job_status, NULL},
    {"/v2/partner/task/start", false, true, add_task_start, reply_task_start},
    {"/v2/partner/task/stop", true, true, add_task_stop, NULL},
    {"/v2/partner/task/collect", false, false, add_collect, reply_collect},
    {"/v2/partner/task/resource/apply", false, false, add_collect, reply_task_cores},
    {"/v2/partner/task/resource/return", true, false, add_collect, reply_task_cores},
    {"/v2/partner/task/status/update", false, true, add_task_status, reply_task_status},
    {"/v2/partner/task/rerun", true, false, add_task_rerun, NULL},
};

/* ---- the common way of a command ---- */

void partner_bind_caller(struct http_req *r, struct db_batch *b)
{
	const struct tls_identity *id = http_req_identity(r);
	struct db_array parties = {0};

	for (size_t i = 0; id != NULL && i < id->n_parties; i++)
		db_array_text(&parties, id->parties[i]);
	db_array(b, &parties);
}

void partner_add_message(struct http_req *r, const json_t *p, struct db_batch *b)
{
	const char *key = http_req_header(r, "X-Norn-Key");
	int64_t no;

	db_add(b, Q_PARTY_MESSAGE);
	db_text(b, js_str(p, "job_id", NULL));
	db_text(b, js_str(p, "role", NULL));
	db_text(b, js_str(p, "party_id", NULL));
	if (key != NULL && str_to_i64(key, &no) && no > 0)
		db_int(b, no);
	else
		db_null(b); /* a FATE site */
	db_null(b);
	partner_bind_caller(r, b);
}

static void on_done(struct db_result *res, void *arg)
{
	struct request *q = arg;
	const struct log_ctx ctx = {.request_id = http_req_id(q->r), .attempt = -1};

	if (db_error(res) != NULL && db_error(res)->code == ERR_JOB_NOT_FOUND &&
	    q->cmd->unknown_is_ok) {
		reply_ok(q->r, NULL);
	} else if (db_error(res) != NULL) {
		if (db_error(res)->code == ERR_API_PERMISSION)
			log_warn(&ctx, "refused %s from %s: %s", q->cmd->path,
				 http_req_remote(q->r), db_error(res)->msg);
		reply_db_err(q->r, res);
	} else {
		if (q->cmd->wakes_exec)
			node_wake(request_node(q->r), WAKE_EXEC);
		if (q->cmd->reply != NULL)
			q->cmd->reply(q, res);
		else
			reply_ok(q->r, NULL);
	}
	request_free(q);
}

static bool split_task_id(struct request *q)
{
	const char *task_id = text(q, "task_id");
	const char *name;

	if (task_id == NULL)
		return true;
	name = peer_task_name(task_id, text(q, "job_id"));
	if (name == NULL || !str_copy(q->task_name, sizeof(q->task_name), name) ||
	    !str_is_name(q->task_name, sizeof(q->task_name) - 1)) {
		reply_code(q->r, ERR_API_PARAMETER,
			   "task_id: '%s' is not of the form <job_id>_<task name>", task_id);
		return false;
	}
	return true;
}

static bool status_fits(struct request *q)
{
	const char *s = text(q, "status");

	if (s == NULL || status_name_is_end(s) ||
	    (q->cmd->add == add_task_status && strcmp(s, "running") == 0))
		return true;
	reply_code(q->r, ERR_API_PARAMETER,
		   "status: '%s' is not an end status (success, failed, canceled, timeout, pass)",
		   s);
	return false;
}

static void handle_command(struct http_req *r, void *arg)
{
	const struct command *cmd = NULL;
	struct request *q;
	struct db_batch *b;
	json_t *p;

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].path, http_req_path(r)) == 0)
			cmd = &commands[i];
	}
	if (cmd == NULL) {
		reply_code(r, ERR_SERVER, "<NotFound '404: Not Found'>");
		return;
	}
	p = request_args(r);
	if (p == NULL)
		return;
	q = mem_zalloc(sizeof(*q));
	q->r = r;
	q->cmd = cmd;
	q->p = p;
	if (!split_task_id(q) || !status_fits(q)) {
		request_free(q);
		return;
	}
	b = db_batch_new(request_node(r)->db);
	partner_add_message(r, p, b);
	q->cmd->add(q, b);
	db_submit(b, on_done, q);
}

/* ---- a new job ---- */

static void on_created(struct db_result *res, void *arg)
{
	struct http_req *r = arg;

	if (db_error(res) != NULL) {
		reply_db_err(r, res);
		return;
	}
	reply_ok(r, NULL);
}

static json_t *root_of(json_t *p)
{
	json_t *dag = json_object_get(p, "dag");

	if (json_object_get(dag, "dag") != NULL)
		return json_incref(dag);
	return json_pack("{s:O, s:s, s:s}", "dag", dag, "schema_version",
			 js_str(p, "schema_version", ""), "kind", js_str(p, "kind", "fate"));
}

static json_t *create_payload(struct http_req *r, json_t *p)
{
	struct node *n = request_node(r);
	const char *role_text = js_str(p, "role", "");
	const char *party_id = js_str(p, "party_id", "");
	const char *job_id = js_str(p, "job_id", "");
	struct dag_defaults def = party_dag_defaults(n->conf);
	struct err e = {0};
	enum dag_role role;
	json_t *payload = NULL;
	json_t *root = root_of(p);
	struct dag *d = NULL;

	if (!str_is_name(job_id, 64))
		err_set(&e, ERR_JOB_CREATE, "job_id: '%s' is not a job id", job_id);
	else if (!dag_role_parse(role_text, &role))
		err_set(&e, ERR_JOB_CREATE, "role: '%s' is not guest, host, arbiter or local",
			role_text);
	else if (!node_serves(n, party_id) || str_eq(party_id, "0"))
		err_set(&e, ERR_JOB_CREATE, "party %s is not served by this site", party_id);
	else
		d = dag_compile(root, &def, &e);
	json_decref(root);
	if (d != NULL) {
		int party = dag_find_party(d, role, party_id);
		if (party < 0)
			err_set(&e, ERR_JOB_CREATE, "%s %s is not in dag.parties", role_text,
				party_id);
		else if (request_speaks_for(r, d->scheduler_party_id))
			payload = party_create_payload(d, party, job_id, &def, &e);
		else
			e.code = ERR_OK; /* answered */
		dag_free(d);
	} else if (e.code == ERR_OK) {
		err_set(&e, ERR_INTERNAL, "the job definition was refused");
	}
	if (payload == NULL && e.code != ERR_OK)
		reply_code(r, ERR_JOB_CREATE, "Create job failed: %s", e.msg);
	return payload;
}

struct creating {
	struct http_req *r;
	json_t *payload;
};

static void on_catalog(json_t *providers, const struct err *why, void *arg)
{
	struct creating *c = arg;
	struct node *n = request_node(c->r);
	struct err e = {0};

	if (providers == NULL) {
		reply_err(c->r, why);
	} else if (!party_create_settle(c->payload, n->conf, providers, &e)) {
		reply_code(c->r, ERR_JOB_CREATE, "Create job failed: %s", e.msg);
	} else {
		struct db_batch *b = db_batch_new(n->db);
		db_add(b, json_object_get(c->payload, "inherit") != NULL
			      ? Q_PARTY_JOB_CREATE_INHERIT
			      : Q_PARTY_JOB_CREATE);
		db_json(b, c->payload);
		permit_add(n, b, c->payload);
		db_submit(b, on_created, c->r);
	}
	json_decref(c->payload);
	free(c);
}

static const struct param handle_create_params[] = {{"dag", P_DICT, true, NULL},
						    {"schema_version", P_STR, true, NULL},
						    J3,
						    {"kind", P_STR, false, "\"fate\""},
						    {"user_name", P_STR, false, NULL}};

static void handle_create(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);
	json_t *payload;
	struct creating *c;

	if (p == NULL)
		return;
	payload = create_payload(r, p);
	if (payload != NULL) {
		if (js_str(p, "user_name", NULL) != NULL)
			json_object_set(payload, "user_name", json_object_get(p, "user_name"));
		c = mem_zalloc(sizeof(*c));
		c->r = r;
		c->payload = payload;
		catalog_get(request_node(r), on_catalog, c);
	}
	json_decref(p);
}

/* Who is there: used by `norn site check`. */
static void handle_ping(struct http_req *r, void *arg)
{
	const struct node *n = request_node(r);

	reply_ok(r, json_pack("{s:O, s:s, s:I, s:s}", "parties", n->conf->site_parties, "version",
			      PACKAGE_VERSION, "now_ms", (json_int_t)clock_wall_ms(), "site",
			      n->conf->site_name));
}

#define COMMAND(path, text, takes, answers)                                                        \
	{                                                                                          \
		"POST", path, handle_command, 0, 0, text,                                          \
		    DOC(TAKES_JSON(takes), .data = (answers), .header = "X-Norn-Key")              \
	}

const struct http_route partner_routes[] = {
    {"GET", "/v2/partner/ping", handle_ping, 0, 0, "Party ids, version and clock of this site",
     DOC(.data = "{parties:string[] version:string now_ms:integer site:string}")},
    {"POST", "/v2/partner/job/create", handle_create, 0, 64 << 20, "Create a job for one party",
     DOC(TAKES_JSON(handle_create_params))},
    {"POST", "/v2/partner/messages", group_handle, 0, GROUP_BODY_MAX,
     "Several of these messages in order", &group_doc},
    COMMAND("/v2/partner/job/resource/apply", "Reserve the job's cores and memory", reserve_params,
	    NULL),
    COMMAND("/v2/partner/job/resource/return", "Give them back", j3, NULL),
    COMMAND("/v2/partner/job/start", "The job runs", j3, NULL),
    COMMAND("/v2/partner/job/status/update", "The job is over", job_status_params, NULL),
    COMMAND("/v2/partner/job/update", "Progress of the job", progress_params, NULL),
    COMMAND("/v2/partner/job/stop", "Stop what still runs of the job", job_stop_params, NULL),
    {"POST", "/v2/partner/job/rerun", control_handle_partner_rerun, 0, 64 << 20,
     "The job runs once more", &control_rerun_doc},
    COMMAND("/v2/partner/task/start", "Start the party's process of a task", t5, NULL),
    COMMAND("/v2/partner/task/stop", "The task is over; stop what still runs", task_stop_params,
	    NULL),
    COMMAND("/v2/partner/task/collect", "Status of the party's process", t5, "object"),
    COMMAND("/v2/partner/task/resource/apply", "Whether the task may use the job's cores", t5,
	    NULL),
    COMMAND("/v2/partner/task/resource/return", "The task uses them no more", t5, NULL),
    COMMAND("/v2/partner/task/status/update", "Status of the task over all parties",
	    task_status_params, NULL),
    COMMAND("/v2/partner/task/rerun", "A new attempt of the task", task_rerun_params, NULL),
    {"POST", "/v2/partner/channel/push", channel_handle_peer_push, HTTP_RAW_BODY, CHANNEL_FRAME_MAX,
     "A frame for a running component", &channel_peer_push_doc},
};
const size_t partner_n_routes = ARRAY_LEN(partner_routes);
