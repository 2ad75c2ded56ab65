/*
 * The common kind of route: bind the parameters to one named statement whose only row has a column
 * "data" with JSON text, and pass that text to the client as it is.
 */
#ifndef NORN_API_REPLY_H
#define NORN_API_REPLY_H

#include "auth/request.h"

/* A batch with one statement added; bind, then give it to pass_data(). */
struct db_batch *one_statement(struct http_req *r, enum db_stmt stmt);
/* Binds the texts of an object under these names, SQL null where absent. */
void bind_texts(struct db_batch *b, const json_t *p, const char *const *names, size_t n);

/*
 * Runs the batch and answers with column "data" of the first statement. No row, or null there, is
 * answered with `code` and the text, or when code is ERR_OK with success and without data. The text
 * is made now, so the arguments need not live on.
 */
void pass_data(struct http_req *r, struct db_batch *b, enum err_code code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* The same, but the text itself is the whole answer, without an envelope. */
void pass_bare(struct http_req *r, struct db_batch *b, enum err_code code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* Runs the batch and answers success without data. */
void pass_done(struct http_req *r, struct db_batch *b);

/* A refusal. The text may hold whatever a client has sent, cut anywhere: it is answered as clean
 * UTF-8. */
void refuse(struct http_req *r, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Success with JSON text as data. */
void reply_text(struct http_req *r, const char *data);
/* "k1[v1],k2[v2]" of those that were given, for messages in FATE's form. */
void add_given(struct buf *out, const json_t *p, const char *const *names, size_t n);

#endif
