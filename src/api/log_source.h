/* Which log the parameters of a request mean: log = schedule, stdout, stderr or component, with
 * job_id and, but for schedule, role, party_id, task_name, attempt. Shared by /v2/log/read and the
 * stream of a log. */
#ifndef NORN_API_LOG_SOURCE_H
#define NORN_API_LOG_SOURCE_H

#include "auth/request.h"

/* The values of `log`. */
#define LOG_NAMES "schedule stdout stderr component"

/* The file's name; NULL: the parameters are wrong, and that was answered. */
const char *log_source_file(struct http_req *r, const json_t *p);
bool log_source_schedule(const json_t *p);
/* A batch whose only statement gives no row (unknown), or `attempt` and `over`: nothing more will
 * be written. */
struct db_batch *log_source_state(struct http_req *r, const json_t *p);
void log_source_unknown(struct http_req *r, const json_t *p); /* answers */
MUST_CHECK bool log_source_path(const struct http_req *r, const json_t *p, const char *file,
				int64_t attempt, struct buf *path, struct err *e);

#endif
