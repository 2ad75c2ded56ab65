/*
 * multipart/form-data, piece by piece. Fields are kept in memory within limits; the content of the
 * first part named "file" goes to a callback as it comes. Pure.
 */
#ifndef NORN_API_MULTIPART_H
#define NORN_API_MULTIPART_H

#include "base/buf.h"
#include "base/err.h"
#include <jansson.h>
#include <stdbool.h>

#define MULTIPART_BOUNDARY_MAX 70           /* RFC 2046 */
#define MULTIPART_HEADER_MAX   8192         /* of one part */
#define MULTIPART_FIELD_MAX    (256 * 1024) /* of one field's value */
#define MULTIPART_PARTS_MAX    64

struct multipart;

/* Content of the file part; false stops the parsing with *e. */
typedef bool multipart_file_cb(const void *data, size_t len, void *arg, struct err *e);

/* content_type is the request's header. NULL: it is no multipart/form-data, or its boundary is not
 * allowed. */
MUST_CHECK struct multipart *multipart_new(const char *content_type, multipart_file_cb *cb,
					   void *arg, struct err *e);
void multipart_free(struct multipart *m);

/* Any amount of bytes, in order. */
MUST_CHECK bool multipart_feed(struct multipart *m, const void *data, size_t len, struct err *e);
/* After the last byte: the closing boundary must have come. */
MUST_CHECK bool multipart_end(struct multipart *m, struct err *e);

bool multipart_has_file(const struct multipart *m); /* a part named "file" has begun */
json_t *multipart_fields(
    const struct multipart *m); /* borrowed: {name: text}; the first of a name counts */

#endif
