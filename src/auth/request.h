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
/* IN_EITHER: a JSON body when there is one, else the query. */
enum param_where { IN_JSON, IN_QUERY, IN_FORM, IN_EITHER };

struct param {
	const char *name;
	enum param_type type;
	bool required;
	const char *def; /* as JSON text; NULL: absent when not given */
	/* P_INT: of the value; P_STR: of its bytes. Checked when max is not 0. */
	int64_t min, max;
	const char *among; /* P_STR: the only values, with spaces between; NULL: any */
};

/*
 * What a route takes and answers, once for the checks and for the OpenAPI document
 * (src/api/openapi.h says how types are written).
 */
struct http_doc {
	enum param_where where;
	const struct param *params;
	size_t n_params;
	const char *header; /* read besides; NULL: none */
	const char *data;   /* type of "data" on success; NULL: there is none */
	const char *media;  /* what success is when it is not JSON; NULL: JSON */
	bool bare;          /* success is the data alone, without an envelope */
	bool has_job_id;    /* success names the job it has made */
	bool has_file;      /* IN_FORM: with a part "file" */
	bool may_be_empty;  /* success may be 204 */
	bool unready;       /* 503 when the node cannot work */
};
#define DOC(...)            (&(const struct http_doc){__VA_ARGS__})
#define TAKES_QUERY(table)  .where = IN_QUERY, .params = (table), .n_params = ARRAY_LEN(table)
#define TAKES_JSON(table)   .where = IN_JSON, .params = (table), .n_params = ARRAY_LEN(table)
#define TAKES_FORM(table)   .where = IN_FORM, .params = (table), .n_params = ARRAY_LEN(table)
#define TAKES_EITHER(table) .where = IN_EITHER, .params = (table), .n_params = ARRAY_LEN(table)

/* The route's parameters: a new object with the checked values under their names, or NULL: the
 * request has been answered with 5001 and must not be touched any more. */
MUST_CHECK json_t *request_args(struct http_req *r);
/* false: the body is of JSON type, but no JSON object, and that was answered. For what comes before
 * routes, since some have no parameters and would not look at it. */
MUST_CHECK bool request_body_ok(struct http_req *r);
/* The same of the fields of a form, which are texts. On NULL nothing was answered: *field is wrong
 * in the way *why says. */
MUST_CHECK json_t *request_fields(const struct http_req *r, const json_t *texts, const char **field,
				  const char **why);
/* Answers 5001 for one field of a form. */
void reply_wrong_field(struct http_req *r, const char *field, const char *why);

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
