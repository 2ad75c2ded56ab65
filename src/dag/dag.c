#include "dag/dag_impl.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_CORES      4
#define DEFAULT_PARTITIONS 8

static const char *const role_names[ROLE_COUNT] = {"guest", "host", "arbiter", "local"};
static const char *const stage_names[STAGE_COUNT] = {"default", "train", "predict",
						     "cross_validation"};

const char *dag_role_name(enum dag_role r)
{
	return (unsigned)r < ROLE_COUNT ? role_names[r] : "unknown";
}

bool dag_role_parse(const char *s, enum dag_role *out)
{
	for (unsigned i = 0; i < ROLE_COUNT; i++)
		if (strcmp(s, role_names[i]) == 0) {
			*out = (enum dag_role)i;
			return true;
		}
	return false;
}

const char *dag_stage_name(enum dag_stage s)
{
	return (unsigned)s < STAGE_COUNT ? stage_names[s] : "unknown";
}

bool dag_stage_parse(const char *s, enum dag_stage *out)
{
	for (unsigned i = 0; i < STAGE_COUNT; i++)
		if (strcmp(s, stage_names[i]) == 0) {
			*out = (enum dag_stage)i;
			return true;
		}
	return false;
}

/* Bounds the tree before anything walks it by recursion. */
static bool check_tree(json_t *v, size_t depth, size_t *nodes, struct err *e)
{
	const char *key;
	json_t *val;
	size_t i;

	if (++*nodes > DAG_TREE_NODES_MAX)
		return dag_bad(e, ERR_LIMIT, NULL, "has more than %d values", DAG_TREE_NODES_MAX);
	if (depth == 0)
		return dag_bad(e, ERR_LIMIT, NULL, "is nested deeper than %d levels",
			       DAG_TREE_DEPTH_MAX);
	json_array_foreach (v, i, val)
		if (!check_tree(val, depth - 1, nodes, e))
			return false;
	json_object_foreach (v, key, val)
		if (!check_tree(val, depth - 1, nodes, e))
			return false;
	return true;
}

static bool parse_head(struct dag_full *f, json_t **dag, struct err *e)
{
	static const struct dag_field top[] = {
	    {"dag", false}, {"schema_version", false}, {"kind", false}};
	static const struct dag_field fields[] = {{"parties", false},
						  {"conf", false},
						  {"stage", false},
						  {"tasks", false},
						  {"party_tasks", false}};
	const char *version = NULL, *kind = "fate";
	json_t *root = f->pub.root;

	if (!DAG_FIELDS(root, top, NULL, e) ||
	    !dag_get_text(root, "schema_version", sizeof(f->pub.schema_version) - 1, true, &version,
			  NULL, e) ||
	    !dag_get_text(root, "kind", DAG_KEY_MAX, false, &kind, NULL, e) ||
	    !dag_get_object(root, "dag", true, dag, NULL, e))
		return false;
	if (version[0] != '2' || (version[1] != '.' && version[1] != 0))
		return dag_bad(e, ERR_UNSUPPORTED, DAG_KEY(NULL, "schema_version"),
			       "is %s; only 2.x is understood here", DAG_Q(version));
	if (!str_eq(kind, "fate"))
		return dag_bad(e, ERR_UNSUPPORTED, DAG_KEY(NULL, "kind"),
			       "is %s; only fate is understood", DAG_Q(kind));
	str_copy(f->pub.schema_version, sizeof(f->pub.schema_version), version);
	json_object_set_new(root, "kind", json_string("fate"));
	return DAG_FIELDS(*dag, fields, DAG_KEY(NULL, "dag"), e);
}

static bool compile(struct dag_full *f, const struct dag_defaults *def, struct err *e)
{
	json_t *dag = NULL;

	return parse_head(f, &dag, e) && dag_parse_parties(f, dag, e) &&
	       dag_parse_conf(f, dag, def, e) && dag_parse_tasks(f, dag, e) &&
	       dag_parse_inputs(f, e) && dag_sort_tasks(f, e) && dag_parse_sites(f, dag, e) &&
	       dag_check_inheritance(f, e);
}

struct dag *dag_compile_own(json_t *root, const struct dag_defaults *def, struct err *e)
{
	static const struct dag_defaults plain = {
	    NULL, DEFAULT_CORES, DEFAULT_CORES, 259200, DEFAULT_PARTITIONS, 0, "norn:*@local"};
	struct dag_full *f = mem_zalloc(sizeof(*f));
	size_t nodes = 0;

	f->task_index = map_new();
	f->party_index = map_new();
	f->pub.root = root;
	if (check_tree(root, DAG_TREE_DEPTH_MAX, &nodes, e) && compile(f, def ? def : &plain, e))
		return &f->pub;
	dag_free(&f->pub);
	return NULL;
}

struct dag *dag_compile(const json_t *root, const struct dag_defaults *def, struct err *e)
{
	/* jansson's iteration takes a non-const tree, but does not change it. */
	json_t *tree = (json_t *)(uintptr_t)root;
	size_t nodes = 0;

	if (!check_tree(tree, DAG_TREE_DEPTH_MAX, &nodes, e))
		return NULL;
	return dag_compile_own(json_deep_copy(tree), def, e);
}

void dag_free(struct dag *d)
{
	struct dag_full *f = (struct dag_full *)(void *)d;

	if (!d)
		return;
	for (size_t i = 0; i < d->n_tasks; i++) {
		if (d->tasks[i].parties != f->all_parties)
			free(d->tasks[i].parties);
		free(d->tasks[i].deps);
		free(d->tasks[i].children);
	}
	for (size_t i = 0; f->party_sites && i < d->n_parties; i++)
		free(f->party_sites[i].sites);
	free(f->party_sites);
	free(f->sites);
	free(f->seen);
	free(f->all_parties);
	free(d->tasks);
	free(d->parties);
	map_free(f->task_index, NULL);
	map_free(f->party_index, NULL);
	json_decref(d->root);
	free(f);
}
