/*
 * The OpenAPI 3.1 document of the HTTP API, made from the route tables (net/http.h) and from what
 * they say of their parameters and answers (struct http_doc in auth/request.h), so that it is what
 * the node checks and serves.
 *
 * Types of answers are written so: string, integer, number, boolean, object, any; a capitalised
 * name is a record of openapi_types.c; {name:type other?:type} is an object, other may be left out.
 * Behind a type, [] makes a list, {} an object whose values are of it, and ? allows null; a|b is
 * either.
 */
#ifndef NORN_API_OPENAPI_H
#define NORN_API_OPENAPI_H

#include <jansson.h>

/* A new object. */
json_t *openapi_document(void);

/* JSON Schema of a type; a mistake in the text ends the program, since it is part of it. */
json_t *openapi_type(const char *text);
/* The records, as components/schemas. */
json_t *openapi_records(void);

#endif
