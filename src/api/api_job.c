/* /v2/job: submit, query, list, stop, notes. */
#include "api/api.h"
#include "api/reply.h"

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "dag/dag.h"
#include "party/create.h"
#include "party/stop.h"
#include "party/submit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_JOB "No found job"
#define ORDER_BY                                                                                   \
	"job_id role party_id status user_name description create_time update_time start_time "    \
	"end_time progress elapsed"

/* ---- submit ---- */

static void on_submitted(json_t *answer, void *arg)
{
	struct http_req *r = arg;

	if (js_int(answer, "code", ERR_OK) != ERR_OK)
		json_object_set_new(answer, "request_id", json_string(http_req_id(r)));
	reply_retry_hint(r, (enum err_code)js_int(answer, "code", ERR_OK));
	http_reply_json(r, 200, answer);
}

static const struct param job_submit_params[] = {
    {"dag_schema", P_DICT, true, NULL},
    {"idempotency_key", P_STR, false, NULL},
    {"plan", P_BOOL, false, "false"},
};

static void job_submit(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	const char *user = http_req_header(r, "user_name");
	const struct submit_opts opts = {
	    .user_name = user != NULL && strlen(user) <= 500 && str_is_utf8(user, strlen(user))
			     ? user
			     : NULL,
	    .idempotency_key = js_str(p, "idempotency_key", NULL),
	    .plan = js_bool(p, "plan", false),
	};
	submit_job(request_node(r), json_object_get(p, "dag_schema"), &opts, on_submitted, r);
	json_decref(p);
}

/* ---- query and list ---- */

static void on_found(struct db_result *res, void *arg)
{
	struct http_req *r = arg;

	if (db_error(res) != NULL) {
		reply_db_err(r, res);
		return;
	}
	if (db_get_int(res, 0, 0, "n") == 0) {
		refuse(r, ERR_JOB_NOT_FOUND, NO_JOB);
		return;
	}
	struct db_batch *b = one_statement(r, Q_API_JOB_RECORDS);
	db_text(b, db_get(res, 0, 0, "nos"));
	db_null(b);
	pass_data(r, b, ERR_JOB_NOT_FOUND, NO_JOB);
}

static const struct param job_query_params[] = {
    {"job_id", P_STR, false, NULL},
    {"role", P_STR, false, NULL},
    {"party_id", P_STR, false, NULL},
    {"status", P_STR, false, NULL},
};

static void job_query(struct http_req *r, void *arg)
{
	static const char *const names[] = {"job_id", "role", "party_id", "status"};
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	const char *user = http_req_header(r, "user_name");
	if (json_object_size(p) == 0 && user == NULL) {
		refuse(r, ERR_JOB_NOT_FOUND, NO_JOB);
	} else if (js_str(p, "job_id", NULL) != NULL) {
		struct buf text = {0};
		struct db_batch *b = one_statement(r, Q_API_JOB_QUERY);
		bind_texts(b, p, names, ARRAY_LEN(names));
		db_text(b, user);
		add_given(&text, p, names, ARRAY_LEN(names));
		pass_data(r, b, ERR_JOB_NOT_FOUND, NO_JOB "%s", buf_str(&text));
		buf_free(&text);
	} else {
		struct db_batch *b = one_statement(r, Q_API_JOB_FIND);
		bind_texts(b, p, names + 1, ARRAY_LEN(names) - 1);
		db_text(b, user);
		db_submit(b, on_found, r);
	}
	json_decref(p);
}

struct list {
	struct http_req *r;
	int64_t count;
	char *partner;
};

static void list_free(struct list *l)
{
	free(l->partner);
	free(l);
}

static void on_list_records(struct db_result *res, void *arg)
{
	struct list *l = arg;

	if (db_error(res) != NULL) {
		reply_db_err(l->r, res);
	} else {
		struct buf data = {0};
		buf_printf(&data, "{\"count\":%lld,\"data\":", (long long)l->count);
		buf_adds(&data, db_get(res, 0, 0, "data"));
		buf_addc(&data, '}');
		reply_text(l->r, data.data);
		buf_free(&data);
	}
	list_free(l);
}

