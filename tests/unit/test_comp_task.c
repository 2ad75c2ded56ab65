/* Task configurations, parameters, results and descriptions. */
#include "config.h"
#include "comp_parties.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "component/artifact.h"
#include "component/builtin.h"
#include "component/desc.h"
#include "component/lr_io.h"
#include "component/task.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];

static void make_dir(void)
{
	strcpy(dir, "/tmp/norn-task-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void remove_dir(void)
{
	struct err e;

	ck_assert(fs_remove_tree(dir, &e));
}

/* A configuration of a component with parameters (JSON text) and one guest and one host. */
static json_t *config(const char *component, const char *role, const char *stage,
		      const char *params)
{
	json_t *p = json_loads(params, 0, NULL), *v;
	char *metric = mem_printf("file://%s/metric.json", dir);

	ck_assert_ptr_nonnull(p);
	v = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:{},s:{s:{s:s,s:s}},"
		      "s:{s:{s:s,s:{s:{s:[{s:s,s:s},{s:s,s:s}]}}}}}",
		      "task_id", "J_t", "party_task_id", "J_t_0_guest_1", "task_name", "t",
		      "component", component, "role", role, "party_id", "1", "stage", stage,
		      "parameters", p, "input_artifacts", "output_artifacts", "metric", "uri",
		      metric, "type_name", "json_metric", "conf", "federation", "type", "norn",
		      "metadata", "parties", "parties", "role", "guest", "partyid", "1", "role",
		      "host", "partyid", "2");
	ck_assert_ptr_nonnull(v);
	free(metric);
	return v;
}

static void add_artifact(json_t *c, const char *side, const char *key, const char *name)
{
	char *uri = mem_printf("file://%s/%s", dir, name);

	json_object_set_new(json_object_get(c, side), key, json_pack("{s:s}", "uri", uri));
	free(uri);
}

static struct norn_task *open_task(json_t *c, struct err *e)
{
	return task_new(c, builtin_components, builtin_count, e);
}

/* The configuration must be refused with these words. */
static void refuse(json_t *c, const char *words)
{
	struct err e = {0};
	struct norn_task *t = open_task(c, &e);

	ck_assert_ptr_null(t);
	ck_assert_msg(strstr(e.msg, words) != NULL, "got: %s", e.msg);
}

START_TEST(configurations_are_checked)
{
	json_t *c;

	refuse(json_object(), "task_id");
	refuse(json_array(), "task_id");
	refuse(config("nothing", "guest", "default", "{}"), "no component 'nothing'");
	refuse(config("noop", "king", "default", "{}"), "no role 'king'");
	refuse(config("psi", "arbiter", "default", "{}"), "no role 'arbiter'");
	refuse(config("psi", "guest", "train", "{}"), "no stage 'train'");
	refuse(config("coordinated_lr", "guest", "default", "{}"), "no stage 'default'");
	refuse(config("psi", "guest", "default", "{}"), "input artifact input_data is missing");
	c = config("noop", "guest", "default", "{}");
	json_object_clear(json_object_get(c, "output_artifacts"));
	refuse(c, "output_artifacts.metric is missing");
	c = config("noop", "guest", "default", "{}");
	json_object_set_new(json_object_get(c, "conf"), "computing",
			    json_pack("{s:{s:{s:i}}}", "metadata", "options", "task_cores", 0));
	refuse(c, "task_cores");
	c = config("noop", "guest", "default", "{}");
	json_array_append_new(js_get(c, "conf.federation.metadata.parties.parties"),
			      json_pack("{s:s}", "role", "guest"));
	refuse(c, "party 3");
	c = config("psi", "guest", "default", "{}");
	json_object_set_new(json_object_get(c, "input_artifacts"), "input_data", json_array());
	refuse(c, "takes one value, not a list");
}
END_TEST

START_TEST(parameters_are_checked)
{
	json_t *reader;

	refuse(config("noop", "guest", "default", "{\"sleep\":1}"),
	       "unknown parameter sleep (known: sleep_ms, fail, stdout_lines, message)");
	refuse(config("noop", "guest", "default", "{\"sleep_ms\":-1}"), "not within 0 and");
	refuse(config("noop", "guest", "default", "{\"sleep_ms\":\"1\"}"), "not a whole number");
	refuse(config("noop", "guest", "default", "{\"sleep_ms\":1.5}"), "not a whole number");
	reader = config("reader", "guest", "default", "{\"name\":null}");
	add_artifact(reader, "output_artifacts", "output_data", "out");
	refuse(reader, "parameter name must not be null");
	reader = config("reader", "guest", "default", "{\"name\":\"x\"}");
	add_artifact(reader, "output_artifacts", "output_data", "out");
	refuse(reader, "parameter namespace is missing");
	refuse(config("noop", "guest", "default", "{\"message\":[]}"), "not a string");
}
END_TEST

START_TEST(defaults_and_parties)
{
	struct err e = {0};
	struct norn_task *t = open_task(
	    config("noop", "guest", "default", "{\"stdout_lines\":null,\"fail\":1.0}"), &e);

	ck_assert_msg(t != NULL, "%s", e.msg);
	ck_assert_int_eq(norn_param_int(t, "sleep_ms", -7), 0);
	ck_assert_int_eq(norn_param_int(t, "fail", -7), 1);
	ck_assert_ptr_null(norn_param_str(t, "message"));
	ck_assert_int_eq(norn_param_int(t, "message", -7), -7);
	ck_assert_uint_eq(norn_party_count(t, NORN_GUEST), 1);
	ck_assert_str_eq(norn_party(t, NORN_HOST, 0), "2");
	ck_assert_ptr_null(norn_party(t, NORN_HOST, 1));
	ck_assert_uint_eq(norn_party_count(t, NORN_ARBITER), 0);
	ck_assert_uint_eq(norn_cores(t), 1);
	task_free(t);
}
END_TEST

static struct norn_frame *table(size_t n, bool label)
{
	struct norn_frame *f = norn_frame_new(n, "id", "id");
	size_t i;

	if (label)
		norn_frame_set_label(f, "y", NORN_INT32);
	norn_frame_add_column(f, "a", NORN_FLOAT64);
	for (i = 0; i < n; i++) {
		f->sample_id[i] = mem_printf("r%zu", i);
		f->match_id[i] = mem_printf("r%zu", i);
		f->columns[0].num[i] = (double)i;
		if (label)
			f->label->num[i] = (double)(i % 2);
	}
	return f;
}

static void store(const char *name, const struct norn_frame *f)
{
	char *uri = mem_printf("file://%s/%s", dir, name);
	struct err e = {0};

	ck_assert_msg(artifact_write_frame(uri, f, &e), "%s", e.msg);
	free(uri);
}

START_TEST(a_task_and_its_result)
{
	struct norn_frame *f = table(150, false);
	json_t *c = config("noop", "guest", "default", "{}"), *r, *out;
	struct err e = {0};
	struct norn_task *t;
	char *path = mem_printf("%s/metric.json", dir);

	store("in", f);
	add_artifact(c, "input_artifacts", "input_data", "in");
	add_artifact(c, "output_artifacts", "output_data", "out");
	t = open_task(c, &e);
	ck_assert_msg(t != NULL && task_run(t, &e), "%s", e.msg);
	r = task_result_ok(t);
	ck_assert_int_eq(js_int(js_get(r, "status"), "code", -9), 0);
	out = js_get(r, "io_meta.outputs.data.output_data");
	ck_assert(js_bool(out, "consumed", false));
	ck_assert_str_eq(js_str(out, "type_name", ""), "dataframe");
	ck_assert_str_eq(js_str(js_get(out, "metadata.source"), "task_name", ""), "t");
	ck_assert_int_eq(js_int(js_get(out, "metadata.data_overview"), "count", 0), 150);
	ck_assert_uint_eq(json_array_size(js_get(out, "metadata.data_overview.samples")), 100);
	ck_assert_uint_eq(
	    json_array_size(js_get(out, "metadata.metadata.schema.schema_meta.fields")), 3);
	/* an input that may be several is told as a list */
	ck_assert_uint_eq(json_array_size(js_get(r, "io_meta.inputs.data.input_data")), 1);
	ck_assert(js_bool(json_array_get(js_get(r, "io_meta.inputs.data.input_data"), 0),
			  "consumed", false));
	ck_assert_ptr_nonnull(js_get(r, "io_meta.outputs.metric.metric"));
	ck_assert(fs_exists(path)); /* written, though empty */
	json_decref(r);
	task_free(t);
	norn_frame_free(f);
	free(path);
}
END_TEST

/* Run a component that must fail with these words. */
static void run_fails(json_t *c, const char *words)
{
	struct err e = {0};
	struct norn_task *t = open_task(c, &e);
	json_t *r;

	ck_assert_msg(t != NULL, "%s", e.msg);
	ck_assert(!task_run(t, &e));
	ck_assert_msg(strstr(e.msg, words) != NULL, "got: %s", e.msg);
	r = task_result_failed(&e);
	ck_assert_int_eq(js_int(js_get(r, "status"), "code", 0), -1);
	ck_assert_str_eq(js_str(js_get(r, "status"), "exceptions", ""), e.msg);
	json_decref(r);
	task_free(t);
}

static void store_predictions(const char *name, double odd)
{
	struct norn_frame *f = table(10, true);

	free(f->columns[0].name);
	f->columns[0].name = mem_strdup("predict_score");
	f->label->num[5] = odd;
	store(name, f);
	norn_frame_free(f);
}

static json_t *evaluation(const char *params, const char *input)
{
	json_t *c = config("evaluation", "guest", "default", params), *in;

	add_artifact(c, "input_artifacts", "input_datas", input);
	in = json_incref(js_get(c, "input_artifacts.input_datas"));
	json_object_set_new(in, "metadata", json_pack("{s:{s:s}}", "source", "task_name", "lr_0"));
	json_object_set_new(json_object_get(c, "input_artifacts"), "input_datas",
			    json_pack("[o]", in));
	return c;
}

START_TEST(evaluation_runs_and_refuses)
{
	struct err e = {0};
	struct norn_task *t;
	json_t *list, *v = NULL;
	char *path = mem_printf("%s/metric.json", dir);
	size_t i;

	store_predictions("good", 1);
	store_predictions("bad", 7);
	run_fails(evaluation("{}", "bad"), "label is not binary: row 6 has 7");
	run_fails(evaluation("{\"metrics\":[\"gini\"]}", "good"), "'gini' is not supported");
	run_fails(evaluation("{\"metrics\":[]}", "good"), "empty");
	run_fails(evaluation("{\"predict_column_name\":\"p\"}", "good"), "no column p");
	run_fails(evaluation("{\"label_column_name\":\"l\"}", "good"), "no column l");
	run_fails(evaluation("{}", "absent"), "input input_datas");
	t = open_task(evaluation("{}", "good"), &e);
	ck_assert_msg(t != NULL && task_run(t, &e), "%s", e.msg);
	task_free(t);
	list = js_load_file(path, &js_limits_default, &e);
	ck_assert_uint_eq(json_array_size(list), 3); /* roc, ks, evaluation */
	for (i = 0; i < 3; i++)
		if (strcmp(js_str(json_array_get(list, i), "name", ""), "evaluation") == 0)
			v = js_get(json_array_get(list, i), "data.lr_0.origin");
	/* scores 0..9, labels alternate: 15 of 25 pairs are in order */
	ck_assert_str_eq(js_str(json_array_get(v, 0), "metric", ""), "auc");
	ck_assert_double_eq_tol(js_num(json_array_get(v, 0), "val", 0), 0.6, 1e-12);
	json_decref(list);
	free(path);
}
END_TEST

START_TEST(reader_names_its_table)
{
	json_t *c = config("reader", "guest", "default", "{\"name\":\"n\",\"namespace\":\"s\"}"),
	       *r;
	struct err e = {0};
	struct norn_task *t;

	add_artifact(c, "output_artifacts", "output_data", "out");
	t = open_task(c, &e);
	ck_assert_msg(t != NULL && task_run(t, &e), "%s", e.msg);
	r = task_result_ok(t);
	ck_assert_str_eq(js_str(js_get(r, "io_meta.outputs.data.output_data"), "type_name", ""),
			 "data_unresolved");
	ck_assert_str_eq(
	    js_str(js_get(r, "io_meta.outputs.data.output_data.metadata"), "namespace", ""), "s");
	json_decref(r);
	task_free(t);
}
END_TEST

/* coordinated_lr's parameters as a task gives them. */
static bool lr_params(const char *text, struct lr_params *p, struct err *e)
{
	json_t *c = config("coordinated_lr", "guest", "train", text);
	struct norn_task *t;
	bool ok;

	add_artifact(c, "input_artifacts", "train_data", "x");
	add_artifact(c, "output_artifacts", "output_model", "m");
	t = open_task(c, e);
	ok = t != NULL && lr_params_from_task(t, p, e);
	task_free(t);
	return ok;
}

START_TEST(lr_parameters)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
	    {"{\"epochs\":0}", "epochs"},
	    {"{\"batch_size\":9}", "batch_size"},
	    {"{\"early_stop\":\"never\"}", "early_stop"},
	    {"{\"he_param\":{\"kind\":\"paillier\",\"key_length\":1024}}", "key_length"},
	    {"{\"he_param\":{\"kind\":\"ou\"}}", "'ou' is not supported"},
	    {"{\"he_param\":{\"kind\":\"mock\"}}", "'mock' is not supported"},
	    {"{\"he_param\":{\"key_length\":2050}}", "multiple of 64"},
	    {"{\"init_param\":{\"method\":\"magic\"}}", "init_param.method"},
	    {"{\"learning_rate_scheduler\":{\"method\":\"step\"}}", "step_size is missing"},
	    {"{\"optimizer\":{\"method\":\"nadam\"}}", "'nadam' is not supported"},
	    {"{\"floating_point_precision\":0}", "floating_point_precision"},
	    {"{\"encrypted\":false}", "unknown parameter encrypted"},
	};
	struct lr_params p;
	struct err e = {0};
	size_t i;

	ck_assert_msg(lr_params("{}", &p, &e), "%s", e.msg);
	ck_assert_int_eq(p.key_bits, 2048);
	ck_assert_int_eq(p.epochs, 20);
	ck_assert_uint_eq(p.batch_size, 0);
	ck_assert(p.fit_intercept && !p.seeded && p.early_stop == LR_STOP_DIFF);
	ck_assert_msg(lr_params("{\"epochs\":3,\"batch_size\":100,\"early_stop\":\"weight_diff\","
				"\"init_param\":{\"method\":\"zeros\",\"fit_intercept\":false,"
				"\"random_state\":5},\"optimizer\":{\"method\":\"rmsprop\","
				"\"penalty\":\"L2\",\"alpha\":0.001,\"optimizer_params\":{\"lr\":"
				"0.2}},\"he_param\":{\"kind\":\"paillier\",\"key_length\":3072}}",
				&p, &e),
		      "%s", e.msg);
	ck_assert(p.batch_size == 100 && p.key_bits == 3072 && p.seeded && p.seed == 5);
	ck_assert(p.optim.method == OPTIM_RMSPROP && p.early_stop == LR_STOP_WEIGHT_DIFF);
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_msg(!lr_params(bad[i].text, &p, &e), "%s", bad[i].text);
		ck_assert_msg(strstr(e.msg, bad[i].words) != NULL, "got: %s", e.msg);
	}
}
END_TEST

