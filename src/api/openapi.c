/* The OpenAPI document, and GET /v2/openapi.json. */
#include "config.h"
#include "api/openapi.h"

#include "api/api.h"
#include "api/reply.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/channel.h"
#include "party/partner.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define CODE_MAX  9999
#define JSON_TYPE "application/json"

/* What the node says below all routes, when a request is none or does not come. */
static const struct {
	int status;
	const char *text;
} refusals[] = {
    {400, "This is not HTTP, or not HTTP that has only one meaning"},
    {408, "The request did not come in time (http.header_timeout_ms, http.body_timeout_ms)"},
    {413, "The body is longer than this route takes"},
    {414, "The request line is too long"},
    {417, "An expectation other than 100-continue"},
    {431, "The headers are too long or too many"},
    {500, "The node cannot read back what it was sent"},
    {501, "A method or transfer coding that nobody knows here"},
    {505, "Neither HTTP/1.0 nor HTTP/1.1"},
    {507, "There is no room for the body"},
};

/* ---- what is taken ---- */

static json_t *param_schema(const struct param *p)
{
	static const char *const types[] = {
	    [P_STR] = "string",  [P_INT] = "integer", [P_FLOAT] = "number",   [P_BOOL] = "boolean",
	    [P_DICT] = "object", [P_LIST] = "array",  [P_STR_LIST] = "array",
	};
	json_t *s = json_pack("{s:s}", "type", types[p->type]);

	if (p->type == P_INT)
		json_object_set_new(s, "format", json_string("int64"));
	if (p->type == P_INT && p->max != 0) {
		json_object_set_new(s, "minimum", json_integer(p->min));
		json_object_set_new(s, "maximum", json_integer(p->max));
	}
	if (p->type == P_STR && p->max != 0) {
		json_object_set_new(s, "minLength", json_integer(p->min > 0 ? 1 : 0));
		json_object_set_new(s, "maxLength", json_integer(p->max));
	}
	if (p->type == P_STR_LIST)
		json_object_set_new(s, "items", json_pack("{s:s}", "type", "string"));
	if (p->among != NULL) {
		json_t *words = json_array();
		for (const char *w = p->among; *w != '\0'; w += strspn(w, " ")) {
			size_t n = strcspn(w, " ");
			json_array_append_new(words, json_stringn(w, n));
			w += n;
		}
		json_object_set_new(s, "enum", words);
	}
	if (p->def != NULL)
		json_object_set_new(s, "default", json_loads(p->def, JSON_DECODE_ANY, NULL));
	return s;
}

static void add_parameter(json_t *list, const char *in, const char *name, bool required,
			  json_t *schema)
{
	json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:o}", "name", name, "in", in,
					      "required", (int)required, "schema", schema));
}

static void add_path_parameters(json_t *list, const char *path)
{
	const char *p;

	while ((p = strchr(path, '{')) != NULL) {
		size_t n = strcspn(++p, "}");
		char *name = mem_strndup(p, n);
		add_parameter(list, "path", name, true, json_pack("{s:s}", "type", "string"));
		free(name);
		path = p + n;
	}
}

/* The values of a JSON body or of a form as one object. */
static json_t *body_schema(const struct http_doc *doc, bool *needed)
{
	json_t *fields = json_object();
	json_t *required = json_array();

	for (size_t i = 0; i < doc->n_params; i++) {
		const struct param *p = &doc->params[i];
		json_object_set_new(fields, p->name, param_schema(p));
		if (p->required)
			json_array_append_new(required, json_string(p->name));
	}
	if (doc->has_file) {
		json_object_set_new(
		    fields, "file",
		    json_pack("{s:s}", "contentMediaType", "application/octet-stream"));
		json_array_append_new(required, json_string("file"));
	}
	*needed = json_array_size(required) > 0;
	return json_pack("{s:s, s:o, s:o}", "type", "object", "properties", fields, "required",
			 required);
}

static void add_body(json_t *op, const char *media, json_t *schema, bool required)
{
	json_object_set_new(op, "requestBody",
			    json_pack("{s:b, s:{s:{s:o}}}", "required", (int)required, "content",
				      media, "schema", schema));
}

static void add_inputs(json_t *op, const struct http_route *route)
{
	static const struct http_doc nothing = {.where = IN_QUERY};
	const struct http_doc *doc = route->doc != NULL ? route->doc : &nothing;
	json_t *list = json_array();
	bool needed;

	add_path_parameters(list, route->path);
	if (doc->where == IN_QUERY || doc->where == IN_EITHER) {
		for (size_t i = 0; i < doc->n_params; i++)
			add_parameter(list, "query", doc->params[i].name, doc->params[i].required,
				      param_schema(&doc->params[i]));
	}
	if (doc->header != NULL)
		add_parameter(list, "header", doc->header, false,
			      json_pack("{s:s}", "type", "string"));
	json_object_set_new(op, "parameters", list);
	if (doc->n_params > 0 && doc->where != IN_QUERY) {
		json_t *schema = body_schema(doc, &needed);
		add_body(op, doc->where == IN_FORM ? "multipart/form-data" : JSON_TYPE, schema,
			 needed);
	} else if ((route->flags & HTTP_RAW_BODY) != 0) {
		add_body(op, "application/octet-stream", json_object(), true);
	}
}

