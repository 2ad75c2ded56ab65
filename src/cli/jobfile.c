/* Job files: reading, --set, checking, submitting. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/names.h"
#include "dag/dag.h"
#include <stdlib.h>
#include <string.h>

#define SET_DEPTH_MAX 32

static const struct dag_defaults defaults = {
    .own_party_id = "0",
    .job_cores = 4,
    .task_cores = 4,
    .task_timeout_s = 259200,
    .computing_partitions = 8,
    .provider = "norn:" PACKAGE_VERSION "@local",
};

/* The member or element of v that part names; an object gets a missing member when create. */
static json_t *step_into(json_t *v, const char *part, bool create)
{
	int64_t i;

	if (json_is_array(v))
		return str_to_i64(part, &i) && i >= 0 ? json_array_get(v, (size_t)i) : NULL;
	if (!json_is_object(v))
		return NULL;
	if (json_object_get(v, part) == NULL && create)
		json_object_set_new(v, part, json_object());
	return json_object_get(v, part);
}

static bool set_at(json_t *root, char *path, json_t *value, struct err *e)
{
	json_t *v = root;
	char *part = path, *dot;
	int64_t i;

	if (!str_eq(path, "kind") && !str_eq(path, "schema_version") && !str_starts(path, "dag."))
		v = step_into(root, "dag", true);
	for (int depth = 0;; depth++, part = dot + 1) {
		dot = strchr(part, '.');
		if (dot != NULL)
			*dot = '\0';
		if (part[0] == '\0' || depth == SET_DEPTH_MAX)
			return err_set(e, ERR_USAGE, "--set: empty name in the path, or too deep");
		if (dot == NULL)
			break;
		v = step_into(v, part, true);
		if (v == NULL)
			return err_set(e, ERR_USAGE, "--set: nothing stands at '%s' of the path",
				       part);
	}
	if (json_is_object(v))
		return json_object_set(v, part, value) == 0 ||
		       err_set(e, ERR_USAGE, "--set: '%s' cannot be a name", part);
	if (json_is_array(v) && str_to_i64(part, &i) && i >= 0 && (size_t)i < json_array_size(v))
		return json_array_set(v, (size_t)i, value) == 0 ||
		       err_set(e, ERR_USAGE, "--set: cannot set element %s", part);
	return err_set(e, ERR_USAGE, "--set: nothing stands at '%s' of the path", part);
}

/* Job and model ids are digits, too many for a number: a text without quotes. */
static bool is_long_number(const char *s)
{
	int64_t i;

	return strspn(s, "0123456789") == strlen(s) && !str_to_i64(s, &i);
}

bool jobfile_set(json_t *root, const char *assignment, struct err *e)
{
	const char *eq = strchr(assignment, '=');
	json_t *value;
	char *path;
	bool ok;

	if (eq == NULL || eq == assignment)
		return err_set(e, ERR_USAGE, "--set wants PATH=VALUE, not '%.60s'", assignment);
	if (eq[1] == '\0')
		value = json_null();
	else if (is_long_number(eq + 1))
		value = json_string(eq + 1);
	else
		value = js_parse_yaml(eq + 1, strlen(eq + 1), &js_limits_default, e);
	if (value == NULL)
		return err_prefix(e, "--set %.60s", assignment);
	path = mem_strndup(assignment, (size_t)(eq - assignment));
	ok = set_at(root, path, value, e);
	free(path);
	json_decref(value);
	return ok;
}

json_t *jobfile_load(const struct cli *c, const char *path, struct err *e)
{
	json_t *root = js_load_file(path, &js_limits_default, e);
	const char *set;
	int pos = 0;

	if (root == NULL)
		return NULL;
	if (!json_is_object(root)) {
		err_set(e, ERR_JOB_PARAMS,
			"%s: a job file starts with 'schema_version:' and 'dag:'", path);
		json_decref(root);
		return NULL;
	}
	while ((set = cli_next_value(c, "--set", &pos)) != NULL) {
		if (!jobfile_set(root, set, e)) {
			json_decref(root);
			return NULL;
		}
	}
	return root;
}

/* The first guest's party id, so that a check needs no node. */
static const char *first_guest(const json_t *root)
{
	const json_t *entry;
	const char *id;
	size_t i;

	json_array_foreach (js_get(root, "dag.parties"), i, entry) {
		id = json_string_value(json_array_get(json_object_get(entry, "party_id"), 0));
		if (id != NULL && str_eq(js_str(entry, "role", ""), "guest"))
			return id;
	}
	return defaults.own_party_id;
}

bool jobfile_check(const json_t *root, const char *own_party, size_t *n_tasks, size_t *n_parties,
		   struct err *e)
{
	struct dag_defaults def = defaults;
	struct dag *d;

	def.own_party_id = own_party != NULL ? own_party : first_guest(root);
	d = dag_compile(root, &def, e);
	if (d == NULL)
		return false;
	if (n_tasks != NULL)
		*n_tasks = d->n_tasks;
	if (n_parties != NULL)
		*n_parties = d->n_parties;
	dag_free(d);
	return true;
}

/* Posts the job; a second time under the same key when the connection broke, so that the job is
 * there once. */
static json_t *post_job(struct cli *c, const json_t *body, struct err *e)
{
	json_t *env = call_post(c, "/v2/job/submit", body, e);

	if (env == NULL && e->code == ERR_CONNECT)
		env = call_post(c, "/v2/job/submit", body, e);
	return env;
}

json_t *jobfile_submit(struct cli *c, bool plan, struct err *e)
{
	const char *key = cli_value(c, "--key");
	char own[DAG_PARTY_ID_MAX + 1], random[33];
	json_t *root, *body, *env = NULL;

	if (key != NULL && !str_is_name(key, 64)) {
		err_set(e, ERR_USAGE, "--key has 1 to 64 of the characters A-Z a-z 0-9 _ . -");
		return NULL;
	}
	str_random_hex(random, 16);
	root = jobfile_load(c, c->args[0], e);
	if (root == NULL)
		return NULL;
	if (!names_own_party(c, own, sizeof(own), e)) {
		json_decref(root);
		return NULL;
	}
	if (jobfile_check(root, own, NULL, NULL, e)) {
		body = json_pack("{s:O, s:s}", "dag_schema", root, "idempotency_key",
				 key != NULL ? key : random);
		if (plan)
			json_object_set_new(body, "plan", json_true());
		env = post_job(c, body, e);
		json_decref(body);
	} else {
		(void)err_prefix(e, "%s", c->args[0]);
	}
	json_decref(root);
	return env;
}
