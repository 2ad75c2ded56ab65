/*
 * What every route does first and last: read and check its parameters by FATE-Flow's rules (api-v2:
 * one field at a time, in the order declared, the first that fails ends the request), and answer in
 * the envelope
 * {"code", "message", "data", "request_id" on errors}. HTTP status is 200 for every outcome of a
 * /v2 route.
 */
#ifndef NORN_AUTH_REQUEST_H
#define NORN_AUTH_REQUEST_H

#include "base/err.h"
#include "net/http.h"
#include "store/node.h"
#include <jansson.h>

enum param_type {
	P_STR,
	P_INT,
	P_FLOAT,
	P_BOOL,
	P_DICT,
	P_LIST /* of dicts or strings */,
	P_STR_LIST
};
enum param_where { IN_JSON, IN_QUERY };

struct param {
	const char *name;
	enum param_type type;
	bool required;
	const char *def; /* as JSON text; NULL: absent when not given */
};

/* A new object with the checked values under their names, or NULL: the request has been answered
 * with 5001 and must not be touched any more. */
MUST_CHECK json_t *request_params(struct http_req *r, enum param_where where,
				  const struct param *params, size_t n);
#define REQUEST_PARAMS(r, where, table) request_params((r), (where), (table), ARRAY_LEN(table))

/* Answers. data is stolen; NULL leaves "data" out. */
void reply_ok(struct http_req *r, json_t *data);
void reply_ok_job(struct http_req *r, const char *job_id, json_t *data);
void reply_code(struct http_req *r, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
void reply_err(struct http_req *r, const struct err *e);
/* The error of a batch as an answer: database trouble becomes a message without internals. */
/* The HTTP header that says when to try again, for a code that means that nothing was done and
 * trying again helps. */
void reply_retry_hint(struct http_req *r, enum err_code code);
void reply_db_err(struct http_req *r, const struct db_result *res);

struct node *request_node(const struct http_req *r); /* http_server_opts.arg */

/* Whether the caller on a peer connection may speak for the party. Answers 5005 and returns false
 * if not. */
MUST_CHECK bool request_speaks_for(struct http_req *r, const char *party_id);

#endif
