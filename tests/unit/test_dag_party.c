/* What one party sees of a job: merged settings, reduced inputs, resources, views. */
#include "dag_test.h"

#include <stdio.h>

#define OUT(task, rest)                                                                            \
	"{task_output_artifact: {producer_task: " task ", output_artifact_key: o" rest "}}"

static json_t *view(const struct dag *d, const char *task, enum dag_role role, const char *id)
{
	struct err e = {0};
	json_t *v = dag_party_task(d, task_of(d, task), party_of(d, role, id), &defaults, &e);

	ck_assert_msg(v != NULL, "%s", e.msg);
	return v;
}

/* One member of the view. */
static json_t *part(const struct dag *d, const char *task, enum dag_role role, const char *id,
		    const char *path)
{
	json_t *v = view(d, task, role, id), *p = json_incref(js_get(v, path));

	json_decref(v);
	return p;
}

START_TEST(whole_view)
{
	struct dag *d = compile_text(base_text);

	expect_json(view(d, "fit", ROLE_GUEST, "1"),
		    "{task_name: fit, component: lr, stage: train,\n"
		    " parameters: {epochs: 5, optimizer: {method: sgd, lr: 0.1}},\n"
		    " conf: {timeout: 60}, provider: 'norn:0.1.0@local', timeout_s: 60, cores: 3, "
		    "memory_mb: 0,\n"
		    " inputs: {data: {train_data: {producer_task: match, output_artifact_key: "
		    "output_data, parties: [{role: guest, party_id: ['1']}]}}, model: {}}}");
	/* the producer does not run at the arbiter, whose cores do not count */
	expect_json(view(d, "fit", ROLE_ARBITER, "2"),
		    "{task_name: fit, component: lr, stage: train,\n"
		    " parameters: {epochs: 5, optimizer: {method: sgd, lr: 0.1}},\n"
		    " conf: {timeout: 60}, provider: 'norn:0.1.0@local', timeout_s: 60, cores: 0, "
		    "memory_mb: 0,\n"
		    " inputs: {data: {}, model: {}}}");
	dag_free(d);
}
END_TEST

START_TEST(views_are_their_own)
{
	struct dag *d = compile_text(base_text);
	json_t *before = json_deep_copy(d->root), *v = view(d, "fit", ROLE_GUEST, "1");

	put(v, "parameters/optimizer/method", json_string("changed"));
	put(v, "conf/timeout", json_integer(1));
	put(v, "inputs/data/train_data/producer_task", json_string("changed"));
	ck_assert(json_equal(before, d->root));
	json_decref(before);
	json_decref(v);
	dag_free(d);
}
END_TEST

START_TEST(parameters_merge_by_top_level_key)
{
	struct dag *d = compile_changed(
	    "dag/tasks/fit/parameters", "{a: 1, b: {x: 1, y: 2}, c: [1], d: keep}",
	    "dag/party_tasks",
	    "{one: {parties: [{role: guest, party_id: ['1']}, {role: host, party_id: ['3']}],\n"
	    "  tasks: {fit: {parameters: {b: {x: 9}, c: null, e: new}}}},\n"
	    " two: {parties: [{role: guest, party_id: ['1']}], tasks: {fit: {parameters: {a: "
	    "2}}}},\n"
	    " three: {parties: [{role: guest, party_id: ['1']}], tasks: {fit: {parameters: {a: "
	    "3}},\n"
	    "  match: {parameters: {a: other}}}}}");

	expect_json(part(d, "fit", ROLE_GUEST, "1", "parameters"),
		    "{a: 3, b: {x: 9}, c: null, d: keep, e: new}");
	expect_json(part(d, "fit", ROLE_HOST, "3", "parameters"),
		    "{a: 1, b: {x: 9}, c: null, d: keep, e: new}");
	expect_json(part(d, "fit", ROLE_HOST, "2", "parameters"),
		    "{a: 1, b: {x: 1, y: 2}, c: [1], d: keep}");
	expect_json(part(d, "match", ROLE_GUEST, "1", "parameters"), "{a: other}");
	expect_json(part(d, "match", ROLE_HOST, "2", "parameters"), "{}");
	dag_free(d);
}
END_TEST

