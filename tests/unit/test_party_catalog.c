/* Finding components among the registered providers, and what a party keeps of a job. */
#include "base/js.h"
#include "dag/dag.h"
#include "party/catalog.h"
#include "party/create.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static json_t *providers;

static void add(const char *provider, const char *name, const char *version, const char *components)
{
	json_object_set_new(providers, provider,
			    json_pack("{s:s, s:s, s:s, s:o}", "name", name, "version", version,
				      "device", "local", "components",
				      json_loads(components, 0, NULL)));
}

static void set_up(void)
{
	providers = json_object();
	add("norn:0.9.1@local", "norn", "0.9.1", "{\"psi\": {\"v\": 9}, \"noop\": {}}");
	add("norn:0.10.0@local", "norn", "0.10.0",
	    "{\"psi\": {\"v\": 10}, \"coordinated_lr\": {}}");
	add("fate:2.2.0@local", "fate", "2.2.0", "{\"psi\": {\"v\": 2}}");
}

static void tear_down(void)
{
	json_decref(providers);
}

static int64_t version_of(const char *provider)
{
	const char *name;
	struct err e;
	const json_t *d = catalog_component(providers, provider, "psi", &name, &e);

	return d == NULL ? -1 : js_int(d, "v", 0);
}

START_TEST(exact_and_wildcards)
{
	ck_assert_int_eq(version_of("norn:0.9.1@local"), 9);
	ck_assert_int_eq(version_of("norn:*@local"), 10); /* 0.10 is newer than 0.9 */
	ck_assert_int_eq(version_of("norn:*@*"), 10);
	ck_assert_int_eq(version_of("*:0.9.1@local"), 9);
	ck_assert_int_eq(version_of("norn"), 10);
	ck_assert_int_eq(version_of("fate:2.2.0@local"), 2);
	ck_assert_int_eq(version_of("fate:2.2.0@docker"), -1);
	ck_assert_int_eq(version_of("norn:0.9@local"), -1);
	ck_assert_int_eq(version_of("nor:*@local"), -1);
	ck_assert(catalog_has_provider(providers, "fate:*@local"));
	ck_assert(!catalog_has_provider(providers, "spark:*@local"));
}
END_TEST

START_TEST(errors_name_the_nearest)
{
	const char *name;
	struct err e;

	ck_assert_ptr_null(
	    catalog_component(providers, "norn:*@local", "coordinated_lrr", &name, &e));
	ck_assert_int_eq(e.code, ERR_JOB_PARAMS);
	ck_assert_ptr_nonnull(strstr(e.msg, "did you mean 'coordinated_lr'?"));
	ck_assert_ptr_nonnull(strstr(e.msg, "norn:0.10.0@local"));
	ck_assert_ptr_null(catalog_component(providers, "norn:*@local", "zzz", &name, &e));
	ck_assert_ptr_null(strstr(e.msg, "did you mean"));
	ck_assert_ptr_nonnull(strstr(e.msg, "psi, coordinated_lr"));
	ck_assert_ptr_null(catalog_component(providers, "norn:0.10.1@local", "psi", &name, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "did you mean 'norn:0.10.0@local'?"));
}
END_TEST

static const struct dag_defaults def = {"9999", 4, 4, 259200, 8, 0, "norn:*@local"};

static struct dag *compile(void)
{
	static const char text[] = "{\"schema_version\":\"2.2.0\",\"dag\":{\"stage\":\"default\","
				   "\"parties\":[{\"role\":\"guest\",\"party_id\":"
				   "[\"9999\"]},{\"role\":\"arbiter\",\"party_id\":[\"10000\"]}],"
				   "\"conf\":{\"cores\":2},\"tasks\":{\"a\":{"
				   "\"component_ref\":\"psi\",\"parties\":[{\"role\":\"guest\","
				   "\"party_id\":[\"9999\"]}]},\"b\":{"
				   "\"component_ref\":\"coordinated_lr\",\"conf\":{\"timeout\":5},"
				   "\"inputs\":{\"data\":{\"x\":{"
				   "\"task_output_artifact\":{\"producer_task\":\"a\",\"output_"
				   "artifact_key\":\"o\",\"parties\":[{\"role\":"
				   "\"guest\",\"party_id\":[\"9999\"]}]}}}}}}}}";
	json_t *root = json_loads(text, 0, NULL);
	struct err e;
	struct dag *d = dag_compile(root, &def, &e);

