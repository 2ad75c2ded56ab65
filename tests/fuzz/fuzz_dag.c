/* Any definition is compiled or refused; what is compiled keeps the promises of dag.h. */
#include "base/js.h"
#include "dag/dag.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct dag_defaults defaults = {"9999", 4, 4, 60, 8, 0, "norn:0.1.0@local"};

static void expect(bool ok)
{
	if (!ok)
		abort();
}

static void check_graph(const struct dag *d)
{
	for (size_t i = 0; i < d->n_tasks; i++) {
		const struct dag_task *t = &d->tasks[i];

		expect(t->n_parties > 0);
		expect(dag_find_task(d, t->name) == (int)i);
		for (size_t k = 0; k < t->n_deps; k++)
			expect(t->deps[k] >= 0 && t->deps[k] < (int)i);
		for (size_t k = 0; k < t->n_children; k++)
			expect(t->children[k] > (int)i && t->children[k] < (int)d->n_tasks);
		for (size_t k = 0; k < t->n_parties; k++)
			expect(t->parties[k] >= 0 && t->parties[k] < (int)d->n_parties);
	}
}

static void check_parties(const struct dag *d)
{
	struct err e = {0};

	for (size_t p = 0; p < d->n_parties && p < 4; p++) {
		int64_t cores, memory_mb;

		expect(dag_party_resources(d, (int)p, &defaults, &cores, &memory_mb, &e));
		expect(cores >= 0 && memory_mb >= 0);
		json_decref(dag_dependency_view(d, (int)p));
		for (size_t t = 0; t < d->n_tasks && t < 20; t++)
			json_decref(dag_party_task(d, (int)t, (int)p, &defaults, &e));
	}
	json_decref(dag_data_view(d));
}

/* The definition serves as a description as well: any shape must be survived. */
static void check_components(const struct dag *d, const json_t *desc)
{
	const json_t **all = calloc(d->n_tasks, sizeof(json_t *));
	struct err e = {0};
	bool ok;

	if (!all)
		abort();
	for (size_t i = 0; i < d->n_tasks; i++) {
		all[i] = desc;
		ok = dag_check_component(d, (int)i, desc, &e);
		expect(ok || e.msg[0]);
	}
	ok = dag_check_links(d, all, &e);
	expect(ok || e.msg[0]);
	free(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct js_limits limits = {65536, 64, 5000};
	struct err e = {0};
	json_t *root = js_parse_yaml((const char *)data, size, &limits, &e);
	struct dag *d, *again;

	if (!root)
		return 0;
	d = dag_compile(root, &defaults, &e);
	if (!d) {
		expect(e.code != ERR_OK && e.msg[0] && !strchr(e.msg, '\n'));
		json_decref(root);
		return 0;
	}
	check_graph(d);
	check_parties(d);
	check_components(d, root);
	again = dag_compile(d->root, &defaults, &e);
	expect(again && json_equal(again->root, d->root) && again->n_tasks == d->n_tasks);
	dag_free(again);
	dag_free(d);
	json_decref(root);
	return 0;
}
