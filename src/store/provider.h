/* The built-in provider: what its program says about its components becomes a row of the provider
 * table. */
#ifndef NORN_STORE_PROVIDER_H
#define NORN_STORE_PROVIDER_H

#include "store/node.h"

/* At start-up; runs the program once and waits for it (milliseconds). Nodes without the duty exec
 * do nothing. */
MUST_CHECK bool provider_register(struct node *n, struct err *e);

#endif
