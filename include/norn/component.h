/*
 * Norn component library: write a component in C.
 *
 * A component is a const struct norn_component: its name, roles, stages, parameters and artifacts,
 * and a function that runs it. The tables are what `component desc` and `component artifact-type`
 * print and what a task's configuration is checked against before run() is called, so run() sees
 * only parameters of the declared type, within the declared bounds, with defaults filled in.
 *
 *	int main(int argc, char **argv)
 *	{
 *		static const struct norn_component *const all[] = {&my_component};
 *		return norn_component_main(argc, argv, all, 1);
 *	}
 *
 * Errors: a fallible function returns false (or NULL) after filling *e; run() returns false to fail
 * the task, with the reason in e (norn_fail()). Nothing here is safe to call from several threads
 * at once for the same task.
 */
#ifndef NORN_COMPONENT_H
#define NORN_COMPONENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NORN_MUST_CHECK   __attribute__((warn_unused_result))
#define NORN_PRINTF(f, a) __attribute__((format(printf, f, a)))

struct err;       /* opaque: filled by norn_fail() and by every fallible function */
struct norn_task; /* opaque: the task being run */

/* Bits, so that sets can be written as GUEST | HOST. */
enum norn_role {
	NORN_LOCAL = 1,
	NORN_GUEST = 2,
	NORN_HOST = 4,
	NORN_ARBITER = 8,
};

enum norn_stage {
	NORN_DEFAULT = 1,
	NORN_TRAIN = 2,
	NORN_PREDICT = 4,
};

enum norn_param_type {
	NORN_P_STR,
	NORN_P_BOOL,
	NORN_P_INT,
	NORN_P_NUM, /* integer or float */
	NORN_P_LIST,
	NORN_P_MAP,
	NORN_P_ANY,
};

struct norn_param {
	const char *name;
	enum norn_param_type type;
	const char *def; /* JSON text, "null" allowed; NULL: the parameter is required */
	double min, max; /* bounds of numbers, inclusive; both 0: none */
	const char
	    *choices;    /* allowed values of a string, "a|b|c", case does not matter; or NULL */
	unsigned stages; /* stages that take it; 0: all */
	const char *help;
};

enum norn_direction { NORN_IN, NORN_OUT };

enum norn_kind {
	NORN_TABLE,           /* raw table, text cells */
	NORN_DATAFRAME,       /* typed table with a sample id */
	NORN_DATA_UNRESOLVED, /* names a table of the site */
	NORN_JSON_MODEL,
};

struct norn_artifact {
	const char *name;
	enum norn_direction dir;
	enum norn_kind kind;
	bool multi, optional;
	unsigned stages; /* 0: all stages of the component */
	unsigned roles;  /* 0: all roles of the component */
	const char *help;
};

struct norn_component {
	const char *name;
	const char *version;
	const char *help;
	unsigned roles, stages;
	const struct norn_param *params;
	size_t n_params;
	const struct norn_artifact *artifacts;
	size_t n_artifacts;
	bool (*run)(struct norn_task *t, struct err *e);
};

/* The whole program: `component list|desc|artifact-type|execute|cleanup`. Returns the exit status.
 */
int norn_component_main(int argc, char **argv, const struct norn_component *const *all, size_t n);

/* Fill e with words a user can act on; returns false, so that `return norn_fail(e, ...)` works. */
bool norn_fail(struct err *e, const char *fmt, ...) NORN_PRINTF(2, 3);

/* ---- the task ---- */

enum norn_role norn_role(const struct norn_task *t);
enum norn_stage norn_stage(const struct norn_task *t);
const char *norn_party_id(const struct norn_task *t);
const char *norn_task_name(const struct norn_task *t);
unsigned norn_cores(const struct norn_task *t); /* threads the task may use, >= 1 */

/* The parties of one role, in the order in which every party of the task sees them. */
size_t norn_party_count(const struct norn_task *t, enum norn_role role);
const char *norn_party(const struct norn_task *t, enum norn_role role, size_t i);

/* A declared parameter, borrowed; JSON null when it is null. Never NULL. */
const json_t *norn_param(const struct norn_task *t, const char *name);
const char *norn_param_str(const struct norn_task *t, const char *name); /* NULL when null */
int64_t norn_param_int(const struct norn_task *t, const char *name, int64_t when_null);
double norn_param_num(const struct norn_task *t, const char *name, double when_null);
bool norn_param_bool(const struct norn_task *t, const char *name);

