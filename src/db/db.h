/*
 * PostgreSQL on the event loop: a pool of libpq connections in pipeline mode. A batch is a list of
 * named, prepared statements sent in one go and executed as ONE transaction (an implicit
 * transaction block up to the Sync): all of it or none. Batches of different callers share
 * connections and never wait for each other's answers. No transaction is ever held open across
 * something else.
 *
 * Statements stand in sql/queries/NAME.sql, each under a line "-- name: job_insert"; a build step
 * turns them into enum db_stmt { Q_JOB_INSERT, ... } and a table (db/statements.h). They are
 * prepared on a connection at first use.
 */
#ifndef NORN_DB_DB_H
#define NORN_DB_DB_H

#include "base/buf.h"
#include "base/err.h"
#include "db/statements.h" /* generated: enum db_stmt, db_stmt_name(), db_stmt_sql() */
#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct db;
struct db_batch;
struct db_result;

struct db_opts {
	const char *conninfo;     /* libpq connection string or URI; several hosts allowed */
	int pool_size;            /* default 4 */
	int statement_timeout_ms; /* set on each connection; default 30000 */
	int queue_timeout_ms;     /* how long a batch waits for a connection; default 10000 */
	int max_queued;           /* batches waiting; more are refused at once; default 10000 */
	const char *application_name;
};

MUST_CHECK struct db *db_open(struct event_base *base, const struct db_opts *opts, struct err *e);
/* Pending batches get ERR_DB_UNAVAILABLE or ERR_DB_LOST. Not from inside a callback of this db. */
void db_close(struct db *db);
bool db_is_up(const struct db *db);             /* at least one usable connection */
const char *db_last_error(const struct db *db); /* why not, "" when up */

typedef void db_cb(struct db_result *res, void *arg);

/* Building a batch. The binds belong to the last db_add, in order, and copy their values. */
struct db_batch *db_batch_new(struct db *db);
void db_batch_free(struct db_batch *b); /* only when not submitted */
void db_add(struct db_batch *b, enum db_stmt stmt);
void db_text(struct db_batch *b, const char *v); /* NULL is SQL null */
void db_textn(struct db_batch *b, const char *v, size_t len);
void db_int(struct db_batch *b, int64_t v);
void db_double(struct db_batch *b, double v);
void db_bool(struct db_batch *b, bool v);
void db_null(struct db_batch *b);
void db_json(struct db_batch *b, const json_t *v);               /* NULL is SQL null; borrowed */
void db_bytes(struct db_batch *b, const void *data, size_t len); /* bytea, binary */
size_t db_batch_count(const struct db_batch *b);

/* Array parameters: fill a struct db_array, bind it as a PostgreSQL array literal. */
struct db_array {
	struct buf text;
	uint32_t n_binary; /* elements, when they are not text */
};
void db_array_int(struct db_array *a, int64_t v);
void db_array_double(struct db_array *a, double v);
void db_array_text(struct db_array *a, const char *v); /* NULL is null */
/* For json[], in binary: long texts would be escaped here and unescaped there. Not to be mixed with
 * the others. */
void db_array_json(struct db_array *a, const json_t *v);
void db_array(struct db_batch *b, struct db_array *a); /* binds and empties a */
void db_array_free(struct db_array *a);                /* one that is not bound */

/* Runs and frees the batch. cb is called exactly once, never from inside this call; it may be NULL.
 */
void db_submit(struct db_batch *b, db_cb *cb, void *arg);

/* Results; valid inside cb only. Statement index k counts the db_add calls from 0. */
const struct err *db_error(const struct db_result *r); /* NULL: committed */
const char *db_sqlstate(const struct db_result *r);    /* of the error, or "" */
int db_rows(const struct db_result *r, int k);
int64_t db_affected(const struct db_result *r, int k);
bool db_is_null(const struct db_result *r, int k, int row, const char *col);
const char *db_get(const struct db_result *r, int k, int row,
		   const char *col); /* "" for null; unknown column: fatal */
int64_t db_get_int(const struct db_result *r, int k, int row, const char *col);
double db_get_double(const struct db_result *r, int k, int row, const char *col);
bool db_get_bool(const struct db_result *r, int k, int row, const char *col);
json_t *db_get_json(const struct db_result *r, int k, int row,
		    const char *col); /* new reference or NULL */
const void *db_get_bytes(const struct db_result *r, int k, int row, const char *col,
			 size_t *len); /* decoded bytea */

/*
 * Notifications come on a connection of their own and are only a hint. fn is called with the
 * payload; it is also called with NULL after every (re)connect, since anything may have been
 * missed.
 */
void db_listen(struct db *db, const char *channel, void (*fn)(const char *payload, void *arg),
	       void *arg);

/* Blocking; for start-up. Applies sql/migrations/NNNN_name.sql in order, each in a transaction,
 * under an advisory lock, recording checksums; an applied file that has changed is an error. */
MUST_CHECK bool db_migrate(const char *conninfo, int *applied, struct err *e);
/* ok when the schema is at this program's version (or one newer, for rolling upgrades). */
MUST_CHECK bool db_check_schema(const char *conninfo, struct err *e);

#endif
