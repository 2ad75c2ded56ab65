/*
 * Configuration: one const table of options describes a file (YAML), its defaults, its bounds and
 * its documentation. An unknown key, a wrong type or a value out of bounds is an error that names
 * the key. `--set path=value` on a command line overrides the file.
 */
#ifndef NORN_BASE_CONF_H
#define NORN_BASE_CONF_H

#include "base/err.h"
#include "base/buf.h"
#include <jansson.h>
#include <stdint.h>

enum conf_type {
	CONF_STR,      /* char *, owned; def NULL means optional (stays NULL) */
	CONF_PATH,     /* char *, owned; made absolute against the directory of the file */
	CONF_INT,      /* int64_t, with min and max */
	CONF_BOOL,     /* bool */
	CONF_STR_LIST, /* json_t *, array of strings, owned; def is a JSON text */
};

struct conf_opt {
	const char *path; /* dotted, "http.listen" */
	enum conf_type type;
	size_t offset;    /* of the member in the struct */
	const char *def;  /* as text; NULL: none */
	int64_t min, max; /* CONF_INT only */
	bool required;
	const char *help; /* one or two sentences, used in `--help-config` and the sample file */
};

/*
 * overrides: n texts "path=value", of which the last of a path counts; a list is written as in
 * YAML, [a, b]. A relative CONF_PATH starts at the file's directory, in an override at the working
 * directory. file may be NULL (defaults and overrides only). On failure nothing is left to free.
 */
MUST_CHECK bool conf_load(const char *file, const struct conf_opt *opts, size_t n_opts,
			  const char *const *overrides, size_t n_overrides, void *out,
			  struct err *e);
void conf_free(const struct conf_opt *opts, size_t n_opts, void *conf);
/* A YAML file with every option and its default, commented out as "#name: default". */
void conf_print_sample(const struct conf_opt *opts, size_t n_opts, struct buf *out);

#endif
