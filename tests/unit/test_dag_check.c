/* A job against the descriptions of its components. */
#include "dag_test.h"

static const char *const descs[] = {
    /* load */
    "component:\n"
    "  name: reader\n"
    "  roles: [guest, host]\n"
    "  parameters: {name: {type: str, optional: false}, namespace: {type: str, optional: false}}\n"
    "  input_artifacts: {data: {}, model: {}}\n"
    "  output_artifacts:\n"
    "    data: {output_data: {types: [data_unresolved], optional: false, stages: [default]}}\n"
    "    metric: {metric: {types: [json_metric], stages: [default]}}\n"
    "schema_version: v1\n",
    /* match */
    "component:\n"
    "  roles: [guest, host]\n"
    "  parameters: {protocol: {}, curve_type: {}}\n"
    "  input_artifacts: {data: {input_data: {optional: false, stages: [default], roles: [guest, "
    "host], "
    "is_multi: false}}}\n"
    "  output_artifacts: {data: {output_data: {stages: [default], roles: [guest, host]}}, model: "
    "{}}\n",
    /* fit: without the wrapper */
    "roles: [guest, host, arbiter]\n"
    "parameters: {epochs: {}, optimizer: {}, batch_size: {}}\n"
    "input_artifacts:\n"
    "  data:\n"
    "    train_data: {optional: false, stages: [train], roles: [guest, host], is_multi: false}\n"
    "    validate_data: {optional: true, stages: [train], roles: [guest, host], is_multi: false}\n"
    "    test_data: {optional: false, stages: [predict], roles: [guest, host], is_multi: false}\n"
    "  model:\n"
    "    input_model: {optional: false, stages: [predict], roles: [guest, host], is_multi: false}\n"
    "output_artifacts:\n"
    "  data:\n"
    "    train_output_data: {stages: [train], roles: [guest, host]}\n"
    "    test_output_data: {stages: [predict], roles: [guest, host]}\n"
    "  model: {output_model: {stages: [train], roles: [guest, host, arbiter]}}\n",
    /* judge */
    "component:\n"
    "  roles: [guest, host]\n"
    "  parameters: {metrics: {}}\n"
    "  input_artifacts: {data: {input_datas: {optional: false, stages: [train], is_multi: true}}}\n"
    "  output_artifacts: {data: {}, model: {}, metric: {metric: {stages: [train]}}}\n",
};

static const char *const names[] = {"load", "match", "fit", "judge"};

/* Runs every check as a site does. */
static bool check(const struct dag *d, struct err *e)
{
	json_t *by_task[16] = {NULL};
	bool ok = true;

	ck_assert_uint_le(d->n_tasks, ARRAY_LEN(by_task));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int t = dag_find_task(d, names[i]);

		if (t >= 0)
			by_task[t] = yaml(descs[i]);
	}
	for (size_t i = 0; ok && i < d->n_tasks; i++)
		if (by_task[i])
			ok = dag_check_component(d, (int)i, by_task[i], e);
	if (ok)
		ok = dag_check_links(d, (const json_t *const *)by_task, e);
	for (size_t i = 0; i < ARRAY_LEN(by_task); i++)
		json_decref(by_task[i]);
	return ok;
}

struct bad_use {
	const char *path;
	const char *value;
	const char *msg;
};

#define T          "dag/tasks/"
#define TRAIN_DATA T "fit/inputs/data/train_data"

