/* Inside of src/db: batches, results, pool connections. */
#ifndef NORN_DB_DB_INT_H
#define NORN_DB_DB_INT_H

#include "db/db.h"
#include "db/link.h"
#include <sys/queue.h>

#define DB_PIPELINE_MAX 16 /* batches in flight on one connection */
#define DB_RETRY_MAX    3  /* after serialization failures and the like */

/* A bound value: its bytes stand in the batch's arena, followed by a NUL. */
struct db_param {
	size_t offset;
	int len;
	bool null;
	bool binary;
};

struct db_op {
	enum db_stmt stmt;
	size_t first_param;
	size_t n_params;
};

struct db_batch {
	struct db *db;
	struct db_op *ops;
	size_t n_ops, cap_ops;
	struct db_param *params;
	size_t n_params, cap_params;
	struct buf arena;
	struct err invalid; /* a value that cannot be sent; code ERR_OK when fine */

	db_cb *cb;
	void *arg;
	int64_t queue_deadline_ms; /* monotonic */
	int retries;
	struct event *pause; /* before a retry */
	PGresult **results;  /* n_ops entries, NULL until answered */
	PGresult *failure;   /* the result that carries the error; owned */
	size_t failed_op;    /* n_ops: at the commit */
	TAILQ_ENTRY(db_batch) link;
};
TAILQ_HEAD(db_batch_list, db_batch);

/* What reading a result allocates on the way; freed with it. */
struct db_scratch {
	void **items; /* for PQfreemem */
	size_t n, cap;
};

struct db_result {
	struct err err; /* ERR_OK: committed */
	char sqlstate[6];
	int n;
	PGresult **results;
	struct db_scratch *scratch;
};

/* Something sent that ends with a Sync of its own: the preparation of statements, or a batch. */
struct db_flight {
	struct db_batch *batch; /* NULL for a preparation */
	enum db_stmt *prepared; /* of a preparation; owned */
	size_t n;               /* results expected before the Sync */
	size_t done;            /* results that are complete */
	bool got;               /* the current command has given its result */
	int extra;              /* results of it beyond the first */
	TAILQ_ENTRY(db_flight) link;
};
TAILQ_HEAD(db_flight_list, db_flight);

enum prep_state { PREP_NONE, PREP_SENT, PREP_READY };

struct db_conn {
	struct db *db;
	struct link link;
	struct db_flight_list flights;
	int n_batches;       /* among flights */
	bool retiring;       /* takes no more batches; connects anew when empty */
	unsigned char *prep; /* enum prep_state of each statement */
	/* The error of the last failed preparation, for the batches that needed it. */
	struct err prep_error;
	char prep_error_state[6];
	enum db_stmt prep_error_stmt;
	struct event *watchdog; /* answers must come */
};

struct listen_channel {
	char *name;
	void (*fn)(const char *payload, void *arg);
	void *arg;
	SLIST_ENTRY(listen_channel) link;
};

struct db_listener {
	struct db *db;
	struct link link;
	bool started;
	bool busy;    /* a LISTEN is under way */
	bool changed; /* channels were added since */
	SLIST_HEAD(, listen_channel) channels;
};

struct db {
	struct event_base *base;
	struct link_target target;
	int queue_timeout_ms;
	int max_queued;
	struct db_conn *conns;
	int n_conns;
	struct db_batch_list queue;  /* in order of queue_deadline_ms */
	struct db_batch_list paused; /* waiting to be tried again */
	struct db_batch_list unsent; /* refused at submit, or empty; answered from the loop */
	int n_queued;
	struct event *kick; /* dispatch from the loop */
	struct event *queue_timer;
	struct db_listener listener;
	bool closing;
};

/* batch.c */
void batch_destroy(struct db_batch *b);
void batch_clear_results(struct db_batch *b);
/* Calls back with the results or with err, and frees the batch. */
void batch_finish(struct db_batch *b, const struct err *err, const char *sqlstate);

/* error.c */
void db_error_from_result(const PGresult *res, const char *stmt_name, struct err *e);
/* One line without the trailing newline, for log lines and messages. */
void db_error_text(const char *message, char *out, size_t size);
void db_connection_error_text(const char *message, char *out, size_t size);
void db_notice(void *arg, const PGresult *res);

/* conn.c */
void db_conn_init(struct db_conn *c, struct db *db);
void db_conn_close(struct db_conn *c);
bool db_conn_accepts(const struct db_conn *c);
/* c must accept. */
void db_conn_send(struct db_conn *c, struct db_batch *b);

/* pool.c */
void pool_kick(struct db *db);
/* Try the batch again after a short random pause. */
void pool_retry(struct db_batch *b);
/* The batch was not sent after all: back to the head of the queue. */
void pool_put_back(struct db_batch *b);

/* listen.c */
void listener_init(struct db_listener *l, struct db *db);
void listener_close(struct db_listener *l);

#endif