static void on_list(struct db_result *res, void *arg)
{
	struct list *l = arg;

	if (db_error(res) != NULL) {
		reply_db_err(l->r, res);
		list_free(l);
		return;
	}
	l->count = db_get_int(res, 0, 0, "n");
	struct db_batch *b = one_statement(l->r, Q_API_JOB_RECORDS);
	db_text(b, db_is_null(res, 0, 0, "nos") ? "{}" : db_get(res, 0, 0, "nos"));
	db_text(b, l->partner);
	db_submit(b, on_list_records, l);
}

static void bind_list(struct db_batch *b, const json_t *list)
{
	struct db_array a = {{0}};
	size_t i;
	json_t *v;

	if (list == NULL) {
		db_null(b);
		return;
	}
	json_array_foreach (list, i, v)
		db_array_text(&a, json_string_value(v));
	db_array(b, &a);
}

/* FATE's paging: page 0 and page 1 are the same. */
static int64_t page_offset(int64_t limit, int64_t page)
{
	return limit > 0 && page > 1 ? limit * (page - 1) : 0;
}

static struct db_batch *list_batch(struct http_req *r, const json_t *p)
{
	static const char *const texts[] = {"job_id", "description", "party_id"};
	const char *user = http_req_header(r, "user_name");
	const char *by = js_str(p, "order_by", NULL);
	int64_t limit = js_int(p, "limit", 0);
	int64_t offset = page_offset(limit, js_int(p, "page", 0));
	bool filtered = user != NULL || by != NULL || js_str(p, "order", NULL) != NULL;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		filtered |= json_object_get(p, texts[i]) != NULL;
	filtered |= json_object_get(p, "role") != NULL || json_object_get(p, "status") != NULL;
	struct db_batch *b = one_statement(r, filtered ? Q_API_JOB_LIST : Q_API_JOB_PAGE);
	if (filtered) {
		bind_texts(b, p, texts, ARRAY_LEN(texts));
		bind_list(b, json_object_get(p, "role"));
		bind_list(b, json_object_get(p, "status"));
		db_text(b, user);
	}
	db_int(b, limit);
	db_int(b, offset);
	if (filtered) {
		db_text(b, by != NULL ? by : "create_time");
		db_bool(b, !str_eq(js_str(p, "order", "desc"), "asc"));
	}
	return b;
}

static const struct param job_list_params[] = {
    {"limit", P_INT, false, "0", .min = 0, .max = 100000},
    {"page", P_INT, false, "0", .min = 0, .max = 10000000},
    {"job_id", P_STR, false, NULL},
    {"description", P_STR, false, NULL},
    {"partner", P_STR, false, NULL},
    {"party_id", P_STR, false, NULL},
    {"role", P_STR_LIST, false, NULL},
    {"status", P_STR_LIST, false, NULL},
    {"order_by", P_STR, false, NULL, .among = ORDER_BY},
    {"order", P_STR, false, NULL, .among = "asc desc"},
};

static void job_list(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct list *l = mem_zalloc(sizeof(*l));
	l->r = r;
	l->partner = mem_strdup(js_str(p, "partner", NULL));
	db_submit(list_batch(r, p), on_list, l);
	json_decref(p);
}

/* ---- stop ---- */

static void on_stopped(const struct err *e, void *arg)
{
	struct http_req *r = arg;

	if (e == NULL)
		reply_ok(r, NULL);
	else
		refuse(r, e->code, "%s", e->msg);
}

static const struct param job_stop_params[] = {{"job_id", P_STR, true, NULL}};

static void job_stop(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	const char *user = http_req_header(r, "user_name");
	char *actor = user != NULL && user[0] != '\0' && str_is_utf8(user, strlen(user))
			  ? mem_printf("user %.200s", user)
			  : mem_strdup("client");
	stop_job(request_node(r), js_str(p, "job_id", ""), actor, on_stopped, r);
	free(actor);
	json_decref(p);
}

/* ---- notes ---- */

static void on_noted(struct db_result *res, void *arg)
{
	struct http_req *r = arg;

	if (db_error(res) != NULL)
		reply_db_err(r, res);
	else if (db_affected(res, 0) == 0)
		refuse(r, ERR_JOB_NOT_FOUND, NO_JOB);
	else
		reply_ok(r, NULL);
}

static const struct param job_notes_params[] = {
    {"job_id", P_STR, true, NULL},
    {"role", P_STR, true, NULL},
    {"party_id", P_STR, true, NULL},
    {"notes", P_STR, true, NULL},
};

