/* Topological order, cycles, and definitions as large as allowed. */
#include "dag_test.h"

#include "base/clock.h"

#include <stdio.h>

/* edges: "b<a c<a,b" - tasks in that order, each with its producers. */
static json_t *graph(const char *edges)
{
	json_t *tasks = json_object();
	char *copy = strdup(edges), *save = NULL;

	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		json_t *channels = json_array(), *t = json_pack("{s:s}", "component_ref", "noop");
		char *up = strchr(w, '<'), *save2 = NULL;

		if (up)
			*up++ = 0;
		for (char *p = up ? strtok_r(up, ",", &save2) : NULL; p;
		     p = strtok_r(NULL, ",", &save2))
			json_array_append_new(channels, json_pack("{s:s, s:s}", "producer_task", p,
								  "output_artifact_key", "o"));
		if (json_array_size(channels))
			json_object_set_new(t, "inputs",
					    json_pack("{s:{s:{s:O}}}", "data", "in",
						      "task_output_artifact", channels));
		json_decref(channels);
		json_object_set_new(tasks, w, t);
	}
	free(copy);
	return json_pack("{s:s, s:{s:s, s:[{s:s, s:[s]}], s:o}}", "schema_version", "2.2.0", "dag",
			 "stage", "default", "parties", "role", "guest", "party_id", "1", "tasks",
			 tasks);
}

static void expect_order(const char *edges, const char *want)
{
	struct dag *d = compile_tree(graph(edges));
	struct buf b = {0};

	for (size_t i = 0; i < d->n_tasks; i++)
		buf_printf(&b, "%s%s", i ? " " : "", d->tasks[i].name);
	ck_assert_str_eq(buf_str(&b), want);
	buf_free(&b);
	dag_free(d);
}

START_TEST(order)
{
	expect_order("a", "a");
	expect_order("c b a", "c b a");
	expect_order("a<b b<c c", "c b a");
	expect_order("a<d b c<a d", "b d a c");
	expect_order("d<b,c b<a c<a a", "a b c d");
	expect_order("z a<z m b<a,m", "z a m b");
}
END_TEST

/* The order by definition: again and again the first task whose producers are all placed. */
START_TEST(order_of_random_graphs)
{
	unsigned seed = 20240601;

	for (int round = 0; round < 30; round++) {
		enum { N = 60 };
		bool edge[N][N] = {{false}}, placed[N] = {false};
		struct buf b = {0}, want = {0};

		for (int i = 0; i < N; i++)
			for (int k = 0; k < N; k++) {
				seed = seed * 1103515245u + 12345u;
				/* edges follow a hidden order that is not the DAG's */
				edge[i][k] = (k * 37) % N < (i * 37) % N && (seed >> 16) % 25 == 0;
			}
		for (int i = 0; i < N; i++) {
			int n = 0;

			buf_printf(&b, "t%d", i);
			for (int k = 0; k < N; k++)
				if (edge[i][k])
					buf_printf(&b, "%ct%d", n++ ? ',' : '<', k);
			buf_addc(&b, ' ');
		}
		for (int n = 0; n < N; n++)
			for (int i = 0; i < N; i++) {
				bool ready = !placed[i];

				for (int k = 0; k < N; k++)
					ready = ready && (!edge[i][k] || placed[k]);
				if (!ready)
					continue;
				placed[i] = true;
				buf_printf(&want, "%st%d", n ? " " : "", i);
				break;
			}
		expect_order(buf_str(&b), buf_str(&want));
		buf_free(&b);
		buf_free(&want);
	}
}
END_TEST

START_TEST(links)
{
	struct dag *d = compile_tree(graph("d<c,b,c,b a b<a c<a"));
	const struct dag_task *t = &d->tasks[task_of(d, "d")];

	ck_assert_uint_eq(t->n_deps, 2); /* each producer once, ascending */
	ck_assert_int_eq(t->deps[0], task_of(d, "b"));
	ck_assert_int_eq(t->deps[1], task_of(d, "c"));
	ck_assert_int_lt(t->deps[0], t->deps[1]);
	ck_assert_uint_eq(t->n_children, 0);
	t = &d->tasks[task_of(d, "a")];
	ck_assert_uint_eq(t->n_children, 2);
	ck_assert_int_eq(t->children[0], task_of(d, "b"));
	ck_assert_int_eq(t->children[1], task_of(d, "c"));
	dag_free(d);
}
END_TEST