static const struct bad_use bad[] = {
    {T "match/parties", "[]",
     "dag.tasks.match.parties: arbiter 2 cannot run component 'psi', which is for guest, host; "
     "list the "
     "task's parties without it"},
    {T "match/stage", NULL,
     "dag.tasks.match.stage: component 'psi' has no stage train; set stage: default"},
    {T "fit/stage", "cross_validation",
     "dag.tasks.fit.stage: component 'lr' has no stage cross_validation; set stage: train, "
     "predict"},
    {T "fit/parameters/epoch", "1",
     "dag.tasks.fit.parameters.epoch: component 'lr' has no such parameter; did you mean "
     "'epochs'?"},
    {T "match/parameters", "{zzz: 1}",
     "dag.tasks.match.parameters.zzz: component 'psi' has no such parameter; its parameters are "
     "protocol, curve_type"},
    {"dag/party_tasks/host_2/tasks/load/parameters/nmae", "x",
     "dag.party_tasks.host_2.tasks.load.parameters.nmae: component 'reader' has no such parameter; "
     "did "
     "you mean 'name'?"},
    {T "load/inputs", "{data: {input_data: {data_warehouse: {namespace: a, name: b}}}}",
     "dag.tasks.load.inputs.data.input_data: component 'reader' has no data input of this name; "
     "there "
     "are none"},
    {T "fit/inputs/data/training_data", "{data_warehouse: {namespace: a, name: b}}",
     "dag.tasks.fit.inputs.data.training_data: component 'lr' has no data input of this name; did "
     "you "
     "mean 'train_data'?"},
    {T "fit/inputs/data/input_model", "{data_warehouse: {namespace: a, name: b}}",
     "dag.tasks.fit.inputs.data.input_model: component 'lr' has no data input of this name; "
     "input_model "
     "is a model input, move it to inputs.model"},
    {T "fit/inputs/model/train_data",
     "{model_warehouse: {producer_task: fit, output_artifact_key: output_model}}",
     "dag.tasks.fit.inputs.model.train_data: component 'lr' has no model input of this name; "
     "train_data "
     "is a data input, move it to inputs.data"},
    {T "fit/inputs", NULL,
     "dag.tasks.fit.inputs.data.train_data: component 'lr' needs this input at guest 1, and "
     "nothing "
     "supplies it there; connect it to the output of a task that runs there, or to a warehouse"},
    {TRAIN_DATA "/task_output_artifact/parties",
     "[{role: guest, party_id: ['1']}, {role: host, party_id: ['2']}]",
     "dag.tasks.fit.inputs.data.train_data: component 'lr' needs this input at host 3, and nothing "
     "supplies it there; connect it to the output of a task that runs there, or to a warehouse"},
    {T "match/parties", "[{role: guest, party_id: ['1']}, {role: host, party_id: ['2']}]",
     "dag.tasks.fit.inputs.data.train_data: component 'lr' needs this input at host 3, and nothing "
     "supplies it there; connect it to the output of a task that runs there, or to a warehouse"},
    {TRAIN_DATA "/task_output_artifact",
     "[{producer_task: match, output_artifact_key: output_data}, {producer_task: load, "
     "output_artifact_key: output_data}]",
     "dag.tasks.fit.inputs.data.train_data: component 'lr' takes one data here, and guest 1 gets "
     "2"},
    {T "fit/stage", "predict",
     "dag.tasks.fit.inputs.data.test_data: component 'lr' needs this input at guest 1, and nothing "
     "supplies it there; connect it to the output of a task that runs there, or to a warehouse"},
    {TRAIN_DATA "/task_output_artifact/output_artifact_key", "output_dta",
     "dag.tasks.fit.inputs.data.train_data.task_output_artifact.output_artifact_key: match "
     "(component "
     "psi) has no data output 'output_dta'; did you mean 'output_data'?"},
    {TRAIN_DATA "/task_output_artifact/output_artifact_key", "xyz",
     "dag.tasks.fit.inputs.data.train_data.task_output_artifact.output_artifact_key: match "
     "(component "
     "psi) has no data output 'xyz'; its outputs are output_data"},
    {T "judge/inputs/data/input_datas/task_output_artifact/0/output_artifact_key",
     "test_output_data",
     "dag.tasks.judge.inputs.data.input_datas.task_output_artifact[0].output_artifact_key: fit "
     "runs in "
     "stage train, and component lr makes output 'test_output_data' only in predict"},
};

START_TEST(good_job)
{
	struct dag *d = compile_text(base_text);
	struct err e = {0};

	ck_assert_msg(check(d, &e), "%s", e.msg);
	dag_free(d);
}
END_TEST

START_TEST(bad_job)
{
	struct dag *d = compile_changed(bad[_i].path, bad[_i].value, NULL, NULL);
	struct err e = {0};

	ck_assert_msg(!check(d, &e), "taken: %s = %s", bad[_i].path,
		      bad[_i].value ? bad[_i].value : "(removed)");
	ck_assert_str_eq(e.msg, bad[_i].msg);
	ck_assert_int_eq(e.code, ERR_JOB_PARAMS);
	dag_free(d);
}
END_TEST