START_TEST(conf_precedence)
{
	json_t *root = yaml(base_text);
	struct dag *d;

	put(root, "dag/conf/task",
	    yaml("{timeout: 1, provider: 'a:1@local', launcher_name: default, engine_run: {cores: "
		 "1, x: "
		 "y}}"));
	put(root, "dag/tasks/fit/conf", yaml("{timeout: 2, provider: 'b:1@local'}"));
	put(root, "dag/party_tasks/guest_1/conf", yaml("{timeout: 3, engine_run: {cores: 7}}"));
	put(root, "dag/party_tasks/guest_1/tasks/fit", yaml("{conf: {timeout: 4}}"));
	d = compile_tree(root);
	expect_json(
	    part(d, "load", ROLE_HOST, "3", "conf"),
	    "{timeout: 1, provider: 'a:1@local', launcher_name: default, engine_run: {cores: 1, "
	    "x: y}}");
	expect_json(
	    part(d, "fit", ROLE_HOST, "3", "conf"),
	    "{timeout: 2, provider: 'b:1@local', launcher_name: default, engine_run: {cores: 1, "
	    "x: y}}");
	/* a site's conf beats the task's; engine_run is replaced as a whole */
	expect_json(
	    part(d, "load", ROLE_GUEST, "1", "conf"),
	    "{timeout: 3, provider: 'a:1@local', launcher_name: default, engine_run: {cores: "
	    "7}}");
	expect_json(
	    part(d, "fit", ROLE_GUEST, "1", "conf"),
	    "{timeout: 4, provider: 'b:1@local', launcher_name: default, engine_run: {cores: "
	    "7}}");
	expect_json(part(d, "fit", ROLE_GUEST, "1", "timeout_s"), "4");
	expect_json(part(d, "fit", ROLE_GUEST, "1", "cores"), "7");
	expect_json(part(d, "fit", ROLE_GUEST, "1", "provider"), "'b:1@local'");
	dag_free(d);
}
END_TEST

static void provider(const char *given, const char *def, const char *want)
{
	struct dag_defaults with = defaults;
	json_t *root = yaml(base_text), *v;
	struct err e = {0};
	struct dag *d;

	with.provider = def;
	if (given)
		put(root, "dag/conf/task/provider", json_string(given));
	d = compile_tree(root);
	v = dag_party_task(d, 0, 0, &with, &e);
	ck_assert_msg(v != NULL, "%s", e.msg);
	ck_assert_str_eq(js_str(v, "provider", ""), want);
	json_decref(v);
	dag_free(d);
}

START_TEST(provider_is_filled)
{
	provider(NULL, "norn:0.1.0@local", "norn:0.1.0@local");
	provider("*:*@*", "norn:0.1.0@local", "norn:0.1.0@local");
	provider(":@", "norn:0.1.0@local", "norn:0.1.0@local");
	provider("norn:*@docker", "norn:0.1.0@local", "norn:0.1.0@docker");
	provider("norn:9@", "norn:0.1.0@local", "norn:9@local");
	provider("*:3@*", "norn:0.1.0@local", "norn:3@local");
	/* the version of one provider is not that of another */
	provider("fate:*@*", "norn:0.1.0@local", "fate:*@local");
	provider("nor:*@*", "norn:0.1.0@local", "nor:*@local");
	provider("fate:2.2.0@local", "norn:0.1.0@local", "fate:2.2.0@local");
	provider(NULL, NULL, "norn:*@local");
}
END_TEST

/* up runs at guest and host 2, side at the guest, all at everybody. */
static const char reduce_text[] =
    "schema_version: '2.2.0'\n"
    "dag:\n"
    "  stage: default\n"
    "  parties: [{role: guest, party_id: ['1']}, {role: host, party_id: ['2', '3']}]\n"
    "  tasks:\n"
    "    up: {component_ref: c, parties: [{role: guest, party_id: ['1']}, {role: host, party_id: "
    "['2']}]}\n"
    "    side: {component_ref: c, parties: [{role: guest, party_id: ['1']}]}\n"
    "    all: {component_ref: c}\n"
    "    last: {component_ref: c}\n";

static struct dag *reduce_dag(const char *inputs)
{
	json_t *root = yaml(reduce_text);

	put(root, "dag/tasks/last/inputs", yaml(inputs));
	return compile_tree(root);
}

static void reduced(const char *inputs, enum dag_role role, const char *id, const char *want)
{
	struct dag *d = reduce_dag(inputs);

	expect_json(part(d, "last", role, id, "inputs"), want);
	dag_free(d);
}

#define G1 ", parties: [{role: guest, party_id: ['1']}]"
#define H2 ", parties: [{role: host, party_id: ['2']}]"
#define H3 ", parties: [{role: host, party_id: ['3']}]"

