/* Every refusal of a definition, with the whole message. */
#include "dag_test.h"

#include <stdio.h>

struct refusal {
	const char *path;  /* what of the base definition is changed */
	const char *value; /* YAML; NULL removes it */
	enum err_code code;
	const char *msg;
};

#define PARAMS ERR_JOB_PARAMS
#define T      "dag/tasks/"
#define IN     "dag/tasks/match/inputs/data/input_data"
#define IN_AT  "dag.tasks.match.inputs.data.input_data"
#define NAME_RULE                                                                                  \
	" is not a name; use letters, digits, '_', '-' and '.', and begin with a letter, digit "   \
	"or '_'"

static const struct refusal top[] = {
    {"dags", "{}", PARAMS, "dags: unknown field; did you mean 'dag'?"},
    {"x\ny", "{}", PARAMS, "'x\\ny': unknown field; the fields here are dag, schema_version, kind"},
    {"dag", NULL, PARAMS, "dag: is missing"},
    {"dag", "[]", PARAMS, "dag: must be an object, not a list"},
    {"schema_version", NULL, PARAMS, "schema_version: is missing"},
    {"schema_version", "''", PARAMS, "schema_version: must not be empty"},
    {"schema_version", "true", PARAMS, "schema_version: must be a string, not a boolean"},
    {"schema_version", "1.10.0", ERR_UNSUPPORTED,
     "schema_version: is '1.10.0'; only 2.x is understood here"},
    {"schema_version", "20.1", ERR_UNSUPPORTED,
     "schema_version: is '20.1'; only 2.x is understood here"},
    {"schema_version", "2.00000000000000000000000000000000000000a", ERR_LIMIT,
     "schema_version: is longer than 31 bytes"},
    {"kind", "bfia", ERR_UNSUPPORTED, "kind: is 'bfia'; only fate is understood"},
    {"dag/task", "{}", PARAMS, "dag.task: unknown field; did you mean 'tasks'?"},
    {"dag/stage", "trian", PARAMS,
     "dag.stage: no stage 'trian'; stages are default, train, predict, cross_validation"},
    {"dag/stage", NULL, ERR_JOB_CREATE,
     "dag.tasks.fit.stage: is missing, and dag.stage too; set one of them to default, train, "
     "predict "
     "or cross_validation"},
};

static const struct refusal parties[] = {
    {"dag/parties", NULL, PARAMS,
     "dag.parties: no parties; name them, as [{role: guest, party_id: [\"9999\"]}]"},
    {"dag/parties", "[]", PARAMS,
     "dag.parties: no parties; name them, as [{role: guest, party_id: [\"9999\"]}]"},
    {"dag/parties", "{guest: [1]}", PARAMS,
     "dag.parties: must be a list, as [{role: guest, party_id: [\"9999\"]}]"},
    {"dag/parties/0", "guest", PARAMS, "dag.parties[0]: must be an object, not a string"},
    {"dag/parties/0/role", "gest", PARAMS,
     "dag.parties[0].role: no role 'gest'; roles are guest, host, arbiter, local"},
    {"dag/parties/0/role", NULL, PARAMS, "dag.parties[0].role: is missing"},
    {"dag/parties/0/party_ids", "['1']", PARAMS,
     "dag.parties[0].party_ids: unknown field; did you mean 'party_id'?"},
    {"dag/parties/0/party_id", "'1'", PARAMS,
     "dag.parties[0].party_id: must be a list of party ids, as [\"9999\"]"},
    {"dag/parties/0/party_id", "[]", PARAMS,
     "dag.parties[0].party_id: must be a list of party ids, as [\"9999\"]"},
    {"dag/parties/0/party_id", "[1.5]", PARAMS,
     "dag.parties[0].party_id[0]: must be a party id, as \"9999\""},
    {"dag/parties/0/party_id", "['../1']", PARAMS, "dag.parties[0].party_id[0]: '../1'" NAME_RULE},
    {"dag/parties/0/party_id", "[x12345678901234567890123456789012345678901234567890]", ERR_LIMIT,
     "dag.parties[0].party_id[0]: is longer than 50 characters"},
    {"dag/parties/1/party_id", "['2', '3', '2']", PARAMS,
     "dag.parties[1].party_id[2]: host 2 is named a second time"},
    {"dag/parties/1/party_id", "['2', '3', 2]", PARAMS,
     "dag.parties[1].party_id[2]: host 2 is named a second time"},
    {T "load/parties/0/party_id", "['4']", PARAMS,
     "dag.tasks.load.parties[0].party_id[0]: host 4 is not among dag.parties; add it there, or "
     "remove "
     "it here"},
    {T "load/parties", "[{role: guest, party_id: ['1']}, {role: guest, party_id: ['1']}]", PARAMS,
     "dag.tasks.load.parties[1].party_id[0]: guest 1 is named a second time"},
    {T "load/parties", "guest", PARAMS,
     "dag.tasks.load.parties: must be a list, as [{role: guest, party_id: [\"9999\"]}]"},
};