	ck_assert_msg(d != NULL, "%s", e.msg);
	json_decref(root);
	return d;
}

START_TEST(payload_of_each_party)
{
	struct dag *d = compile();
	struct err e;
	json_t *guest = party_create_payload(d, 0, "J1", &def, &e);
	json_t *arbiter = party_create_payload(d, 1, "J1", &def, &e);
	const json_t *task;

	ck_assert_str_eq(js_str(guest, "role", ""), "guest");
	ck_assert_str_eq(js_str(guest, "model_id", ""), "J1");
	ck_assert_str_eq(js_str(guest, "model_version", ""), "0");
	ck_assert_int_eq(js_int(guest, "cores", -1), 4);
	ck_assert_uint_eq(json_array_size(json_object_get(guest, "tasks")), 2);
	task = json_array_get(json_object_get(guest, "tasks"), 1);
	ck_assert_str_eq(js_str(task, "task_name", ""), "b");
	ck_assert_int_eq(js_int(task, "task_no", -1), 1);
	ck_assert_int_eq(js_int(task, "party_no", -1), 0);
	ck_assert_int_eq(js_int(task, "timeout_s", -1), 5);
	/* an arbiter holds nothing, and does not run what it takes no part in */
	ck_assert_int_eq(js_int(arbiter, "cores", -1), 0);
	ck_assert_uint_eq(json_array_size(json_object_get(arbiter, "tasks")), 1);
	ck_assert_int_eq(
	    js_int(json_array_get(json_object_get(arbiter, "tasks"), 0), "task_no", -1), 1);
	json_decref(guest);
	json_decref(arbiter);
	dag_free(d);
}
END_TEST

START_TEST(settling_finds_the_provider)
{
	struct dag *d = compile();
	char engine[] = "standalone";
	const struct node_conf conf = {.engine = engine};
	struct err e;
	json_t *p = party_create_payload(d, 0, "J1", &def, &e);

	ck_assert_msg(party_create_settle(p, &conf, providers, &e), "%s", e.msg);
	ck_assert_str_eq(js_str(p, "engine", ""), "standalone");
	ck_assert_str_eq(js_str(json_array_get(json_object_get(p, "tasks"), 0), "provider", ""),
			 "norn:0.10.0@local");
	json_object_del(
	    json_object_get(json_object_get(providers, "norn:0.10.0@local"), "components"), "psi");
	ck_assert(!party_create_settle(p, &conf, providers, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "dag.tasks.a"));
	json_decref(p);
	dag_free(d);
}
END_TEST

START_TEST(body_compiles_to_the_same)
{
	struct dag *d = compile();
	json_t *body = party_create_body(d, 1, "J1", "ann");
	json_t *root = json_pack("{s:O, s:O, s:O}", "dag", json_object_get(body, "dag"),
				 "schema_version", json_object_get(body, "schema_version"), "kind",
				 json_object_get(body, "kind"));
	struct err e;
	struct dag *other = dag_compile(root, &def, &e);
	json_t *a = party_create_payload(d, 1, "J1", &def, &e);
	json_t *b = party_create_payload(other, 1, "J1", &def, &e);

	ck_assert_str_eq(js_str(body, "party_id", ""), "10000");
	ck_assert_str_eq(js_str(body, "user_name", ""), "ann");
	ck_assert(json_equal(a, b));
	json_decref(a);
	json_decref(b);
	json_decref(root);
	json_decref(body);
	dag_free(other);
	dag_free(d);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("party_catalog");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, exact_and_wildcards);
	tcase_add_test(tc, errors_name_the_nearest);
	tcase_add_test(tc, payload_of_each_party);
	tcase_add_test(tc, settling_finds_the_provider);
	tcase_add_test(tc, body_compiles_to_the_same);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
