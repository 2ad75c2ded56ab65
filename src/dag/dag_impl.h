/*
 * Inside the dag layer: the compiled job with its indexes, and the tools its files share. Nothing
 * outside src/dag includes this.
 */
#ifndef NORN_DAG_DAG_IMPL_H
#define NORN_DAG_DAG_IMPL_H

#include "base/buf.h"
#include "base/map.h"
#include "dag/dag.h"

#define DAG_KEY_MAX          100       /* bytes of input keys, output keys and site names */
#define DAG_TEXT_MAX         250       /* bytes of table names, namespaces and the like */
#define DAG_TREE_DEPTH_MAX   64        /* nesting of the whole definition */
#define DAG_TREE_NODES_MAX   2000000   /* values in the whole definition; also bounds the edges */
#define DAG_PARAM_DEPTH_MAX  32        /* nesting inside one parameters object */
#define DAG_PARAM_BYTES_MAX  1048576   /* one parameters object as compact JSON */
#define DAG_INPUT_KEYS_MAX   256       /* input keys of one group of one task */
#define DAG_CHANNELS_MAX     10000     /* channels of one input key and source */
#define DAG_TASK_PARTIES_MAX 1000000   /* task + party pairs of a job */
#define DAG_TIMEOUT_S_MAX    315360000 /* ten years */
#define DAG_CORES_MAX        1000000
#define DAG_MEMORY_MB_MAX    1073741824

/* Where in the definition we are: frames on the stack, turned into text only for an error. */
struct dag_at {
	const struct dag_at *up;
	const char *key; /* NULL: element `index` of an array */
	size_t index;
};
#define DAG_KEY(up, key) (&(const struct dag_at){(up), (key), 0})
#define DAG_IDX(up, idx) (&(const struct dag_at){(up), NULL, (idx)})

/* A party_tasks entry; objects are borrowed from the root and may be NULL. */
struct dag_site {
	json_t *tasks;
	json_t *conf;
};

/* The sites that name one party, in DAG order. */
struct dag_party_sites {
	size_t n;
	size_t *sites;
};

struct dag_full {
	struct dag pub;          /* first: a struct dag pointer is also one to this */
	json_t *conf;            /* dag.conf in the root, never NULL once compiled */
	struct map *task_index;  /* name -> index + 1 */
	struct map *party_index; /* "role:id" -> index + 1 */
	int *all_parties;        /* shared by the tasks that name no parties */
	size_t *seen;            /* per party: the last `stamp` that met it */
	size_t stamp;
	struct dag_site *sites;
	size_t n_sites;
	struct dag_party_sites *party_sites; /* per party */
};

static inline const struct dag_full *dag_full(const struct dag *d)
{
	return (const struct dag_full *)(const void *)d;
}

/* ---- dag_fields.c: errors with paths, and typed access to fields ---- */