static const struct refusal conf[] = {
    {"dag/conf", "[]", PARAMS, "dag.conf: must be an object, not a list"},
    {"dag/conf/core", "4", PARAMS, "dag.conf.core: unknown field; did you mean 'cores'?"},
    {"dag/conf/cores", "0", PARAMS, "dag.conf.cores: is 0; it must be between 1 and 1000000"},
    {"dag/conf/cores", "many", PARAMS, "dag.conf.cores: must be a whole number"},
    {"dag/conf/cores", "1.5", PARAMS, "dag.conf.cores: must be a whole number"},
    {"dag/conf/cores", "1.0e300", PARAMS, "dag.conf.cores: must be a whole number"},
    {"dag/conf/memory", "-1", PARAMS,
     "dag.conf.memory: is -1; it must be between 0 and 1073741824"},
    {"dag/conf/priority", "9223372036854775807", PARAMS,
     "dag.conf.priority: is 9223372036854775807; it must be between -1000000000 and 1000000000"},
    {"dag/conf/auto_retries", "[1]", PARAMS, "dag.conf.auto_retries: must be a whole number"},
    {"dag/conf/auto_retries", "1001", PARAMS,
     "dag.conf.auto_retries: is 1001; it must be between 0 and 1000"},
    {"dag/conf/timeout", "true", PARAMS, "dag.conf.timeout: must be a whole number"},
    {"dag/conf/timeout", "315360001", PARAMS,
     "dag.conf.timeout: is 315360001; it must be between 0 and 315360000"},
    {"dag/conf/computing_partitions", "0", PARAMS,
     "dag.conf.computing_partitions: is 0; it must be between 1 and 100000"},
    {"dag/conf/sync_type", "push", PARAMS,
     "dag.conf.sync_type: is 'push'; it must be callback or poll"},
    {"dag/conf/scheduler_party_id", "a b", PARAMS, "dag.conf.scheduler_party_id: 'a b'" NAME_RULE},
    {"dag/conf/initiator_party_id", "[]", PARAMS,
     "dag.conf.initiator_party_id: must be a string, not a list"},
    {"dag/conf/model_id", "m", PARAMS,
     "dag.conf.model_version: is missing; give model_id and model_version, or neither"},
    {"dag/conf/model_version", "0", PARAMS,
     "dag.conf.model_id: is missing; give model_id and model_version, or neither"},
    {"dag/conf/model_warehouse", "{}", PARAMS, "dag.conf.model_warehouse.model_id: is missing"},
    {"dag/conf/model_warehouse", "{model_id: m}", PARAMS,
     "dag.conf.model_warehouse.model_version: is missing; give model_id and model_version, or "
     "neither"},
    {"dag/conf/model_warehouse", "{model_id: m, version: 1}", PARAMS,
     "dag.conf.model_warehouse.version: unknown field; the fields here are model_id, "
     "model_version"},
    {"dag/conf/model_warehouse", "{model_id: a/b, model_version: 0}", PARAMS,
     "dag.conf.model_warehouse.model_id: 'a/b'" NAME_RULE},
    {"dag/conf/inheritance", "{job_id: j}", PARAMS,
     "dag.conf.inheritance.task_list: must be a list of task names"},
    {"dag/conf/inheritance", "{job_id: j, task_list: []}", ERR_JOB_INHERITANCE,
     "dag.conf.inheritance.task_list: is empty; name the tasks to take over, or leave inheritance "
     "out"},
    {"dag/conf/inheritance", "{task_list: [load]}", PARAMS,
     "dag.conf.inheritance.job_id: is missing"},
    {"dag/conf/inheritance", "{job_id: j, task_list: [load, laod]}", PARAMS,
     "dag.conf.inheritance.task_list[1]: no task named 'laod'; did you mean 'load'?; tasks are "
     "load, "
     "match, fit, judge"},
    {"dag/conf/inheritance", "{job_id: j, task_list: [load, load]}", PARAMS,
     "dag.conf.inheritance.task_list[1]: names 'load' a second time"},
    {"dag/conf/inheritance", "{job_id: j, task_list: [1]}", PARAMS,
     "dag.conf.inheritance.task_list[0]: must be a task name"},
    {"dag/conf/extra", "1", PARAMS, "dag.conf.extra: must be an object, not a number"},
    {"dag/conf/task/timeouts", "60", PARAMS,
     "dag.conf.task.timeouts: unknown field; did you mean 'timeout'?"},
    {"dag/conf/task/timeout", "0", PARAMS,
     "dag.conf.task.timeout: is 0; it must be between 1 and 315360000"},
    {"dag/conf/task/provider", "fate", PARAMS,
     "dag.conf.task.provider: 'fate' is not of the form name:version@device; an example is "
     "fate:2.2.0@local"},
    {"dag/conf/task/provider", "a:b@c@d", PARAMS,
     "dag.conf.task.provider: 'a:b@c@d' is not of the form name:version@device; an example is "
     "fate:2.2.0@local"},
    {"dag/conf/task/provider", "a@b:c", PARAMS,
     "dag.conf.task.provider: 'a@b:c' is not of the form name:version@device; an example is "
     "fate:2.2.0@local"},
    {"dag/conf/task/engine_run", "4", PARAMS,
     "dag.conf.task.engine_run: must be an object, not a number"},
    {"dag/conf/task/engine_run", "{cores: 0}", PARAMS,
     "dag.conf.task.engine_run.cores: is 0; it must be between 1 and 1000000"},
    {"dag/conf/task/engine_run", "{memory: lots}", PARAMS,
     "dag.conf.task.engine_run.memory: must be a whole number"},
    {"dag/conf/task/launcher_name", "../x", PARAMS,
     "dag.conf.task.launcher_name: '../x'" NAME_RULE},
};

