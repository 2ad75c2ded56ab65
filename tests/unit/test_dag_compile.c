/* What a definition becomes: parties, tasks, order, defaults, normal forms. */
#include "dag_test.h"

#include <stdio.h>

START_TEST(base_definition)
{
	struct dag *d = compile_text(base_text);
	const struct dag_task *t;

	ck_assert_str_eq(d->schema_version, "2.2.0");
	ck_assert_uint_eq(d->n_parties, 4);
	ck_assert_int_eq(d->parties[0].role, ROLE_GUEST);
	ck_assert_str_eq(d->parties[0].id, "1");
	ck_assert_int_eq(d->parties[2].role, ROLE_HOST);
	ck_assert_str_eq(d->parties[2].id, "3");
	ck_assert_int_eq(d->parties[3].role, ROLE_ARBITER);
	ck_assert_int_eq(dag_find_party(d, ROLE_ARBITER, "2"), 3);
	ck_assert_int_eq(dag_find_party(d, ROLE_ARBITER, "1"), -1);
	ck_assert_int_eq(dag_find_party(d, ROLE_LOCAL, "1"), -1);
	ck_assert_int_eq(dag_find_task(d, "nothing"), -1);

	ck_assert_uint_eq(d->n_tasks, 4);
	t = &d->tasks[task_of(d, "load")];
	ck_assert_str_eq(t->component, "reader");
	ck_assert_int_eq(t->stage, STAGE_DEFAULT);
	ck_assert_uint_eq(t->n_parties, 3); /* in the order of dag.parties, not of the list */
	ck_assert_int_eq(t->parties[0], 0);
	ck_assert_int_eq(t->parties[1], 1);
	ck_assert_int_eq(t->parties[2], 2);
	ck_assert_uint_eq(t->n_deps, 0);
	ck_assert_uint_eq(t->n_children, 1);
	ck_assert_int_eq(t->children[0], task_of(d, "match"));
	t = &d->tasks[task_of(d, "fit")];
	ck_assert_int_eq(t->stage, STAGE_TRAIN);
	ck_assert_uint_eq(t->n_parties, 4);
	ck_assert_uint_eq(t->n_deps, 1);
	ck_assert_int_eq(t->deps[0], task_of(d, "match"));
	ck_assert_ptr_eq(t->spec, js_get(d->root, "dag.tasks.fit"));
	t = &d->tasks[task_of(d, "judge")];
	ck_assert_uint_eq(t->n_parties, 1);
	dag_free(d);
	dag_free(NULL);
}
END_TEST

START_TEST(defaults_are_filled)
{
	struct dag *d = compile_text(base_text);

	ck_assert_str_eq(d->initiator_party_id, "77");
	ck_assert_str_eq(d->scheduler_party_id, "77");
	ck_assert_int_eq(d->priority, 0);
	ck_assert_int_eq(d->cores, 4);
	ck_assert_int_eq(d->memory_mb, 0);
	ck_assert_int_eq(d->auto_retries, 1);
	ck_assert_int_eq(d->timeout_s, 0);
	ck_assert_int_eq(d->computing_partitions, 8);
	ck_assert_str_eq(d->sync_type, "callback");
	ck_assert_str_eq(d->model_id, "");
	ck_assert_str_eq(d->model_version, "");
	ck_assert_str_eq(js_str(d->root, "kind", ""), "fate");
	expect_json(
	    json_incref(js_get(d->root, "dag.conf")),
	    "{auto_retries: 1, computing_partitions: 8, initiator_party_id: '77', priority: 0, "
	    "scheduler_party_id: '77', sync_type: callback, task: {timeout: 60}}");
	dag_free(d);
}
END_TEST

