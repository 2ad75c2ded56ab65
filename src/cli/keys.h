/*
 * The keys of this user: which app signs the requests to which node. One file,
 * ~/.config/norn/keys, that nobody else may read: {"URL": {"app_id", "app_token"}}.
 */
#ifndef NORN_CLI_KEYS_H
#define NORN_CLI_KEYS_H

#include "base/err.h"
#include "cli/cli.h"

#define KEYS_APP_ID_MAX 64
#define KEYS_TOKEN_MAX  128

/* The app for the node's URL; app_id "" when there is none. A file that others can read, or that is
 * somebody else's, is an error. */
MUST_CHECK bool keys_find(const char *url, char app_id[KEYS_APP_ID_MAX + 1],
			  char token[KEYS_TOKEN_MAX + 1], struct err *e);
MUST_CHECK bool keys_put(const char *url, const char *app_id, const char *token, struct err *e);
/* *had: whether there was one. */
MUST_CHECK bool keys_remove(const char *url, bool *had, struct err *e);

/* The headers of one signed request: name, value, ..., NULL, in one piece of memory, to be freed.
 * *headers is NULL when no key is kept for the node. */
MUST_CHECK bool keys_sign(struct cli *c, char ***headers, struct err *e);

#endif