/* Fills e with "<path>: <text>", returns false. */
bool dag_bad(struct err *e, enum err_code code, const struct dag_at *at, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
#define DAG_QUOTE_SIZE 96
/* 's' with quotes, made printable and shortened, for messages; returns out. */
const char *dag_quote(char out[DAG_QUOTE_SIZE], const char *s);
#define DAG_Q(s) dag_quote((char[DAG_QUOTE_SIZE]){0}, (s))

/* The candidate nearest to a misspelt name. */
struct dag_near {
	const char *wanted;
	const char *best;
	size_t distance;
};
void dag_near_try(struct dag_near *n, const char *candidate);
/* Appends "; did you mean 'x'?" when something is near. Returns whether it did. */
bool dag_near_text(const struct dag_near *n, struct buf *out);
/* Appends "a, b, c" with at most 8 names and "and N more". Call with i = 0, 1, ... and once at the
 * end. */
void dag_list_add(struct buf *out, size_t i, const char *name);
void dag_list_end(struct buf *out, size_t n);

struct dag_field {
	const char *name;
	bool dropped; /* sent by FATE's clients, without meaning: removed */
};
/*
 * v must be an object with the given fields only. Null members are removed (they mean "not given"),
 * dropped fields too.
 */
MUST_CHECK bool dag_fields(json_t *v, const struct dag_field *fields, size_t n,
			   const struct dag_at *at, struct err *e);
#define DAG_FIELDS(v, table, at, e) dag_fields((v), (table), ARRAY_LEN(table), (at), (e))

/*
 * Typed members of obj. A missing one is an error only where required; otherwise *out stays as it
 * is. Numbers are accepted where a string is declared, and the reverse, as FATE does; the object
 * then holds the declared type.
 */
MUST_CHECK bool dag_get_text(json_t *obj, const char *key, size_t max, bool required,
			     const char **out, const struct dag_at *at, struct err *e);
/* Text that is a name in the sense of str_is_name. */
MUST_CHECK bool dag_get_name(json_t *obj, const char *key, size_t max, bool required,
			     const char **out, const struct dag_at *at, struct err *e);
MUST_CHECK bool dag_get_int(json_t *obj, const char *key, int64_t min, int64_t max, int64_t *out,
			    const struct dag_at *at, struct err *e);
MUST_CHECK bool dag_get_object(json_t *obj, const char *key, bool required, json_t **out,
			       const struct dag_at *at, struct err *e);
MUST_CHECK bool dag_get_stage(json_t *obj, enum dag_stage *out, bool *found,
			      const struct dag_at *at, struct err *e);
/* Checks a name that stands as a key. at is the place of the key itself. */
MUST_CHECK bool dag_check_key(const char *key, size_t max, const struct dag_at *at, struct err *e);
/* Depth and size of a parameters object. */
MUST_CHECK bool dag_check_params(json_t *params, const struct dag_at *at, struct err *e);

/* ---- dag_parse_conf.c ---- */

MUST_CHECK bool dag_parse_conf(struct dag_full *f, json_t *dag, const struct dag_defaults *def,
			       struct err *e);
/* Names in conf.inheritance.task_list must be tasks; called when the tasks are known. */
MUST_CHECK bool dag_check_inheritance(struct dag_full *f, struct err *e);
/* The TaskConf keys, at any of the four levels. */
MUST_CHECK bool dag_check_task_conf(json_t *conf, const struct dag_at *at, struct err *e);
/*
 * "name:version@device" with '*' and empty parts filled from the default provider, appended to out.
 * The default version is only that of the default name. text may be NULL.
 */
void dag_provider_fill(const char *text, const char *def, struct buf *out);

/* ---- dag_parse_parties.c ---- */

MUST_CHECK bool dag_parse_parties(struct dag_full *f, json_t *dag, struct err *e);
/*
 * A list of {role, party_id: [..]} inside the DAG: checks it, writes ids as strings. out (may be
 * NULL) gets the indexes in DAG order, owned by the caller.
 */
MUST_CHECK bool dag_resolve_parties(struct dag_full *f, json_t *list, int **out, size_t *n_out,
				    const struct dag_at *at, struct err *e);
/* dag.party_tasks, after the tasks have their final order. */
MUST_CHECK bool dag_parse_sites(struct dag_full *f, json_t *dag, struct err *e);
/* Does the list name the party? An empty or missing list names nobody. */
bool dag_list_has_party(const json_t *list, const struct dag_party *p);

/* ---- dag_parse_tasks.c ---- */

/* Fills pub.tasks in DAG order, without dependencies, and task_index. */
MUST_CHECK bool dag_parse_tasks(struct dag_full *f, json_t *dag, struct err *e);
bool dag_task_runs_at(const struct dag_task *t, int party);
/* Error: no task of that name, with the names there are. */
bool dag_no_task(const struct dag_full *f, const char *name, const struct dag_at *at,
		 struct err *e);

/* ---- dag_inputs.c ---- */

enum dag_source { SOURCE_TASK, SOURCE_DATA_WAREHOUSE, SOURCE_MODEL_WAREHOUSE };

struct dag_channel {
	const char *group; /* "data" or "model" */
	const char *key;   /* input key */
	enum dag_source source;
	json_t *spec; /* borrowed */
	int producer; /* index of the task for SOURCE_TASK, else -1 */
	const struct dag_at *at;
};
/* Return false to stop. */
typedef bool dag_channel_fn(const struct dag_channel *c, void *arg);

/* Checks the inputs of all tasks and fills their deps (indexes into pub.tasks as it stands). */
MUST_CHECK bool dag_parse_inputs(struct dag_full *f, struct err *e);
/* Every channel of a task, in DAG order, data before model. Returns false when fn did. */
bool dag_each_channel(const struct dag_full *f, const struct dag_task *t, dag_channel_fn *fn,
		      void *arg);
/*
 * Does the channel supply that party? It does when the party is among its parties (or none are
 * given), and, for the output of a task, when that task runs at the party as well.
 */
bool dag_channel_counts(const struct dag_full *f, const struct dag_channel *c, int party);
/* {"data": {...}, "model": {...}} of one party, new. */
json_t *dag_reduce_inputs(const struct dag_full *f, const struct dag_task *t, int party);

/* ---- dag_graph.c ---- */

/* Puts pub.tasks in topological order and fills deps and children accordingly. */
MUST_CHECK bool dag_sort_tasks(struct dag_full *f, struct err *e);

/* ---- dag_party.c ---- */

/* Parameters of the task as that party sees them, new; the values are shared with the root. */
json_t *dag_merge_params(const struct dag_full *f, const struct dag_task *t, int party);

#endif