static const struct refusal tasks[] = {
    {"dag/tasks", NULL, PARAMS, "dag.tasks: is missing"},
    {"dag/tasks", "{}", PARAMS, "dag.tasks: no tasks; a job needs at least one"},
    {"dag/tasks", "[]", PARAMS, "dag.tasks: must be an object, not a list"},
    {T "fit", "reader", PARAMS, "dag.tasks.fit: must be an object, not a string"},
    {T "a b", "{component_ref: x}", PARAMS, "dag.tasks.'a b': 'a b'" NAME_RULE},
    {T "..", "{component_ref: x}", PARAMS, "dag.tasks.'..': '..'" NAME_RULE},
    {T "x12345678901234567890123456789012345678901234567890", "{component_ref: x}", ERR_LIMIT,
     "dag.tasks.x12345678901234567890123456789012345678901234567890: is longer than 50 characters"},
    {T "fit/component", "lr", PARAMS,
     "dag.tasks.fit.component: unknown field; the fields here are component_ref, parties, stage, "
     "parameters, inputs, conf"},
    {T "fit/component_ref", NULL, PARAMS, "dag.tasks.fit.component_ref: is missing"},
    {T "fit/component_ref", "a/b", PARAMS, "dag.tasks.fit.component_ref: 'a/b'" NAME_RULE},
    {T "fit/stage", "2", PARAMS,
     "dag.tasks.fit.stage: no stage '2'; stages are default, train, predict, cross_validation"},
    {T "fit/parameters", "[1]", PARAMS, "dag.tasks.fit.parameters: must be an object, not a list"},
    {T "fit/parameter", "{}", PARAMS,
     "dag.tasks.fit.parameter: unknown field; did you mean 'parameters'?"},
    {T "fit/conf", "{timeout: no}", PARAMS, "dag.tasks.fit.conf.timeout: must be a whole number"},
    {T "fit/conf", "{cores: 4}", PARAMS,
     "dag.tasks.fit.conf.cores: unknown field; the fields here are engine_run, provider, timeout, "
     "launcher_name"},
    {T "fit/inputs", "[]", PARAMS, "dag.tasks.fit.inputs: must be an object, not a list"},
    {T "fit/inputs/datas", "{}", PARAMS,
     "dag.tasks.fit.inputs.datas: unknown field; did you mean 'data'?"},
    {T "fit/inputs/data", "[]", PARAMS, "dag.tasks.fit.inputs.data: must be an object, not a list"},
};