static void job_notes(struct http_req *r, void *arg)
{
	static const char *const names[] = {"job_id", "role", "party_id", "notes"};
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct db_batch *b = one_statement(r, Q_API_JOB_NOTES);
	bind_texts(b, p, names, ARRAY_LEN(names));
	db_submit(b, on_noted, r);
	json_decref(p);
}

/* ---- views of the definition ---- */

struct dag_view {
	struct http_req *r;
	json_t *p;
	bool tables; /* the data view; else the dependencies */
};

static void reply_view(struct dag_view *v, const json_t *root)
{
	struct dag_defaults def = party_dag_defaults(request_node(v->r)->conf);
	struct err e;
	struct dag *d = dag_compile(root, &def, &e);
	enum dag_role role;

	if (d == NULL) {
		refuse(v->r, e.code, "%s", e.msg);
		return;
	}
	if (v->tables) {
		reply_ok(v->r, json_pack("{s:O, s:O, s:o}", "role", json_object_get(v->p, "role"),
					 "party_id", json_object_get(v->p, "party_id"), "data_view",
					 dag_data_view(d)));
	} else {
		int party = dag_role_parse(js_str(v->p, "role", ""), &role)
				? dag_find_party(d, role, js_str(v->p, "party_id", ""))
				: -1;
		reply_ok(v->r, dag_dependency_view(d, party));
	}
	dag_free(d);
}

static void on_dag(struct db_result *res, void *arg)
{
	struct dag_view *v = arg;

	if (db_error(res) != NULL) {
		reply_db_err(v->r, res);
	} else if (db_rows(res, 0) == 0) {
		refuse(v->r, ERR_JOB_NOT_FOUND, NO_JOB ": job_id[%s],role[%s],party_id[%s]",
		       js_str(v->p, "job_id", ""), js_str(v->p, "role", ""),
		       js_str(v->p, "party_id", ""));
	} else {
		json_t *root = db_get_json(res, 0, 0, "dag");
		reply_view(v, root);
		json_decref(root);
	}
	json_decref(v->p);
	free(v);
}

static const struct param view_params[] = {
    {"job_id", P_STR, true, NULL},
    {"role", P_STR, true, NULL},
    {"party_id", P_STR, true, NULL},
};

static void view(struct http_req *r, bool tables)
{
	static const char *const names[] = {"job_id", "role", "party_id"};
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	struct dag_view *v = mem_zalloc(sizeof(*v));
	v->r = r;
	v->p = p;
	v->tables = tables;
	struct db_batch *b = one_statement(r, Q_API_JOB_DAG);
	bind_texts(b, p, names, ARRAY_LEN(names));
	db_submit(b, on_dag, v);
}

static void job_data_view(struct http_req *r, void *arg)
{
	view(r, true);
}

static void job_dependency(struct http_req *r, void *arg)
{
	view(r, false);
}

const struct http_route api_job_routes[] = {
    {"GET", "/v2/job/query", job_query, 0, 0, "Jobs at this site, by id and other filters",
     DOC(TAKES_QUERY(job_query_params), .data = "Job[]", .header = "user_name")},
    {"POST", "/v2/job/submit", job_submit, 0, 64 << 20, "Submit a job",
     DOC(TAKES_JSON(job_submit_params), .data = "{model_id:string model_version:string}|Plan",
	 .has_job_id = true, .header = "user_name")},
    {"GET", "/v2/job/list/query", job_list, 0, 0, "Page through the jobs at this site",
     DOC(TAKES_QUERY(job_list_params), .data = "{count:integer data:Job[]}",
	 .header = "user_name")},
    {"POST", "/v2/job/stop", job_stop, 0, 0, "Stop a job",
     DOC(TAKES_JSON(job_stop_params), .header = "user_name")},
    {"POST", "/v2/job/notes/add", job_notes, 0, 0, "Set the description of a job",
     DOC(TAKES_JSON(job_notes_params))},
    {"GET", "/v2/job/data/view", job_data_view, 0, 0, "Tables that the reader tasks of a job name",
     DOC(TAKES_QUERY(view_params),
	 .data = "{role:string party_id:string data_view:{name:string namespace:string}[]{}{}}")},
    {"GET", "/v2/job/dag/dependency", job_dependency, 0, 0,
     "Tasks of a party and what they depend on",
     DOC(TAKES_QUERY(view_params), .data = "Dependencies")},
};
const size_t api_job_n_routes = ARRAY_LEN(api_job_routes);