static void expect_cycle(const char *edges, const char *want)
{
	json_t *root = graph(edges);
	struct err e = {0};

	ck_assert_ptr_null(dag_compile(root, &defaults, &e));
	ck_assert_int_eq(e.code, ERR_JOB_CREATE);
	ck_assert_str_eq(e.msg, want);
	json_decref(root);
}

START_TEST(cycles)
{
	expect_cycle("a<a", "dag.tasks.a.inputs: the task takes its own output as input: a <- a");
	expect_cycle("a<b b<a",
		     "dag.tasks.a.inputs: the tasks wait for each other in a circle: a <- b "
		     "<- a; take one of these inputs away");
	/* a and e only hang on the circle: they are not part of it */
	expect_cycle(
	    "a<b b<c c<d d<b e<a",
	    "dag.tasks.b.inputs: the tasks wait for each other in a circle: b <- c <- d <- b; "
	    "take one of these inputs away");
	expect_cycle("ok x<ok,y y<x",
		     "dag.tasks.x.inputs: the tasks wait for each other in a circle: x <- y <- x; "
		     "take one of these inputs away");
}
END_TEST

START_TEST(long_cycle_is_shortened)
{
	struct buf b = {0};
	struct err e = {0};
	json_t *root;

	for (int i = 0; i < 500; i++)
		buf_printf(&b, "t%d<t%d ", i, (i + 1) % 500);
	root = graph(buf_str(&b));
	ck_assert_ptr_null(dag_compile(root, &defaults, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "circle: t0 <- t1 <- t2 <- "));
	ck_assert_ptr_nonnull(strstr(e.msg, "t11 <- ... (500 tasks) <- t0; take one"));
	json_decref(root);
	buf_free(&b);
}
END_TEST

/* n tasks in rows of `width`; each takes the output of all tasks of the row before it. */
static json_t *big(int n, int width)
{
	struct buf b = {0};
	json_t *root;

	for (int i = 0; i < n; i++) {
		int row = i / width;

		buf_printf(&b, "task_number_%d", i);
		for (int k = 0; row > 0 && k < width; k++)
			buf_printf(&b, "%ctask_number_%d", k ? ',' : '<', (row - 1) * width + k);
		buf_addc(&b, ' ');
	}
	root = graph(buf_str(&b));
	buf_free(&b);
	return root;
}

/* Wall time of one compilation, ms; checks the result. */
static int64_t time_compile(int n, int width)
{
	json_t *root = big(n, width);
	struct err e = {0};
	int64_t start = clock_mono_ms(), took;
	struct dag *d = dag_compile(root, &defaults, &e);

	took = clock_mono_ms() - start;
	ck_assert_msg(d != NULL, "%s", e.msg);
	ck_assert_uint_eq(d->n_tasks, (size_t)n);
	for (size_t i = 0; i < d->n_tasks; i++) {
		ck_assert_uint_eq(d->tasks[i].n_deps, i < (size_t)width ? 0 : (size_t)width);
		for (size_t k = 0; k < d->tasks[i].n_deps; k++)
			ck_assert_int_lt(d->tasks[i].deps[k], (int)i);
	}
	dag_free(d);
	json_decref(root);
	return took;
}

START_TEST(ten_thousand_tasks)
{
	int64_t chain = time_compile(10000, 1), wide = time_compile(10000, 10);

	printf("10,000 tasks: chain %lld ms, 100,000 edges %lld ms\n", (long long)chain,
	       (long long)wide);
	/* Far above the budget of 200 ms, since sanitizers are slow; far below what O(n^2) takes.
	 */
	ck_assert_int_lt(chain, 3000);
	ck_assert_int_lt(wide, 6000);
}
END_TEST

static void expect_limit(json_t *root, const char *want)
{
	struct err e = {0};

	ck_assert_ptr_null(dag_compile(root, &defaults, &e));
	ck_assert_int_eq(e.code, ERR_LIMIT);
	ck_assert_str_eq(e.msg, want);
	json_decref(root);
}

START_TEST(too_many_tasks)
{
	expect_limit(big(DAG_TASKS_MAX + 1, DAG_TASKS_MAX + 1),
		     "dag.tasks: 20001 tasks; the limit is 20000");
}
END_TEST

static json_t *ids(int n)
{
	json_t *list = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(list, json_integer(i));
	return list;
}

START_TEST(too_many_parties)
{
	json_t *root = graph("a");
	struct dag *d;

	put(root, "dag/parties/0/party_id", ids(DAG_PARTIES_MAX));
	d = compile_tree(json_incref(root));
	ck_assert_uint_eq(d->n_parties, DAG_PARTIES_MAX);
	ck_assert_int_eq(dag_find_party(d, ROLE_GUEST, "999"), 999);
	dag_free(d);
	put(root, "dag/parties/0/party_id", ids(DAG_PARTIES_MAX + 1));
	expect_limit(root, "dag.parties[0].party_id[1000]: more than 1000 parties");
}
END_TEST

