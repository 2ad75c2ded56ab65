/* The YAML 1.2 core schema: what a scalar means. Internal to the YAML reader. */
#ifndef NORN_BASE_YAML_SCALAR_H
#define NORN_BASE_YAML_SCALAR_H

#include "base/err.h"
#include <jansson.h>

/*
 * A new reference. tag is the full tag or NULL; plain is false for quoted and block scalars. The
 * error message names the reason only: the caller puts the place in front of it.
 */
MUST_CHECK json_t *yaml_scalar_value(const char *text, size_t len, const char *tag, bool plain,
				     struct err *e);

/* The name behind "tag:yaml.org,2002:", or NULL when it is another tag. */
const char *yaml_core_tag(const char *tag);

#endif
