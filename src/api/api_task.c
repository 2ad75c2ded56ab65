/* /v2/job/task: the tasks of jobs at this site. */
#include "api/api.h"
#include "api/reply.h"

#include "base/js.h"
#include "base/str.h"

#include <string.h>

#define NO_TASK "No found task"

/* "<job id>_<task name>": sets both, since only they can be looked up. False: it fits no task, or
 * contradicts. */
static bool split_task_id(json_t *p)
{
	const char *id = js_str(p, "task_id", NULL);

	if (id == NULL)
		return true;
	const char *job_id = js_str(p, "job_id", NULL);
	const char *cut = strchr(id, '_');
	if (cut == NULL)
		return false;
	json_t *job = json_stringn(id, (size_t)(cut - id));
	bool fits =
	    (job_id == NULL || str_eq(job_id, json_string_value(job))) &&
	    (js_str(p, "task_name", NULL) == NULL || str_eq(js_str(p, "task_name", NULL), cut + 1));
	json_object_set_new(p, "job_id", job);
	json_object_set_new(p, "task_name", json_string(cut + 1));
	return fits;
}

static const struct param task_query_params[] = {
    {"job_id", P_STR, false, NULL},       {"role", P_STR, false, NULL},
    {"party_id", P_STR, false, NULL},     {"status", P_STR, false, NULL},
    {"task_name", P_STR, false, NULL},    {"task_id", P_STR, false, NULL},
    {"task_version", P_INT, false, NULL},
};

static void task_query(struct http_req *r, void *arg)
{
	static const char *const names[] = {"job_id", "role", "party_id", "status", "task_name"};
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	if (json_object_size(p) == 0 || !split_task_id(p)) {
		refuse(r, ERR_TASK_NOT_FOUND, NO_TASK);
	} else {
		struct db_batch *b = one_statement(r, Q_API_TASK_QUERY);
		bind_texts(b, p, names, ARRAY_LEN(names));
		int64_t attempt = js_int(p, "task_version", -1);
		if (attempt >= 0 && attempt <= INT32_MAX)
			db_int(b, attempt);
		else
			db_null(b);
		pass_data(r, b, ERR_TASK_NOT_FOUND, NO_TASK);
	}
	json_decref(p);
}

static const struct param task_list_params[] = {
    {"limit", P_INT, false, "0", .min = 0, .max = 100000},
    {"page", P_INT, false, "0", .min = 0, .max = 10000000},
    {"job_id", P_STR, false, NULL},
    {"role", P_STR, false, NULL},
    {"party_id", P_STR, false, NULL},
    {"task_name", P_STR, false, NULL},
};

static void task_list(struct http_req *r, void *arg)
{
	static const char *const names[] = {"job_id", "role", "party_id", "task_name"};
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	int64_t limit = js_int(p, "limit", 0);
	int64_t page = js_int(p, "page", 0);
	struct db_batch *b = one_statement(r, Q_API_TASK_LIST);
	bind_texts(b, p, names, ARRAY_LEN(names));
	db_int(b, limit);
	db_int(b, page > 1 ? limit * (page - 1) : 0);
	pass_data(r, b, ERR_TASK_NOT_FOUND, NO_TASK);
	json_decref(p);
}

const struct http_route api_task_routes[] = {
    {"GET", "/v2/job/task/query", task_query, 0, 0, "Tasks at this site, latest attempts",
     DOC(TAKES_QUERY(task_query_params), .data = "Task[]")},
    {"GET", "/v2/job/task/list/query", task_list, 0, 0, "Page through the tasks at this site",
     DOC(TAKES_QUERY(task_list_params), .data = "{count:integer data:Task[]}")},
};
const size_t api_task_n_routes = ARRAY_LEN(api_task_routes);