START_TEST(given_conf)
{
	struct dag *d = compile_changed(
	    "dag/conf",
	    "{initiator_party_id: 5, scheduler_party_id: '6', priority: -3, cores: 16, memory: "
	    "2048, "
	    "auto_retries: '2', timeout: 600.0, computing_partitions: 32, sync_type: poll, "
	    "model_id: m1, model_version: 7, extra: {anything: [1]}}",
	    NULL, NULL);

	ck_assert_str_eq(d->initiator_party_id, "5");
	ck_assert_str_eq(d->scheduler_party_id, "6");
	ck_assert_int_eq(d->priority, -3);
	ck_assert_int_eq(d->cores, 16);
	ck_assert_int_eq(d->memory_mb, 2048);
	ck_assert_int_eq(d->auto_retries, 2);
	ck_assert_int_eq(d->timeout_s, 600);
	ck_assert_int_eq(d->computing_partitions, 32);
	ck_assert_str_eq(d->sync_type, "poll");
	ck_assert_str_eq(d->model_id, "m1");
	ck_assert_str_eq(d->model_version, "7");
	/* in the root too they have the declared types */
	ck_assert(json_is_string(js_get(d->root, "dag.conf.model_version")));
	ck_assert(json_is_integer(js_get(d->root, "dag.conf.timeout")));
	ck_assert_int_eq(js_int(js_get(d->root, "dag.conf"), "auto_retries", -1), 2);
	dag_free(d);
}
END_TEST

START_TEST(number_ids_become_strings)
{
	struct dag *d = compile_text(
	    "{schema_version: 2.2, dag: {stage: default, parties: [{role: guest, party_id: "
	    "[9999]}],\n"
	    " tasks: {a: {component_ref: noop, parties: [{role: guest, party_id: [9999]}]},\n"
	    "  b: {component_ref: noop, inputs: {data: {x: {task_output_artifact: {producer_task: "
	    "a,\n"
	    "   output_artifact_key: o, parties: [{role: guest, party_id: [9999]}]}}}}}},\n"
	    " party_tasks: {s: {parties: [{role: guest, party_id: [9999]}]}}}}");
	struct dag *again;
	struct err e = {0};
	char *text = js_dump_str(d->root);

	ck_assert_str_eq(d->schema_version, "2.2");
	ck_assert_int_eq(dag_find_party(d, ROLE_GUEST, "9999"), 0);
	ck_assert_ptr_null(strstr(text, "[9999]"));
	/* what was compiled compiles again, to the same */
	again = dag_compile(d->root, &defaults, &e);
	ck_assert_msg(again != NULL, "%s", e.msg);
	ck_assert(json_equal(again->root, d->root));
	free(text);
	dag_free(again);
	dag_free(d);
}
END_TEST

START_TEST(input_tree_stays)
{
	json_t *root = yaml(base_text), *copy;
	struct err e = {0};
	struct dag *d;

	put(root, "dag/tasks/fit/dependent_tasks", yaml("[match]"));
	put(root, "dag/parties/0/party_id/0", json_integer(1));
	copy = json_deep_copy(root);
	d = dag_compile(root, &defaults, &e);
	ck_assert_msg(d != NULL, "%s", e.msg);
	ck_assert(json_equal(root, copy));
	json_decref(root);
	ck_assert_str_eq(d->tasks[3].name, "judge"); /* d lives without it */
	ck_assert_str_eq(js_str(d->tasks[3].spec, "component_ref", ""), "evaluation");
	json_decref(copy);
	dag_free(d);
}
END_TEST

START_TEST(client_fields_are_dropped)
{
	json_t *root = yaml(base_text);
	struct dag *d;

	put(root, "dag/tasks/fit/dependent_tasks", yaml("[match, unknown]"));
	put(root, "dag/tasks/fit/outputs",
	    yaml("{model: {m: {output_artifact_key_alias: a, output_artifact_type_alias: b}}}"));
	put(root, "dag/tasks/fit/conf", yaml("null"));
	put(root, "dag/tasks/fit/inputs/model", yaml("null"));
	put(root, "dag/conf/task_parallelism", yaml("2"));
	put(root, "dag/conf/federated_status_collect_type", yaml("PUSH"));
	put(root, "dag/conf/engine", yaml("{name: x}"));
	put(root, "dag/conf/inheritance", yaml("{}"));
	put(root, "dag/conf/model_id", yaml("null"));
	put(root, "dag/tasks/load/parties", yaml("[]"));
	d = compile_tree(root);
	expect_json(
	    json_incref(js_get(d->root, "dag.tasks.fit")),
	    "{component_ref: lr, parameters: {epochs: 5, optimizer: {method: sgd, lr: 0.1}}, "
	    "inputs: {data: {train_data: {task_output_artifact: {producer_task: match, "
	    "output_artifact_key: output_data}}}}}");
	ck_assert_ptr_null(js_get(d->root, "dag.conf.task_parallelism"));
	ck_assert_ptr_null(js_get(d->root, "dag.conf.federated_status_collect_type"));
	ck_assert_ptr_null(js_get(d->root, "dag.conf.engine"));
	ck_assert_ptr_null(js_get(d->root, "dag.conf.inheritance"));
	ck_assert_uint_eq(d->tasks[task_of(d, "load")].n_parties, 4); /* empty: all parties */
	dag_free(d);
}
END_TEST