static const struct refusal inputs[] = {
    {IN, "load", PARAMS,
     IN_AT
     ": must be an object that names a source, as {task_output_artifact: {producer_task: reader_0, "
     "output_artifact_key: output_data}}"},
    {IN, "{}", PARAMS,
     IN_AT
     ": must be an object that names a source, as {task_output_artifact: {producer_task: reader_0, "
     "output_artifact_key: output_data}}"},
    {T "match/inputs/data/a%b", "{}", PARAMS, "dag.tasks.match.inputs.data.'a%b': 'a%b'" NAME_RULE},
    {IN "/task_output_artifacts", "{}", PARAMS,
     IN_AT
     ".task_output_artifacts: unknown source; did you mean 'task_output_artifact'?; a data input "
     "comes from task_output_artifact or data_warehouse"},
    {IN "/model_warehouse", "{producer_task: x, output_artifact_key: y}", PARAMS,
     IN_AT ".model_warehouse: unknown source; a data input comes from task_output_artifact or "
	   "data_warehouse"},
    {T "match/inputs/model/m/data_warehouse", "{namespace: a, name: b}", PARAMS,
     "dag.tasks.match.inputs.model.m.data_warehouse: unknown source; a model input comes from "
     "task_output_artifact or model_warehouse"},
    {IN "/task_output_artifact", "[]", PARAMS,
     IN_AT ".task_output_artifact: has 0 channels; between 1 and 10000 are possible"},
    {IN "/task_output_artifact", "load", PARAMS,
     IN_AT ".task_output_artifact: must be an object, not a string"},
    {IN "/task_output_artifact", "[load]", PARAMS,
     IN_AT ".task_output_artifact[0]: must be an object, not a string"},
    {IN "/task_output_artifact/producer_task", NULL, PARAMS,
     IN_AT ".task_output_artifact.producer_task: is missing"},
    {IN "/task_output_artifact/producer_task", "reader_9", PARAMS,
     IN_AT
     ".task_output_artifact.producer_task: no task named 'reader_9'; tasks are load, match, fit, "
     "judge"},
    {IN "/task_output_artifact/producer_task", "Load", PARAMS,
     IN_AT
     ".task_output_artifact.producer_task: no task named 'Load'; did you mean 'load'?; tasks are "
     "load, match, fit, judge"},
    {IN "/task_output_artifact/output_artifact_key", NULL, PARAMS,
     IN_AT ".task_output_artifact.output_artifact_key: is missing"},
    {IN "/task_output_artifact/output_artifact_key", "a/../b", PARAMS,
     IN_AT ".task_output_artifact.output_artifact_key: 'a/../b'" NAME_RULE},
    {IN "/task_output_artifact/output_artifact_name", "x", PARAMS,
     IN_AT ".task_output_artifact.output_artifact_name: unknown field; the fields here are "
	   "producer_task, "
	   "output_artifact_key, output_artifact_type_alias, parties"},
    {IN "/task_output_artifact/partys", "[]", PARAMS,
     IN_AT ".task_output_artifact.partys: unknown field; did you mean 'parties'?"},
    {IN "/task_output_artifact/parties", "[{role: host, party_id: ['9']}]", PARAMS,
     IN_AT
     ".task_output_artifact.parties[0].party_id[0]: host 9 is not among dag.parties; add it there, "
     "or remove it here"},
    {IN "/data_warehouse", "{}", PARAMS,
     IN_AT ".data_warehouse: namespace and name are missing; a table needs namespace and name"},
    {IN "/data_warehouse", "{name: t}", PARAMS,
     IN_AT ".data_warehouse: namespace is missing; a table needs namespace and name"},
    {IN "/data_warehouse", "{namespace: t}", PARAMS,
     IN_AT ".data_warehouse: name is missing; a table needs namespace and name"},
    {IN "/data_warehouse", "{namespace: \"a\\tb\", name: t}", PARAMS,
     IN_AT ".data_warehouse.namespace: 'a\\tb' has a control character"},
    {IN "/data_warehouse", "{job_id: j, output_artifact_key: k}", PARAMS,
     IN_AT
     ".data_warehouse: producer_task is missing; job_id, producer_task and output_artifact_key "
     "belong together"},
    {IN "/data_warehouse", "{job_id: j, namespace: n, name: t}", PARAMS,
     IN_AT
     ".data_warehouse: names both a table and the output of a job; keep namespace and name, or "
     "job_id, producer_task and output_artifact_key"},
    {T "fit/inputs/model/m/model_warehouse", "{producer_task: x}", PARAMS,
     "dag.tasks.fit.inputs.model.m.model_warehouse.output_artifact_key: is missing"},
    {T "fit/inputs/model/m/model_warehouse",
     "{producer_task: x, output_artifact_key: k, model_version: 1}", PARAMS,
     "dag.tasks.fit.inputs.model.m.model_warehouse.model_id: is missing; give model_id and "
     "model_version, or neither"},
};

