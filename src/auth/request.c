#include "auth/request.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_AFTER_S "1"

struct node *request_node(const struct http_req *r)
{
	return http_req_arg(r);
}

/* ---- answers ---- */

void reply_ok(struct http_req *r, json_t *data)
{
	http_reply_json(r, 200, node_envelope(ERR_OK, "success", data));
}

void reply_ok_job(struct http_req *r, const char *job_id, json_t *data)
{
	json_t *v = node_envelope(ERR_OK, "success", data);

	json_object_set_new(v, "job_id", json_string(job_id));
	http_reply_json(r, 200, v);
}

void reply_retry_hint(struct http_req *r, enum err_code code)
{
	if (code == ERR_DB_UNAVAILABLE)
		http_reply_header(r, "Retry-After", RETRY_AFTER_S);
}

static void reply_failure(struct http_req *r, enum err_code code, const char *msg, json_t *data)
{
	json_t *v = node_envelope(code, msg, data);

	json_object_set_new(v, "request_id", json_string(http_req_id(r)));
	reply_retry_hint(r, code);
	http_reply_json(r, 200, v);
}

void reply_code(struct http_req *r, enum err_code code, const char *fmt, ...)
{
	char msg[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	reply_failure(r, code, msg, NULL);
}

void reply_err(struct http_req *r, const struct err *e)
{
	reply_failure(r, e->code, e->msg, NULL);
}

void reply_db_err(struct http_req *r, const struct db_result *res)
{
	const struct err *e = db_error(res);
	const struct log_ctx ctx = {.request_id = http_req_id(r), .attempt = -1};

	if (e->code == ERR_DB) {
		log_error(&ctx, "%s %s: %s", http_req_method(r), http_req_path(r), e->msg);
		reply_failure(r, ERR_SERVER,
			      "the database refused the request; the server log has the details",
			      NULL);
	} else {
		reply_failure(r, e->code, e->msg, NULL);
	}
}

/* ---- parameters ---- */

static const char *const truths[] = {"true", "t", "True", "TRUE", "T",   "on",  "On",
				     "ON",   "y", "Y",    "yes",  "Yes", "YES", "1"};
static const char *const falsehoods[] = {"false", "f", "False", "FALSE", "F",  "off", "Off",
					 "OFF",   "n", "N",     "no",    "No", "NO",  "0"};

static bool among(const char *s, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i], s) == 0)
			return true;
	}
	return false;
}

static json_t *bool_of_text(const char *s)
{
	if (among(s, truths, ARRAY_LEN(truths)))
		return json_true();
	return among(s, falsehoods, ARRAY_LEN(falsehoods)) ? json_false() : NULL;
}

static json_t *int_of_text(const char *s)
{
	int64_t v;

	return str_to_i64(s, &v) ? json_integer(v) : NULL;
}

static json_t *float_of_text(const char *s)
{
	double v;

	return str_to_double(s, &v) ? json_real(v) : NULL;
}

/* A new reference to the value as the declared type, or NULL. */
static json_t *coerce_json(const struct param *p, json_t *v)
{
	switch (p->type) {
	case P_STR:
		return json_is_string(v) ? json_incref(v) : NULL;
	case P_INT:
		if (json_is_integer(v))
			return json_incref(v);
		return json_is_string(v) ? int_of_text(json_string_value(v)) : NULL;
	case P_FLOAT:
		if (json_is_number(v))
			return json_real(json_number_value(v));
		return json_is_string(v) ? float_of_text(json_string_value(v)) : NULL;
	case P_BOOL:
		if (json_is_boolean(v))
			return json_incref(v);
		if (json_is_integer(v) &&
		    (json_integer_value(v) == 0 || json_integer_value(v) == 1))
			return json_boolean(json_integer_value(v) == 1);
		return json_is_string(v) ? bool_of_text(json_string_value(v)) : NULL;
	case P_DICT:
		return json_is_object(v) ? json_incref(v) : NULL;
	case P_LIST:
	case P_STR_LIST:
		return json_is_array(v) ? json_incref(v) : NULL;
	}
	return NULL;
}