START_TEST(reduce_by_producer)
{
	const char *in = "{data: {x: " OUT("up", "") "}}";

	reduced(in, ROLE_GUEST, "1",
		"{data: {x: {producer_task: up, output_artifact_key: o" G1 "}}, model: {}}");
	reduced(in, ROLE_HOST, "2",
		"{data: {x: {producer_task: up, output_artifact_key: o" H2 "}}, model: {}}");
	reduced(in, ROLE_HOST, "3", "{data: {}, model: {}}");
}
END_TEST

START_TEST(reduce_by_parties)
{
	const char *in =
	    "{model: {m: {task_output_artifact: [{producer_task: all, output_artifact_key: "
	    "o, parties: [{role: host, party_id: ['3', '2']}]}]}}}";

	reduced(in, ROLE_GUEST, "1", "{data: {}, model: {}}");
	reduced(in, ROLE_HOST, "3",
		"{data: {}, model: {m: {producer_task: all, output_artifact_key: o" H3 "}}}");
	/* an empty list of parties is none */
	reduced("{data: {x: " OUT("all", ", parties: []") "}}", ROLE_HOST, "3",
		"{data: {x: {producer_task: all, output_artifact_key: o" H3 "}}, model: {}}");
	/* listed, but nothing makes the output there */
	reduced("{data: {x: " OUT("side", ", parties: [{role: host, party_id: ['2', '3']}]") "}}",
		ROLE_HOST, "3", "{data: {}, model: {}}");
}
END_TEST

START_TEST(reduce_lists)
{
	const char *in =
	    "{data: {x: {task_output_artifact: [{producer_task: up, output_artifact_key: a}, "
	    "{producer_task: side, output_artifact_key: b}, {producer_task: all, "
	    "output_artifact_key: c}]}}}";

	reduced(in, ROLE_GUEST, "1",
		"{data: {x: [{producer_task: up, output_artifact_key: a" G1
		"}, {producer_task: side, output_artifact_key: b" G1
		"}, {producer_task: all, output_artifact_key: c" G1 "}]}, model: {}}");
	reduced(in, ROLE_HOST, "2",
		"{data: {x: [{producer_task: up, output_artifact_key: a" H2
		"}, {producer_task: all, output_artifact_key: c" H2 "}]}, model: {}}");
	/* one left: no list */
	reduced(in, ROLE_HOST, "3",
		"{data: {x: {producer_task: all, output_artifact_key: c" H3 "}}, model: {}}");
}
END_TEST

START_TEST(reduce_data_warehouse)
{
	const char *in = "{data: {x: {data_warehouse: {namespace: n, name: 5, dataset_id: d}}, y: "
			 "{data_warehouse: {job_id: j, producer_task: t, output_artifact_key: k, "
			 "parties: [{role: guest, party_id: ['1']}]}}}}";

	reduced(in, ROLE_GUEST, "1",
		"{data: {x: {namespace: n, name: '5', dataset_id: d" G1
		"}, y: {job_id: j, producer_task: t, output_artifact_key: k" G1 "}}, model: {}}");
	reduced(in, ROLE_HOST, "2",
		"{data: {x: {namespace: n, name: '5', dataset_id: d" H2 "}}, model: {}}");
	/* two sources of one input, one for each party */
	in =
	    "{data: {x: {data_warehouse: {namespace: n, name: t, parties: [{role: guest, party_id: "
	    "['1']}]}, task_output_artifact: {producer_task: all, output_artifact_key: o, parties: "
	    "[{role: host, party_id: ['2']}]}}}}";
	reduced(in, ROLE_GUEST, "1", "{data: {x: {namespace: n, name: t" G1 "}}, model: {}}");
	reduced(in, ROLE_HOST, "2",
		"{data: {x: {producer_task: all, output_artifact_key: o" H2 "}}, model: {}}");
}
END_TEST

START_TEST(reduce_model_warehouse)
{
	json_t *root = yaml(reduce_text);
	const char *in =
	    "{model: {m: {model_warehouse: {producer_task: t, output_artifact_key: k}}, "
	    "n: {model_warehouse: {producer_task: t, output_artifact_key: k, model_id: own, "
	    "model_version: 3}}}}";
	struct dag *d;

	reduced(
	    in, ROLE_GUEST, "1",
	    "{data: {}, model: {m: {producer_task: t, output_artifact_key: k" G1
	    "}, n: {producer_task: t, output_artifact_key: k, model_id: own, model_version: '3'" G1
	    "}}}");
	put(root, "dag/tasks/last/inputs", yaml(in));
	put(root, "dag/conf", yaml("{model_id: mine, model_version: 1}"));
	d = compile_tree(json_incref(root));
	expect_json(
	    part(d, "last", ROLE_GUEST, "1", "inputs.model.m"),
	    "{producer_task: t, output_artifact_key: k, model_id: mine, model_version: '1'" G1 "}");
	dag_free(d);
	put(root, "dag/conf/model_warehouse", yaml("{model_id: old, model_version: 0}"));
	d = compile_tree(root);
	expect_json(
	    part(d, "last", ROLE_GUEST, "1", "inputs.model.m"),
	    "{producer_task: t, output_artifact_key: k, model_id: old, model_version: '0'" G1 "}");
	expect_json(part(d, "last", ROLE_GUEST, "1", "inputs.model.n.model_id"), "own");
	dag_free(d);
}
END_TEST