START_TEST(lr_tables_and_models)
{
	struct norn_frame *f = table(6, true);
	struct lr_table t;
	struct lr_model m;
	struct err e = {0};
	bool intercept;
	json_t *header = json_pack("[s]", "b"), *model;

	ck_assert_msg(lr_table_from_frame(f, NULL, true, &t, &e), "%s", e.msg);
	ck_assert_double_eq(t.y[0], -1);
	ck_assert_double_eq(t.y[1], 1);
	ck_assert_double_eq(t.labels[0], 0);
	lr_table_free(&t);
	ck_assert(!lr_table_from_frame(f, header, false, &t, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "lacks the model's column b"));
	lr_table_free(&t);
	f->label->num[3] = 2;
	ck_assert(!lr_table_from_frame(f, NULL, true, &t, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "row 4: label 2"));
	lr_table_free(&t);
	f->label->num[3] = -1;
	ck_assert(!lr_table_from_frame(f, NULL, true, &t, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "three values"));
	lr_table_free(&t);
	json_decref(header);
	norn_frame_free(f);

	model = json_loads("{\"data\":{\"estimator\":{\"header\":[\"a\",\"b\"],\"fit_intercept\":"
			   "true,\"param\":{\"coef_\":[[1.5],[2]],\"intercept_\":[-3]}}}}",
			   0, NULL);
	ck_assert_msg(lr_model_from_json(model, &m, &intercept, &e), "%s", e.msg);
	ck_assert(intercept && m.n == 3 && m.w[0] == 1.5 && m.w[2] == -3);
	lr_model_free(&m);
	json_array_append_new(js_get(model, "data.estimator.header"), json_string("c"));
	ck_assert(!lr_model_from_json(model, &m, &intercept, &e));
	json_decref(model);
	model = json_object();
	ck_assert(!lr_model_from_json(model, &m, &intercept, &e));
	json_decref(model);
}
END_TEST