static json_t *coerce_text(const struct param *p, const char *s)
{
	switch (p->type) {
	case P_STR:
		return str_is_utf8(s, strlen(s)) ? json_string(s) : NULL;
	case P_INT:
		return int_of_text(s);
	case P_FLOAT:
		return float_of_text(s);
	case P_BOOL:
		return bool_of_text(s);
	case P_DICT:
	case P_LIST:
	case P_STR_LIST:
		return NULL;
	}
	return NULL;
}

static const char *wrong_type_text(enum param_type t)
{
	static const char *const texts[] = {
	    [P_STR] = "Not a valid string.",        [P_INT] = "Not a valid integer.",
	    [P_FLOAT] = "Not a valid number.",      [P_BOOL] = "Not a valid boolean.",
	    [P_DICT] = "Not a valid mapping type.", [P_LIST] = "Not a valid list.",
	    [P_STR_LIST] = "Not a valid list.",
	};
	return texts[t];
}

static void refuse(struct http_req *r, const char *where, const char *field, const char *text)
{
	json_t *data = json_pack("{s:{s:[s]}}", where, field, text);

	reply_failure(r, ERR_API_PARAMETER, "Invalid request.", data);
}

static json_t *query_list(const struct http_req *r, const char *name)
{
	json_t *list = json_array();

	for (size_t i = 0; i < http_req_query_count(r); i++) {
		const char *key;
		const char *value;
		http_req_query_at(r, i, &key, &value);
		if (strcmp(key, name) == 0 && str_is_utf8(value, strlen(value)))
			json_array_append_new(list, json_string(value));
	}
	if (json_array_size(list) == 0) {
		json_decref(list);
		return NULL;
	}
	return list;
}

/* 1: a value in *out; 0: absent; -1: of the wrong type, *why says so. */
static int fetch(struct http_req *r, enum param_where where, const struct param *p, json_t *body,
		 json_t **out, const char **why)
{
	*why = wrong_type_text(p->type);
	if (where == IN_QUERY) {
		if (p->type == P_STR_LIST)
			return (*out = query_list(r, p->name)) != NULL ? 1 : 0;
		const char *s = http_req_query(r, p->name);
		if (s == NULL)
			return 0;
		return (*out = coerce_text(p, s)) != NULL ? 1 : -1;
	}
	json_t *v = json_object_get(body, p->name);
	if (v == NULL)
		return 0;
	if (json_is_null(v)) {
		*why = "Field may not be null.";
		return -1;
	}
	return (*out = coerce_json(p, v)) != NULL ? 1 : -1;
}

static bool has_word(const char *words, const char *s)
{
	size_t n = strlen(s);

	for (const char *w = words; *w != '\0'; w += strspn(w, " ")) {
		size_t len = strcspn(w, " ");
		if (len == n && memcmp(w, s, n) == 0)
			return true;
		w += len;
	}
	return false;
}

/* Whether a value of the right type is one that is wanted; else *why says what is. */
static bool in_bounds(const struct param *p, const json_t *v, char *why, size_t size)
{
	if (p->type == P_INT && p->max != 0 &&
	    (json_integer_value(v) < p->min || json_integer_value(v) > p->max))
		snprintf(why, size, "%lld to %lld", (long long)p->min, (long long)p->max);
	else if (p->type == P_STR && p->max != 0 &&
		 (json_string_length(v) < (size_t)p->min || json_string_length(v) > (size_t)p->max))
		snprintf(why, size, "%lld to %lld bytes", (long long)p->min, (long long)p->max);
	else if (p->type == P_STR && p->among != NULL && !has_word(p->among, json_string_value(v)))
		snprintf(why, size, "one of %s", p->among);
	else
		return true;
	return false;
}

static const char *place_of(enum param_where where)
{
	return where == IN_JSON ? "json" : where == IN_FORM ? "form" : "querystring";
}