START_TEST(not_at_this_party)
{
	struct dag *d = compile_text(base_text);
	struct err e = {0};

	ck_assert_ptr_null(
	    dag_party_task(d, task_of(d, "judge"), party_of(d, ROLE_HOST, "2"), &defaults, &e));
	ck_assert_str_eq(e.msg, "dag.tasks.judge: host 2 does not run this task");
	ck_assert_ptr_null(dag_party_task(d, -1, 0, &defaults, &e));
	ck_assert_ptr_null(dag_party_task(d, 4, 0, &defaults, &e));
	ck_assert_ptr_null(dag_party_task(d, 0, 4, &defaults, &e));
	ck_assert_int_eq(e.code, ERR_INTERNAL);
	dag_free(d);
}
END_TEST

static void resources(const struct dag *d, enum dag_role role, const char *id, int64_t want_cores,
		      int64_t want_mb)
{
	int64_t cores = -1, memory_mb = -1;
	struct err e = {0};

	ck_assert(dag_party_resources(d, party_of(d, role, id), &defaults, &cores, &memory_mb, &e));
	ck_assert_int_eq(cores, want_cores);
	ck_assert_int_eq(memory_mb, want_mb);
}

START_TEST(resources_of_a_party)
{
	json_t *root = yaml(base_text);
	int64_t cores, memory_mb;
	struct err e = {0};
	struct dag *d = compile_text(base_text);

	resources(d, ROLE_GUEST, "1", 4, 0); /* job_cores is more than task_cores */
	resources(d, ROLE_ARBITER, "2", 0, 0);
	ck_assert(!dag_party_resources(d, 9, &defaults, &cores, &memory_mb, &e));
	dag_free(d);

	put(root, "dag/conf/cores", json_integer(2));
	put(root, "dag/conf/memory", json_integer(100));
	put(root, "dag/tasks/load/conf", yaml("{engine_run: {cores: 6, memory: 500}}"));
	put(root, "dag/tasks/match/conf",
	    yaml("{engine_run: {num-executors: 4, executor-cores: 5}}"));
	put(root, "dag/party_tasks/host_2/tasks/match", yaml("{conf: {engine_run: {cores: 1}}}"));
	put(root, "dag/party_tasks/host_3", yaml("{conf: {engine_run: {executor-cores: 1}}}"));
	d = compile_tree(root);
	resources(d, ROLE_GUEST, "1", 20, 500);
	resources(d, ROLE_HOST, "2", 6, 500);
	resources(d, ROLE_HOST, "3", 2, 100);
	resources(d, ROLE_ARBITER, "2", 0, 0);
	expect_json(part(d, "match", ROLE_GUEST, "1", "cores"), "20");
	expect_json(part(d, "load", ROLE_GUEST, "1", "memory_mb"), "500");
	dag_free(d);
}
END_TEST

START_TEST(idle_party_holds_nothing)
{
	struct dag *d =
	    compile_changed("dag/parties",
			    "[{role: guest, party_id: ['1']}, {role: host, party_id: ['2', "
			    "'3', '9']}, {role: arbiter, party_id: ['2']}]",
			    "dag/tasks/fit/parties", "[{role: guest, party_id: ['1']}]");

	resources(d, ROLE_HOST, "9", 0, 0);
	resources(d, ROLE_HOST, "3", 4, 0);
	dag_free(d);
}
END_TEST