static const struct refusal sites[] = {
    {"dag/party_tasks", "[]", PARAMS, "dag.party_tasks: must be an object, not a list"},
    {"dag/party_tasks/guest_1", "1", PARAMS,
     "dag.party_tasks.guest_1: must be an object, not a number"},
    {"dag/party_tasks/guest_1/task", "{}", PARAMS,
     "dag.party_tasks.guest_1.task: unknown field; did you mean 'tasks'?"},
    {"dag/party_tasks/guest_2", "{tasks: {}}", PARAMS,
     "dag.party_tasks.guest_2.parties: is missing; say whose settings these are, as [{role: guest, "
     "party_id: [\"9999\"]}]"},
    {"dag/party_tasks/abcdefghijklmnopqrst_1", "{tasks: {}}", PARAMS,
     "dag.party_tasks.abcdefghijklmnopqrst_1.parties: is missing; say whose settings these are, as "
     "[{role: guest, party_id: [\"9999\"]}]"},
    {"dag/party_tasks/guest_1/parties/0/party_id", "['5']", PARAMS,
     "dag.party_tasks.guest_1.parties[0].party_id[0]: guest 5 is not among dag.parties; add it "
     "there, "
     "or remove it here"},
    {"dag/party_tasks/guest_1/tasks/loda", "{}", PARAMS,
     "dag.party_tasks.guest_1.tasks.loda: no task named 'loda'; did you mean 'load'?; tasks are "
     "load, "
     "match, fit, judge"},
    {"dag/party_tasks/host_2/tasks/judge", "{}", PARAMS,
     "dag.party_tasks.host_2.tasks.judge: host 2 does not run this task; add it to "
     "dag.tasks.judge.parties, or remove the settings"},
    {"dag/party_tasks/host_2/tasks/load/parameters", "3", PARAMS,
     "dag.party_tasks.host_2.tasks.load.parameters: must be an object, not a number"},
    {"dag/party_tasks/host_2/tasks/load/stage", "train", PARAMS,
     "dag.party_tasks.host_2.tasks.load.stage: unknown field; the fields here are parameters, "
     "conf"},
    {"dag/party_tasks/host_2/conf", "{provider: ':'}", PARAMS,
     "dag.party_tasks.host_2.conf.provider: ':' is not of the form name:version@device; an example "
     "is "
     "fate:2.2.0@local"},
    {"dag/party_tasks/host_2/tasks/load/conf", "{timeout: -1}", PARAMS,
     "dag.party_tasks.host_2.tasks.load.conf.timeout: is -1; it must be between 1 and 315360000"},
};