START_TEST(null_parameters_stay)
{
	struct dag *d =
	    compile_changed("dag/tasks/fit/parameters", "{batch_size: null}", NULL, NULL);

	ck_assert(json_is_null(js_get(d->root, "dag.tasks.fit.parameters.batch_size")));
	dag_free(d);
}
END_TEST

START_TEST(names_of_roles_and_stages)
{
	enum dag_role r;
	enum dag_stage s;

	for (int i = 0; i < ROLE_COUNT; i++) {
		ck_assert(dag_role_parse(dag_role_name((enum dag_role)i), &r));
		ck_assert_int_eq((int)r, i);
	}
	for (int i = 0; i < STAGE_COUNT; i++) {
		ck_assert(dag_stage_parse(dag_stage_name((enum dag_stage)i), &s));
		ck_assert_int_eq((int)s, i);
	}
	ck_assert(!dag_role_parse("Guest", &r));
	ck_assert(!dag_role_parse("", &r));
	ck_assert(!dag_stage_parse("trainx", &s));
	ck_assert_str_eq(dag_stage_name(STAGE_CROSS_VALIDATION), "cross_validation");
}
END_TEST

START_TEST(without_defaults)
{
	json_t *root = yaml(base_text);
	struct err e = {0};
	struct dag *d = dag_compile(root, NULL, &e);

	ck_assert_msg(d != NULL, "%s", e.msg);
	ck_assert_str_eq(d->initiator_party_id, "");
	ck_assert_int_eq(d->cores, 4);
	ck_assert_int_eq(d->computing_partitions, 8);
	json_decref(root);
	dag_free(d);
}
END_TEST

static void example(const char *name, size_t n_tasks, const char *last)
{
	const char *src = getenv("NORN_SRCDIR");
	struct err e = {0};
	char path[4096];
	json_t *root;
	struct dag *d;

	snprintf(path, sizeof(path), "%s/examples/%s", src ? src : ".", name);
	root = js_load_file(path, &js_limits_default, &e);
	ck_assert_msg(root != NULL, "%s", e.msg);
	d = compile_tree(root);
	ck_assert_uint_eq(d->n_tasks, n_tasks);
	ck_assert_str_eq(d->tasks[n_tasks - 1].name, last);
	for (size_t t = 0; t < d->n_tasks; t++)
		for (size_t p = 0; p < d->tasks[t].n_parties; p++) {
			json_t *v =
			    dag_party_task(d, (int)t, d->tasks[t].parties[p], &defaults, &e);

			ck_assert_msg(v != NULL, "%s", e.msg);
			ck_assert_str_eq(js_str(v, "provider", ""), "norn:0.1.0@local");
			json_decref(v);
		}
	dag_free(d);
}

START_TEST(examples_compile)
{
	example("hetero_lr/job.yaml", 6, "evaluation_0");
	example("hetero_lr/predict.yaml", 5, "evaluation_0");
	example("jobs/noop.yaml", 3, "third");
	example("jobs/diamond.yaml", 4, "bottom");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dag_compile");
	TCase *tc = tcase_create("compile");

	tcase_add_test(tc, base_definition);
	tcase_add_test(tc, defaults_are_filled);
	tcase_add_test(tc, given_conf);
	tcase_add_test(tc, number_ids_become_strings);
	tcase_add_test(tc, input_tree_stays);
	tcase_add_test(tc, client_fields_are_dropped);
	tcase_add_test(tc, null_parameters_stay);
	tcase_add_test(tc, names_of_roles_and_stages);
	tcase_add_test(tc, without_defaults);
	tcase_add_test(tc, examples_compile);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
