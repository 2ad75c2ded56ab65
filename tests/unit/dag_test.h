/* Shared by the tests of the dag layer: definitions from YAML text, and small changes to them. */
#ifndef NORN_TESTS_DAG_TEST_H
#define NORN_TESTS_DAG_TEST_H

#include "base/js.h"
#include "base/str.h"
#include "dag/dag.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct dag_defaults defaults = {
    .own_party_id = "77",
    .job_cores = 4,
    .task_cores = 3,
    .task_timeout_s = 259200,
    .computing_partitions = 8,
    .auto_retries = 1,
    .provider = "norn:0.1.0@local",
};

/* Guest 1, hosts 2 and 3, arbiter 2; load -> match -> fit -> judge. */
static const char base_text[] =
    "schema_version: '2.2.0'\n"
    "dag:\n"
    "  stage: train\n"
    "  parties:\n"
    "  - {role: guest, party_id: ['1']}\n"
    "  - {role: host, party_id: ['2', '3']}\n"
    "  - {role: arbiter, party_id: ['2']}\n"
    "  conf: {task: {timeout: 60}}\n"
    "  tasks:\n"
    "    load:\n"
    "      component_ref: reader\n"
    "      stage: default\n"
    "      parties: [{role: host, party_id: ['3', '2']}, {role: guest, party_id: ['1']}]\n"
    "    match:\n"
    "      component_ref: psi\n"
    "      stage: default\n"
    "      parties: [{role: guest, party_id: ['1']}, {role: host, party_id: ['2', '3']}]\n"
    "      inputs: {data: {input_data: {task_output_artifact: {producer_task: load, "
    "output_artifact_key: output_data}}}}\n"
    "    fit:\n"
    "      component_ref: lr\n"
    "      parameters: {epochs: 5, optimizer: {method: sgd, lr: 0.1}}\n"
    "      inputs: {data: {train_data: {task_output_artifact: {producer_task: match, "
    "output_artifact_key: output_data}}}}\n"
    "    judge:\n"
    "      component_ref: evaluation\n"
    "      parties: [{role: guest, party_id: ['1']}]\n"
    "      inputs: {data: {input_datas: {task_output_artifact: [{producer_task: fit, "
    "output_artifact_key: train_output_data}]}}}\n"
    "  party_tasks:\n"
    "    guest_1:\n"
    "      parties: [{role: guest, party_id: ['1']}]\n"
    "      tasks: {load: {parameters: {namespace: lab, name: left}}}\n"
    "    host_2:\n"
    "      tasks: {load: {parameters: {namespace: lab, name: right}}}\n";

static inline json_t *yaml(const char *text)
{
	struct err e = {0};
	json_t *v = js_parse_yaml(text, strlen(text), &js_limits_default, &e);

	ck_assert_msg(v != NULL, "%s in: %s", e.msg, text);
	return v;
}

/* Sets the value at a path whose parts are split by '/' (numbers in lists); NULL removes it. */
static inline void put(json_t *root, const char *path, json_t *value)
{
	const char *slash = strchr(path, '/');
	char part[256];
	int64_t i;

	ck_assert(json_is_object(root) || json_is_array(root));
	ck_assert(str_copy(part, sizeof(part), path));
	if (slash)
		part[slash - path] = 0;
	if (json_is_array(root)) {
		ck_assert(str_to_i64(part, &i) && i >= 0);
		if (slash)
			put(json_array_get(root, (size_t)i), slash + 1, value);
		else if (value)
			ck_assert_int_eq(json_array_set_new(root, (size_t)i, value), 0);
		else
			ck_assert_int_eq(json_array_remove(root, (size_t)i), 0);
		return;
	}
	if (slash) {
		if (!json_object_get(root, part))
			json_object_set_new(root, part, json_object());
		put(json_object_get(root, part), slash + 1, value);
	} else if (value) {
		ck_assert_int_eq(json_object_set_new(root, part, value), 0);
	} else {
		ck_assert_int_eq(json_object_del(root, part), 0);
	}
}

static inline struct dag *compile_tree(json_t *root)
{
	struct err e = {0};
	struct dag *d = dag_compile(root, &defaults, &e);

	ck_assert_msg(d != NULL, "%s", e.msg);
	json_decref(root);
	return d;
}

static inline struct dag *compile_text(const char *text)
{
	return compile_tree(yaml(text));
}

/* The base definition with up to two changes, given as path and YAML value. */
static inline struct dag *compile_changed(const char *path, const char *value, const char *path2,
					  const char *value2)
{
	json_t *root = yaml(base_text);

	if (path)
		put(root, path, value ? yaml(value) : NULL);
	if (path2)
		put(root, path2, value2 ? yaml(value2) : NULL);
	return compile_tree(root);
}

static inline int task_of(const struct dag *d, const char *name)
{
	int t = dag_find_task(d, name);

	ck_assert_msg(t >= 0, "no task %s", name);
	return t;
}

static inline int party_of(const struct dag *d, enum dag_role role, const char *id)
{
	int p = dag_find_party(d, role, id);

	ck_assert_msg(p >= 0, "no party %s %s", dag_role_name(role), id);
	return p;
}

/* Takes v. */
static inline void expect_json(json_t *v, const char *want_yaml)
{
	json_t *want = yaml(want_yaml);
	char *a = js_dump_str(v), *b = js_dump_str(want);

	ck_assert_str_eq(a, b);
	free(a);
	free(b);
	json_decref(want);
	json_decref(v);
}

static inline int run_suite(Suite *s)
{
	SRunner *r = srunner_create(s);
	int failed;

	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