START_TEST(every_component_describes_itself)
{
	json_t *d, *p, *v;
	const char *key;
	size_t i, j;

	for (i = 0; i < builtin_count; i++) {
		const struct norn_component *c = builtin_components[i];

		d = desc_component(c);
		ck_assert_ptr_nonnull(d);
		ck_assert_str_eq(js_str(js_get(d, "component"), "name", ""), c->name);
		ck_assert_ptr_nonnull(js_get(d, "component.output_artifacts.metric.metric"));
		p = js_get(d, "component.parameters");
		ck_assert_uint_eq(json_object_size(p), c->n_params);
		json_object_foreach (p, key, v) {
			ck_assert_msg(strlen(js_str(v, "description", "")) > 0, "%s.%s", c->name,
				      key);
		}
		/* every default must pass its own declaration */
		for (j = 0; j < c->n_params; j++) {
			struct err e = {0};
			json_t *def, *checked;

			if (c->params[j].def == NULL)
				continue;
			def = json_loads(c->params[j].def, JSON_DECODE_ANY, NULL);
			checked = def ? param_check(&c->params[j], def, "x", &e) : NULL;
			ck_assert_msg(checked != NULL, "%s.%s: %s", c->name, c->params[j].name,
				      e.msg);
			json_decref(def);
			json_decref(checked);
		}
		json_decref(d);
	}
}
END_TEST

