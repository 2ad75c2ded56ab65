/* GET /v2/job/why, in a file of its own. */
#ifndef NORN_API_WHY_H
#define NORN_API_WHY_H

#include "net/http.h"

void api_job_why(struct http_req *r, void *arg);
extern const struct http_doc api_why_doc;

#endif
