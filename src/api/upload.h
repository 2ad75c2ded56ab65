/* POST /v2/data/component/upload/file, in a file of its own. */
#ifndef NORN_API_UPLOAD_H
#define NORN_API_UPLOAD_H

#include "net/http.h"

void api_upload_file(struct http_req *r, void *arg);
extern const struct http_doc api_upload_doc;

#endif