START_TEST(too_many_task_parties)
{
	json_t *root = big(1001, 1001);

	put(root, "dag/parties/0/party_id", ids(1000));
	expect_limit(root,
		     "dag.tasks: tasks times parties is more than 1000000; split the job, or give "
		     "tasks fewer parties");
}
END_TEST

/* Many sites that name the same many parties for many tasks. */
START_TEST(too_many_settings)
{
	json_t *root = big(334, 334), *tasks = json_object();
	struct dag *d;

	put(root, "dag/parties/0/party_id", ids(1000));
	for (int i = 0; i < 333; i++) {
		char name[32];

		snprintf(name, sizeof(name), "task_number_%d", i);
		json_object_set_new(tasks, name, json_object());
	}
	for (int i = 0; i < 3; i++) {
		json_t *site =
		    json_pack("{s:O, s:O}", "parties", js_get(root, "dag.parties"), "tasks", tasks);
		char path[32];

		if (i == 2) {
			d = compile_tree(json_deep_copy(root));
			dag_free(d);
		}
		snprintf(path, sizeof(path), "dag/party_tasks/s%d", i);
		put(root, path, site);
	}
	json_decref(tasks);
	expect_limit(root,
		     "dag.party_tasks.s2: more than 1000000 settings of one party for one task");
}
END_TEST

START_TEST(too_deep)
{
	json_t *root = graph("a"), *v = json_object();

	for (int i = 0; i < 40; i++)
		v = json_pack("{s:o}", "x", v);
	put(root, "dag/tasks/a/parameters", json_incref(v));
	expect_limit(json_deep_copy(root),
		     "dag.tasks.a.parameters: is nested deeper than 32 levels");
	for (int i = 0; i < 40; i++)
		v = json_pack("[o]", v);
	put(root, "dag/tasks/a/parameters", v);
	expect_limit(root, "job definition: is nested deeper than 64 levels");
}
END_TEST

START_TEST(too_large)
{
	json_t *root = graph("a"), *list = json_array();
	char *text = malloc(1048577);

	memset(text, 'x', 1048576);
	text[1048576] = 0;
	put(root, "dag/tasks/a/parameters", json_pack("{s:s}", "p", text));
	expect_limit(json_deep_copy(root),
		     "dag.tasks.a.parameters: is larger than 1048576 bytes of "
		     "JSON; put large data in a table");
	free(text);
	/* aliases are counted as often as they stand */
	for (int i = 0; i < 1000; i++)
		json_array_append_new(list, json_null());
	for (int i = 0; i < 4; i++) {
		json_t *up = json_array();

		for (int k = 0; k < 100; k++)
			json_array_append(up, list);
		json_decref(list);
		list = up;
	}
	put(root, "dag/tasks/a/parameters", json_pack("{s:o}", "p", list));
	expect_limit(root, "job definition: has more than 2000000 values");
}
END_TEST

START_TEST(too_many_channels)
{
	json_t *root = graph("a b<a"), *list = json_array();
	json_t *one = json_pack("{s:s, s:s}", "producer_task", "a", "output_artifact_key", "o");

	for (int i = 0; i < 10001; i++)
		json_array_append(list, one);
	json_decref(one);
	put(root, "dag/tasks/b/inputs/data/in/task_output_artifact", list);
	expect_limit(root,
		     "dag.tasks.b.inputs.data.in.task_output_artifact: has 10001 channels; between "
		     "1 and 10000 are possible");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dag_graph");
	TCase *tc = tcase_create("graph"), *big_case = tcase_create("limits");

	tcase_add_test(tc, order);
	tcase_add_test(tc, order_of_random_graphs);
	tcase_add_test(tc, links);
	tcase_add_test(tc, cycles);
	tcase_add_test(tc, long_cycle_is_shortened);
	suite_add_tcase(s, tc);
	tcase_set_timeout(big_case, 60);
	tcase_add_test(big_case, ten_thousand_tasks);
	tcase_add_test(big_case, too_many_tasks);
	tcase_add_test(big_case, too_many_parties);
	tcase_add_test(big_case, too_many_task_parties);
	tcase_add_test(big_case, too_many_settings);
	tcase_add_test(big_case, too_deep);
	tcase_add_test(big_case, too_large);
	tcase_add_test(big_case, too_many_channels);
	suite_add_tcase(s, big_case);
	return run_suite(s);
}