START_TEST(dependency_view)
{
	json_t *root = yaml(base_text);
	struct dag *d;

	put(root, "dag/tasks/fit/inputs/model",
	    yaml("{warm: {model_warehouse: {producer_task: old, output_artifact_key: m}}, again: "
		 "{model_warehouse: {producer_task: fit, output_artifact_key: m}}}"));
	put(root, "dag/tasks/judge/inputs",
	    yaml("{model: {own: {model_warehouse: {producer_task: judge, output_artifact_key: "
		 "m}}}}"));
	d = compile_tree(root);
	expect_json(
	    dag_dependency_view(d, party_of(d, ROLE_GUEST, "1")),
	    "{component_list: [load, match, fit, judge],\n"
	    " component_module: {load: reader, match: psi, fit: lr, judge: evaluation},\n"
	    " component_stage: {load: default, match: default, fit: train, judge: train},\n"
	    " dependencies: {load: [{up_output_info: []}],\n"
	    "  match: [{type: input_data, model_type: data, component_name: load, up_output_info: "
	    "[output_data]}],\n"
	    "  fit: [{type: train_data, model_type: data, component_name: match, up_output_info: "
	    "[output_data]},\n"
	    "   {type: warm, model_type: model, component_name: old, up_output_info: [m]}],\n"
	    "  judge: []}}");
	expect_json(dag_dependency_view(d, party_of(d, ROLE_ARBITER, "2")),
		    "{component_list: [fit], component_module: {fit: lr}, component_stage: {fit: "
		    "train},\n"
		    " dependencies: {fit: [{type: warm, model_type: model, component_name: old, "
		    "up_output_info: [m]}]}}");
	dag_free(d);
}
END_TEST

START_TEST(dependency_view_of_a_table)
{
	struct dag *d =
	    compile_changed("dag/tasks/load/inputs",
			    "{data: {t: {data_warehouse: {namespace: n, name: m}}}}", NULL, NULL);

	json_t *v = dag_dependency_view(d, 0);

	expect_json(json_incref(js_get(v, "dependencies.load")),
		    "[{type: t, model_type: data, component_name: null, up_output_info: []}]");
	json_decref(v);
	expect_json(dag_dependency_view(d, 99), "{component_list: [], component_module: {}, "
						"component_stage: {}, dependencies: {}}");
	dag_free(d);
}
END_TEST

START_TEST(data_view)
{
	json_t *root = yaml(base_text);
	struct dag *d;

	put(root, "dag/tasks/second",
	    yaml("{component_ref: reader, parties: [{role: guest, party_id: ['1']}], parameters: "
		 "{namespace: n, name: m}}"));
	d = compile_tree(root);
	expect_json(dag_data_view(d),
		    "{guest: {'1': [{name: left, namespace: lab}, {name: m, namespace: n}]},\n"
		    " host: {'2': [{name: right, namespace: lab}], '3': []}, arbiter: {'2': []}}");
	dag_free(d);
}
END_TEST

START_TEST(demo_job_at_its_parties)
{
	const char *src = getenv("NORN_SRCDIR");
	struct err e = {0};
	char path[4096];
	json_t *root;
	struct dag *d;

	snprintf(path, sizeof(path), "%s/examples/hetero_lr/job.yaml", src ? src : ".");
	root = js_load_file(path, &js_limits_default, &e);
	ck_assert_msg(root != NULL, "%s", e.msg);
	d = compile_tree(root);
	expect_json(part(d, "lr_0", ROLE_ARBITER, "10001", "inputs"), "{data: {}, model: {}}");
	expect_json(
	    part(d, "evaluation_0", ROLE_GUEST, "9999", "inputs.data.input_datas"),
	    "{producer_task: lr_0, output_artifact_key: train_output_data, parties: [{role: "
	    "guest, party_id: ['9999']}]}");
	expect_json(part(d, "reader_0", ROLE_HOST, "10000", "parameters"),
		    "{namespace: demo, name: breast_host}");
	expect_json(part(d, "data_split_0", ROLE_GUEST, "9999", "parameters.stratified"), "true");
	ck_assert_ptr_null(part(d, "data_split_0", ROLE_HOST, "10000", "parameters.stratified"));
	dag_free(d);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dag_party");
	TCase *tc = tcase_create("party");

	tcase_add_test(tc, whole_view);
	tcase_add_test(tc, views_are_their_own);
	tcase_add_test(tc, parameters_merge_by_top_level_key);
	tcase_add_test(tc, conf_precedence);
	tcase_add_test(tc, provider_is_filled);
	tcase_add_test(tc, reduce_by_producer);
	tcase_add_test(tc, reduce_by_parties);
	tcase_add_test(tc, reduce_lists);
	tcase_add_test(tc, reduce_data_warehouse);
	tcase_add_test(tc, reduce_model_warehouse);
	tcase_add_test(tc, not_at_this_party);
	tcase_add_test(tc, resources_of_a_party);
	tcase_add_test(tc, idle_party_holds_nothing);
	tcase_add_test(tc, dependency_view);
	tcase_add_test(tc, dependency_view_of_a_table);
	tcase_add_test(tc, data_view);
	tcase_add_test(tc, demo_job_at_its_parties);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