/* A bad body is answered here. *body is borrowed. */
static bool body_of(struct http_req *r, json_t **body)
{
	const char *why;

	*body = http_req_json(r);
	if (http_req_bad_json(r, &why)) {
		reply_code(r, ERR_SERVER,
			   "<BadRequest '400: Bad Request'>: the body is not JSON: %s", why);
		return false;
	}
	if (*body != NULL && !json_is_object(*body)) {
		refuse(r, "json", "_schema", "Invalid input type.");
		return false;
	}
	return true;
}

bool request_body_ok(struct http_req *r)
{
	json_t *body;

	return body_of(r, &body);
}

json_t *request_args(struct http_req *r)
{
	const struct http_doc *doc = http_req_route(r)->doc;
	enum param_where where;
	json_t *body = NULL;
	json_t *out;
	const char *why;
	char bounds[256];

	if (doc == NULL) { /* nothing may be taken unchecked */
		reply_code(r, ERR_INTERNAL, "the route does not say what it takes");
		return NULL;
	}
	where = doc->where;
	if (where == IN_EITHER)
		where = http_req_json(r) != NULL ? IN_JSON : IN_QUERY;
	if (where == IN_JSON && !body_of(r, &body))
		return NULL;
	out = json_object();
	for (size_t i = 0; i < doc->n_params; i++) {
		const struct param *p = &doc->params[i];
		json_t *v = NULL;
		int got = fetch(r, where, p, body, &v, &why);
		if (got == 0 && p->required) {
			got = -1;
			why = "Missing data for required field.";
		}
		if (got < 0) {
			refuse(r, place_of(where), p->name, why);
		} else if (got > 0 && !in_bounds(p, v, bounds, sizeof(bounds))) {
			reply_code(r, ERR_API_PARAMETER, "Invalid parameter: %s: %s", p->name,
				   bounds);
			json_decref(v);
			got = -1;
		}
		if (got < 0) {
			json_decref(out);
			return NULL;
		}
		if (got == 0 && p->def != NULL)
			v = json_loads(p->def, JSON_DECODE_ANY, NULL);
		if (v != NULL)
			json_object_set_new(out, p->name, v);
	}
	return out;
}

json_t *request_fields(const struct http_req *r, const json_t *texts, const char **field,
		       const char **why)
{
	const struct http_doc *doc = http_req_route(r)->doc;
	static char bounds[256]; /* lives until the next call */
	json_t *out = json_object();

	for (size_t i = 0; i < doc->n_params; i++) {
		const struct param *p = &doc->params[i];
		const char *s = json_string_value(json_object_get(texts, p->name));
		json_t *v = s != NULL ? coerce_text(p, s) : NULL;
		*field = p->name;
		*why = NULL;
		if (s == NULL && p->required)
			*why = "Missing data for required field.";
		else if (s != NULL && v == NULL)
			*why = wrong_type_text(p->type);
		else if (v != NULL && !in_bounds(p, v, bounds, sizeof(bounds)))
			*why = bounds;
		if (*why != NULL) {
			json_decref(v);
			json_decref(out);
			return NULL;
		}
		if (s == NULL && p->def != NULL)
			v = json_loads(p->def, JSON_DECODE_ANY, NULL);
		if (v != NULL)
			json_object_set_new(out, p->name, v);
	}
	return out;
}

void reply_wrong_field(struct http_req *r, const char *field, const char *why)
{
	refuse(r, "form", field, why);
}

bool request_speaks_for(struct http_req *r, const char *party_id)
{
	const struct tls_identity *id = http_req_identity(r);
	const struct log_ctx ctx = {.request_id = http_req_id(r), .attempt = -1};

	/* Calls of this site to itself come over the plain loopback listener of the worker and
	 * client API; the routes between sites are only served with mutual TLS. */
	if (id != NULL && tls_identity_has(id, party_id))
		return true;
	log_warn(&ctx, "refused %s from %s: its certificate (%s) does not speak for party %s",
		 http_req_path(r), http_req_remote(r), id == NULL ? "none" : id->subject, party_id);
	reply_code(r, ERR_API_PERMISSION,
		   "No Permission: the certificate of the caller does not name party %s", party_id);
	return false;
}