/* A progress line with the time, on standard output. */
void norn_say(const struct norn_task *t, const char *fmt, ...) NORN_PRINTF(2, 3);

/* ---- data frames ---- */

enum norn_dtype {
	NORN_INT32,
	NORN_INT64, /* kept exactly up to 2^53; larger values are refused when read */
	NORN_FLOAT32,
	NORN_FLOAT64,
	NORN_BOOL,
	NORN_STRING,
};

struct norn_column {
	char *name;
	char *anonymous_name; /* may be NULL */
	enum norn_dtype dtype;
	double *num; /* n_rows values; NULL for NORN_STRING */
	char **str;  /* n_rows strings; NULL for all other types */
};

/* Rows by columns, all in memory. Owns everything it points to. */
struct norn_frame {
	size_t n_rows;
	char *sample_id_name;
	char *match_id_name;
	char **sample_id;
	char **match_id;
	struct norn_column *label;  /* NULL: none */
	struct norn_column *weight; /* NULL: none */
	struct norn_column *columns;
	size_t n_columns;
	char *site_name; /* NULL until fixed */
};

/* A frame of n_rows rows without columns; sample_id and match_id hold NULLs to be filled. */
struct norn_frame *norn_frame_new(size_t n_rows, const char *sample_id_name,
				  const char *match_id_name);
void norn_frame_free(struct norn_frame *f); /* NULL is allowed */
/* Zeroed numbers, or NULL strings to be filled. Moves f->columns. */
struct norn_column *norn_frame_add_column(struct norn_frame *f, const char *name,
					  enum norn_dtype dtype);
void norn_frame_set_label(struct norn_frame *f, const char *name, enum norn_dtype dtype);
void norn_frame_set_weight(struct norn_frame *f, const char *name, enum norn_dtype dtype);
struct norn_column *norn_frame_column(const struct norn_frame *f, const char *name); /* or NULL */
/* A copy of the given rows, in the given order; every row number must be < n_rows. */
struct norn_frame *norn_frame_select(const struct norn_frame *f, const size_t *rows, size_t n);

/* ---- artifacts ---- */

size_t norn_input_count(const struct norn_task *t, const char *key);
/* Name of the task that made the input; "input" when unknown. */
const char *norn_input_source(const struct norn_task *t, const char *key, size_t i);
/* New frame, owned by the caller; checked against its checksum. NULL on error. */
NORN_MUST_CHECK struct norn_frame *norn_read_frame(struct norn_task *t, const char *key, size_t i,
						   struct err *e);
NORN_MUST_CHECK json_t *norn_read_model(struct norn_task *t, const char *key, struct err *e);

bool norn_has_output(const struct norn_task *t, const char *key);
/* name and namespace_ label the data and may be NULL. An output may be written once. */
NORN_MUST_CHECK bool norn_write_frame(struct norn_task *t, const char *key,
				      const struct norn_frame *f, const char *namespace_,
				      const char *name, struct err *e);
NORN_MUST_CHECK bool norn_write_model(struct norn_task *t, const char *key, const json_t *model,
				      struct err *e);

/* ---- messages ----
 * Messages from one party to another arrive in the order sent. The tag is checked: a receiver that
 * asks for another tag than the sender gave is out of step, which is an error.
 */
NORN_MUST_CHECK bool norn_send(struct norn_task *t, enum norn_role role, const char *party,
			       const char *tag, const void *data, size_t len, struct err *e);
/* Waits. A message longer than max_len is an error. *data is NUL-terminated; free() it. */
NORN_MUST_CHECK bool norn_recv(struct norn_task *t, enum norn_role role, const char *party,
			       const char *tag, size_t max_len, void **data, size_t *len,
			       struct err *e);

/* ---- metrics ----
 * Shown while the task runs. A metric that cannot be delivered is warned about and does not fail
 * the task. data is stolen and must be an object or an array. group may be NULL.
 */
void norn_metric(struct norn_task *t, const char *name, const char *type, const char *const *groups,
		 size_t n_groups, json_t *data);
void norn_metric_step(struct norn_task *t, const char *name, const char *type, const char *axis,
		      int64_t step, double value);

#ifdef __cplusplus
}
#endif

#endif
