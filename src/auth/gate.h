/*
 * What stands before every route of the client API: who calls (auth.client), whether the app's role
 * allows the route, and the audit row of every change.
 *
 * The checks are FATE-Flow's, in its order and with its codes (doc/api.md has the table). Routes
 * outside /v2 are open; those below /v2/worker know their callers by the tokens of their tasks.
 */
#ifndef NORN_AUTH_GATE_H
#define NORN_AUTH_GATE_H

#include "net/http.h"
#include "store/node.h"

/* For http_server_opts.admit: who calls, by the headers alone, so that nobody else's body is read.
 * Without components.allow_register only a super_client may register or delete providers.
 * With auth.client off it refuses what a page of another web site makes a browser ask for
 * (browser.h). */
bool gate_admit(struct http_req *r, const struct http_route *route);
/* For http_server_opts.before, of requests that were admitted: true when the handler may be called
 * at once; else the request is refused, or its handler called, from here. */
bool gate_before(struct http_req *r, const struct http_route *route);

/* The app that signed the request; NULL when authentication is off. */
const char *gate_app(const struct http_req *r);

/* FATE's answer while nobody has to say who he is: apps have no effect then. True: 6001 was
 * answered, in the name of FATE's function. */
bool gate_is_off(struct http_req *r, const char *func);

/* The roles there are, NULL at the end. */
extern const char *const gate_roles[];
/* Whether a role may use a route of the client API. */
bool gate_role_allows(const char *role, const char *path);

#endif