/* ---- what is answered ---- */

static json_t *envelope(const struct http_doc *doc)
{
	json_t *fields =
	    json_pack("{s:{s:i}, s:{s:s}}", "code", "const", 0, "message", "type", "string");
	json_t *required = json_pack("[s, s]", "code", "message");

	if (doc != NULL && doc->data != NULL) {
		json_object_set_new(fields, "data", openapi_type(doc->data));
		json_array_append_new(required, json_string("data"));
	}
	if (doc != NULL && doc->has_job_id)
		json_object_set_new(fields, "job_id", json_pack("{s:s}", "type", "string"));
	return json_pack("{s:s, s:o, s:o}", "type", "object", "properties", fields, "required",
			 required);
}

static json_t *error_ref(void)
{
	return json_pack("{s:s}", "$ref", "#/components/schemas/Error");
}

/* Of what is not JSON; of server-sent events, that of each. */
static json_t *text_schema(const char *media)
{
	if (str_eq(media, "text/event-stream"))
		return openapi_type("ServerSentEvent");
	return str_starts(media, "text/") ? json_pack("{s:s}", "type", "string") : json_object();
}

static void add_success(json_t *answers, const struct http_route *route)
{
	const struct http_doc *doc = route->doc;
	const char *media = doc != NULL ? doc->media : NULL;
	bool api = str_starts(route->path, "/v2/");
	json_t *content = json_object();

	if (media != NULL) {
		char *plain = mem_strndup(media, strcspn(media, ";"));
		json_object_set_new(content, plain,
				    json_pack("{s:o}", "schema", text_schema(plain)));
		free(plain);
	}
	if (media == NULL || !str_eq(media, JSON_TYPE)) {
		json_t *schema = error_ref();
		if (media == NULL) {
			json_t *good =
			    doc != NULL && doc->bare ? openapi_type(doc->data) : envelope(doc);
			schema = json_pack("{s:[o, o]}", "anyOf", good, schema);
		}
		if (api)
			json_object_set_new(content, JSON_TYPE,
					    json_pack("{s:o}", "schema", schema));
		else
			json_decref(schema);
	}
	json_object_set_new(answers, "200",
			    json_pack("{s:s, s:o}", "description",
				      api ? "Success when code is 0; else the code says what is "
					    "wrong"
					  : "Success",
				      "content", content));
	if (doc != NULL && doc->may_be_empty)
		json_object_set_new(answers, "204",
				    json_pack("{s:s}", "description", "There is nothing yet"));
	if (doc != NULL && doc->unready)
		json_object_set_new(answers, "503",
				    json_pack("{s:s, s:{s:{s:{s:s}}}}", "description",
					      "The node cannot work; the text says why", "content",
					      "text/plain", "schema", "type", "string"));
}

static void add_answers(json_t *op, const struct http_route *route)
{
	json_t *answers = json_object();

	add_success(answers, route);
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		char status[8];
		char *ref = mem_printf("#/components/responses/%d", refusals[i].status);
		snprintf(status, sizeof(status), "%d", refusals[i].status);
		json_object_set_new(answers, status, json_pack("{s:s}", "$ref", ref));
		free(ref);
	}
	json_object_set_new(op, "responses", answers);
}

/* ---- who may call ---- */

static json_t *security_of(const char *path)
{
	if (str_starts(path, "/v2/partner/") || str_starts(path, "/v2/scheduler/"))
		return json_pack("[{s:[]}]", "mutualTLS");
	if (str_starts(path, "/v2/worker/"))
		return json_pack("[{s:[]}, {s:[]}]", "taskToken", "taskTokenInQuery");
	if (str_starts(path, "/v2/"))
		return json_pack("[{}, {s:[], s:[], s:[], s:[], s:[]}]", "appId", "userName",
				 "Nonce", "Timestamp", "Signature");
	return json_array();
}

static json_t *security_schemes(void)
{
	static const char *const headers[][2] = {
	    {"appId", "The app that calls; wanted with auth.client, as the other four"},
	    {"userName", "May be empty"},
	    {"Nonce", "Four characters"},
	    {"Timestamp", "Milliseconds since 1970, at most a minute off"},
	    {"Signature",
	     "md5hex(md5hex(appId + userName + Nonce + Timestamp) + token of the app)"},
	};
	json_t *all = json_object();

	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		json_object_set_new(all, headers[i][0],
				    json_pack("{s:s, s:s, s:s, s:s}", "type", "apiKey", "in",
					      "header", "name", headers[i][0], "description",
					      headers[i][1]));
	json_object_set_new(all, "taskToken",
			    json_pack("{s:s, s:s, s:s}", "type", "http", "scheme", "bearer",
				      "description", "NORN_TASK_TOKEN of the task's environment"));
	json_object_set_new(all, "taskTokenInQuery",
			    json_pack("{s:s, s:s, s:s, s:s}", "type", "apiKey", "in", "query",
				      "name", "token", "description", "The same"));
	json_object_set_new(all, "mutualTLS",
			    json_pack("{s:s, s:s}", "type", "mutualTLS", "description",
				      "The certificate names the party that calls"));
	return all;
}