static void refuse(const struct refusal *r)
{
	json_t *root = yaml(base_text);
	struct err e = {0};
	struct dag *d;

	put(root, r->path, r->value ? yaml(r->value) : NULL);
	d = dag_compile(root, &defaults, &e);
	ck_assert_msg(d == NULL, "taken: %s = %s", r->path, r->value ? r->value : "(removed)");
	ck_assert_str_eq(e.msg, r->msg);
	ck_assert_msg(e.code == r->code, "%s: code %d", e.msg, (int)e.code);
	json_decref(root);
}

#define TABLE_TEST(table)                                                                          \
	START_TEST(refuse_##table)                                                                 \
	{                                                                                          \
		refuse(&table[_i]);                                                                \
	}                                                                                          \
	END_TEST

TABLE_TEST(top)
TABLE_TEST(parties)
TABLE_TEST(conf)
TABLE_TEST(tasks)
TABLE_TEST(inputs)
TABLE_TEST(sites)

START_TEST(not_an_object)
{
	static const char *const texts[] = {"[]", "dag", "1", "null"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		json_t *root = yaml(texts[i]);
		struct err e = {0};

		ck_assert_ptr_null(dag_compile(root, &defaults, &e));
		ck_assert_int_eq(e.code, ERR_JOB_PARAMS);
		ck_assert_ptr_eq(strstr(e.msg, "job definition: must be an object"), e.msg);
		json_decref(root);
	}
}
END_TEST

/* Long and hostile names neither overflow nor forge lines, and the message keeps its reason. */
START_TEST(hostile_names)
{
	char *name = malloc(100001);
	json_t *root = yaml(base_text);
	struct err e = {0};

	memset(name, '\n', 100000);
	name[100000] = 0;
	json_object_set_new(js_get(root, "dag.tasks"), name, yaml("{component_ref: x}"));
	ck_assert_ptr_null(dag_compile(root, &defaults, &e));
	ck_assert_ptr_null(strchr(e.msg, '\n'));
	ck_assert_ptr_nonnull(strstr(e.msg, "is longer than 50 characters"));
	json_object_del(js_get(root, "dag.tasks"), name);

	/* cut between characters, not inside one */
	name[0] = 'a';
	for (size_t i = 1; i + 1 < 1000; i += 2)
		memcpy(name + i, "\xc3\xa9", 2);
	name[999] = 0;
	json_object_set_new(js_get(root, "dag.conf"), name, json_integer(1));
	ck_assert_ptr_null(dag_compile(root, &defaults, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "unknown field"));
	ck_assert(str_is_utf8(e.msg, strlen(e.msg)));
	json_decref(root);
	free(name);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dag_refuse");
	TCase *tc = tcase_create("refuse");

	tcase_add_loop_test(tc, refuse_top, 0, (int)ARRAY_LEN(top));
	tcase_add_loop_test(tc, refuse_parties, 0, (int)ARRAY_LEN(parties));
	tcase_add_loop_test(tc, refuse_conf, 0, (int)ARRAY_LEN(conf));
	tcase_add_loop_test(tc, refuse_tasks, 0, (int)ARRAY_LEN(tasks));
	tcase_add_loop_test(tc, refuse_inputs, 0, (int)ARRAY_LEN(inputs));
	tcase_add_loop_test(tc, refuse_sites, 0, (int)ARRAY_LEN(sites));
	tcase_add_test(tc, not_an_object);
	tcase_add_test(tc, hostile_names);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