START_TEST(model_group_and_predict)
{
	json_t *root = yaml(base_text);
	struct err e = {0};
	struct dag *d;

	put(root, T "fit/stage", json_string("predict"));
	put(root, T "fit/inputs",
	    yaml("{data: {test_data: {task_output_artifact: {producer_task: match, "
		 "output_artifact_key: output_data}}}, model: {input_model: {model_warehouse: "
		 "{producer_task: fit, output_artifact_key: output_model}}}}"));
	put(root, T "judge/inputs/data/input_datas/task_output_artifact/0/output_artifact_key",
	    json_string("test_output_data"));
	d = compile_tree(json_incref(root));
	ck_assert_msg(check(d, &e), "%s", e.msg);
	dag_free(d);

	/* data outputs are no models */
	put(root, T "fit/inputs/model/input_model",
	    yaml("{task_output_artifact: {producer_task: match, output_artifact_key: "
		 "output_data}}"));
	d = compile_tree(root);
	ck_assert(!check(d, &e));
	ck_assert_str_eq(e.msg, "dag.tasks.fit.inputs.model.input_model.task_output_artifact."
				"output_artifact_key: match (component psi) has no model output "
				"'output_data'; there are none");
	dag_free(d);
}
END_TEST

START_TEST(two_sources_one_per_party)
{
	struct dag *d = compile_changed(
	    TRAIN_DATA,
	    "{data_warehouse: {namespace: n, name: t, parties: [{role: guest, party_id: ['1']}]}, "
	    "task_output_artifact: {producer_task: match, output_artifact_key: output_data, "
	    "parties: "
	    "[{role: host, party_id: ['2', '3']}]}}",
	    NULL, NULL);
	struct err e = {0};

	ck_assert_msg(check(d, &e), "%s", e.msg);
	dag_free(d);
}
END_TEST

START_TEST(what_is_not_described_passes)
{
	struct dag *d = compile_changed(T "fit/parameters", "{anything: 1}", NULL, NULL);
	json_t *empty = json_object(), *list = json_array();
	const json_t *none[4] = {NULL, NULL, NULL, NULL};
	struct err e = {0};

	ck_assert(dag_check_component(d, task_of(d, "fit"), empty, &e));
	ck_assert(dag_check_links(d, none, &e));
	none[task_of(d, "match")] = empty;
	ck_assert(dag_check_links(d, none, &e));
	ck_assert(!dag_check_component(d, task_of(d, "fit"), list, &e));
	ck_assert_int_eq(e.code, ERR_PROVIDER_PARAMS);
	ck_assert(!dag_check_component(d, task_of(d, "fit"), NULL, &e));
	ck_assert(!dag_check_component(d, 4, empty, &e));
	ck_assert_int_eq(e.code, ERR_INTERNAL);
	json_decref(empty);
	json_decref(list);
	dag_free(d);
}
END_TEST

/* A description comes from another program: any shape must be survived. */
START_TEST(odd_descriptions)
{
	static const char *const odd[] = {
	    "{component: []}",
	    "{roles: guest, parameters: [], input_artifacts: 3, output_artifacts: x}",
	    "{input_artifacts: {data: [], model: 1}, output_artifacts: {data: 1}}",
	    "{input_artifacts: {data: {train_data: 1}}, output_artifacts: {data: {output_data: "
	    "[]}}}",
	    "{input_artifacts: {data: {train_data: {stages: [1, {}], roles: {}}}}, "
	    "output_artifacts: "
	    "{data: {output_data: {stages: [[], null]}}}}",
	    "{roles: [1, null]}",
	};
	struct dag *d = compile_text(base_text);

	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		json_t *v = yaml(odd[i]);
		const json_t *all[4] = {v, v, v, v};
		struct err e = {0};

		for (int t = 0; t < 4; t++)
			if (!dag_check_component(d, t, v, &e))
				ck_assert_ptr_eq(strstr(e.msg, "dag.tasks."), e.msg);
		if (!dag_check_links(d, all, &e))
			ck_assert_ptr_eq(strstr(e.msg, "dag.tasks."), e.msg);
		json_decref(v);
	}
	dag_free(d);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dag_check");
	TCase *tc = tcase_create("check");

	tcase_add_test(tc, good_job);
	tcase_add_loop_test(tc, bad_job, 0, (int)ARRAY_LEN(bad));
	tcase_add_test(tc, model_group_and_predict);
	tcase_add_test(tc, two_sources_one_per_party);
	tcase_add_test(tc, what_is_not_described_passes);
	tcase_add_test(tc, odd_descriptions);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