START_TEST(artifact_types)
{
	const struct norn_component *c =
	    component_find(builtin_components, builtin_count, "coordinated_lr");
	json_t *v = desc_artifact_types(c, NORN_ARBITER, NORN_TRAIN);

	ck_assert_uint_eq(json_array_size(js_get(v, "inputs.data")), 0);
	ck_assert_uint_eq(json_array_size(js_get(v, "inputs.model")), 1);
	ck_assert_uint_eq(json_array_size(js_get(v, "outputs.model")), 1);
	ck_assert_uint_eq(json_array_size(js_get(v, "outputs.metric")), 1);
	json_decref(v);
	v = desc_artifact_types(c, NORN_GUEST, NORN_PREDICT);
	ck_assert_str_eq(js_str(json_array_get(js_get(v, "inputs.data"), 0), "name", ""),
			 "test_data");
	ck_assert_str_eq(
	    js_str(json_array_get(js_get(json_array_get(js_get(v, "inputs.data"), 0), "types"), 0),
		   "path_type", ""),
	    "directory");
	json_decref(v);
	v = desc_list(builtin_components, builtin_count);
	ck_assert_uint_eq(json_array_size(json_object_get(v, "buildin")), builtin_count);
	json_decref(v);
}
END_TEST

/* Models outlive the machine's next crash: written whole beside what was there, then renamed. */
START_TEST(models_are_replaced_whole)
{
	json_t *c = config("coordinated_lr", "guest", "train", "{}");
	json_t *first = json_pack("{s:i}", "n", 1), *second = json_pack("{s:i}", "n", 2);
	char *path = mem_printf("%s/m", dir), *other = mem_printf("%s/other", dir);
	struct err e = {0};
	struct norn_task *t;
	json_t *was, *is;

	add_artifact(c, "input_artifacts", "train_data", "x");
	add_artifact(c, "output_artifacts", "output_model", "m");
	t = open_task(c, &e);
	ck_assert_msg(t != NULL, "%s", e.msg);
	ck_assert_msg(norn_write_model(t, "output_model", first, &e), "%s", e.msg);
	ck_assert_int_eq(link(path, other), 0);
	ck_assert_msg(norn_write_model(t, "output_model", second, &e), "%s", e.msg);
	was = js_load_file(other, &js_limits_default, &e);
	is = js_load_file(path, &js_limits_default, &e);
	ck_assert(json_equal(was, first));
	ck_assert(json_equal(is, second));
	json_decref(was);
	json_decref(is);
	json_decref(first);
	json_decref(second);
	free(path);
	free(other);
	task_free(t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("comp_task");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, make_dir, remove_dir);
	tcase_add_test(t, configurations_are_checked);
	tcase_add_test(t, parameters_are_checked);
	tcase_add_test(t, defaults_and_parties);
	tcase_add_test(t, a_task_and_its_result);
	tcase_add_test(t, evaluation_runs_and_refuses);
	tcase_add_test(t, reader_names_its_table);
	tcase_add_test(t, lr_parameters);
	tcase_add_test(t, lr_tables_and_models);
	tcase_add_test(t, models_are_replaced_whole);
	tcase_add_test(t, every_component_describes_itself);
	tcase_add_test(t, artifact_types);
	suite_add_tcase(s, t);
	return run_suite(s);
}
