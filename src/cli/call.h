/* One HTTP call to the node at a time, waited for. */
#ifndef NORN_CLI_CALL_H
#define NORN_CLI_CALL_H

#include "base/buf.h"
#include "cli/cli.h"

/*
 * path is below the node's URL ("/v2/job/query"). query: key, value, key, value, ..., NULL; pairs
 * with a NULL value are left out. Both give the whole envelope as a new reference when its code is
 * 0; otherwise the error has the envelope's code and message. A transport failure is ERR_CONNECT or
 * ERR_TIMEOUT and names the URL. An interrupt with catch_interrupt gives ERR_TIMEOUT and sets
 * interrupted.
 */
MUST_CHECK json_t *call_get(struct cli *c, const char *path, const char *const *query,
			    struct err *e);
MUST_CHECK json_t *call_post(struct cli *c, const char *path, const json_t *body, struct err *e);

/* Only the data of an answer: a new reference; JSON null when the envelope has none. */
MUST_CHECK json_t *call_get_data(struct cli *c, const char *path, const char *const *query,
				 struct err *e);
MUST_CHECK json_t *call_post_data(struct cli *c, const char *path, const json_t *body,
				  struct err *e);

/* The whole answer, whatever its code: a new reference. body NULL: GET. */
MUST_CHECK json_t *call_any(struct cli *c, const char *path, const char *const *query,
			    const json_t *body, struct err *e);

/* Saves a file answer at path_out, whole or not at all; a JSON answer is an error envelope. body
 * NULL: GET. Shows a bar on a terminal; given up when nothing moves for a minute. */
MUST_CHECK bool call_download(struct cli *c, const char *path, const char *const *query,
			      const json_t *body, const char *path_out, int64_t *bytes,
			      struct err *e);

/* Sends a file as the part "file" of a form with fields (name, value, ..., NULL), as it is read;
 * the envelope is a new reference. any_code: also one that says an error. */
MUST_CHECK json_t *call_upload(struct cli *c, const char *path, const char *const *fields,
			       const char *file, bool any_code, struct err *e);

/* A plain text answer (health pages): status and body. */
MUST_CHECK bool call_text(struct cli *c, const char *path, int *status, struct buf *body,
			  struct err *e);

/* Appends the value percent-encoded. */
void call_encode(struct buf *out, const char *value);

#endif