/* ---- the whole ---- */

static char *operation_id(const struct http_route *route)
{
	char *id = mem_printf("%s%s", route->method, route->path);

	for (char *c = id; *c != '\0'; c++)
		*c = isalnum((unsigned char)*c) ? (char)tolower((unsigned char)*c) : '_';
	return id;
}

/* "job" of "/v2/job/query". */
static json_t *tag_of(const char *path)
{
	const char *group = str_starts(path, "/v2/") ? path + 4 : "monitoring";

	return json_stringn(group, strcspn(group, "/."));
}

static void add_route(const struct http_route *route, void *arg)
{
	json_t *paths = arg;
	json_t *item = json_object_get(paths, route->path);
	json_t *op;
	char *id = operation_id(route);
	char method[8];

	if (item == NULL) {
		item = json_object();
		json_object_set_new(paths, route->path, item);
		if (str_starts(route->path, "/v2/partner/") ||
		    str_starts(route->path, "/v2/scheduler/"))
			json_object_set_new(item, "servers",
					    json_pack("[{s:s, s:s, s:{s:{s:s}}}]", "url",
						      "https://{address}", "description",
						      "peer.listen: for other sites", "variables",
						      "address", "default", "localhost:9390"));
	}
	op = json_pack("{s:s, s:s, s:[o], s:o}", "operationId", id, "summary", route->summary,
		       "tags", tag_of(route->path), "security", security_of(route->path));
	add_inputs(op, route);
	add_answers(op, route);
	str_copy(method, sizeof(method), route->method);
	for (char *c = method; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	json_object_set_new(item, method, op);
	free(id);
}

static json_t *error_schema(void)
{
	json_t *codes = json_array();
	json_t *names = json_array();

	for (int code = 1; code <= CODE_MAX; code++) {
		const char *name = err_code_name((enum err_code)code);
		if (str_eq(name, "UNKNOWN"))
			continue;
		json_array_append_new(codes, json_integer(code));
		json_array_append_new(names, json_string(name));
	}
	return json_pack(
	    "{s:s, s:s, s:[s, s, s], s:{s:{s:s, s:o, s:o}, s:{s:s, s:s}, s:{s:s, s:s}, s:{s:s}}}",
	    "type", "object", "description",
	    "A request that was refused or has failed. Codes below 9000 are FATE-Flow's.",
	    "required", "code", "message", "request_id", "properties", "code", "type", "integer",
	    "enum", codes, "x-enum-varnames", names, "message", "type", "string", "description",
	    "What is wrong and what to do", "request_id", "type", "string", "description",
	    "Stands in the server log too", "data", "description", "Which field is wrong, and how");
}

static json_t *components(void)
{
	json_t *schemas = openapi_records();
	json_t *answers = json_object();

	json_object_set_new(schemas, "Error", error_schema());
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		char status[8];
		snprintf(status, sizeof(status), "%d", refusals[i].status);
		json_object_set_new(answers, status,
				    json_pack("{s:s, s:{s:{s:o}}}", "description", refusals[i].text,
					      "content", JSON_TYPE, "schema", error_ref()));
	}
	return json_pack("{s:o, s:o, s:o}", "schemas", schemas, "responses", answers,
			 "securitySchemes", security_schemes());
}

json_t *openapi_document(void)
{
	json_t *paths = json_object();

	api_each_route(add_route, paths);
	for (size_t i = 0; i < channel_worker_n_routes; i++)
		add_route(&channel_worker_routes[i], paths);
	for (size_t i = 0; i < partner_n_routes; i++)
		add_route(&partner_routes[i], paths);
	for (size_t i = 0; i < scheduler_n_routes; i++)
		add_route(&scheduler_routes[i], paths);
	return json_pack(
	    "{s:s, s:{s:s, s:s, s:s, s:{s:s}}, s:[{s:s}], s:o, s:o}", "openapi", "3.1.0", "info",
	    "title", "Norn", "version", PACKAGE_VERSION, "description",
	    "The HTTP API of a Norn node; compatible with FATE-Flow 2.2. What is asked of a route "
	    "below /v2 is answered with status 200, also when it is refused: \"code\" is 0 on "
	    "success. An unknown route or a wrong method has code 6000. Unknown parameters are "
	    "ignored, integers and booleans may be written as texts, and HEAD is answered like "
	    "GET.",
	    "license", "name", "Apache-2.0", "servers", "url", "/", "paths", paths, "components",
	    components());
}

static void serve(struct http_req *r, void *arg)
{
	http_reply_json(r, 200, openapi_document());
}

const struct http_route api_openapi_routes[] = {
    {"GET", "/v2/openapi.json", serve, 0, 0, "This document",
     DOC(.data = "{openapi:string paths:object}", .bare = true)},
};
const size_t api_openapi_n_routes = ARRAY_LEN(api_openapi_routes);
