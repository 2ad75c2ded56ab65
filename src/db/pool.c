/* The pool: waiting batches, and which connection gets them. */
#include "db/db_int.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include <event2/util.h>
#include <stdlib.h>
#include <string.h>

static void refuse(struct db_batch *b, const char *why)
{
	struct err e;

	err_set(&e, ERR_DB_UNAVAILABLE, "%s", why);
	batch_finish(b, &e, "");
}

static struct db_conn *least_busy(struct db *db)
{
	struct db_conn *best = NULL;

	for (int i = 0; i < db->n_conns; i++) {
		struct db_conn *c = &db->conns[i];

		if (db_conn_accepts(c) && (!best || c->n_batches < best->n_batches))
			best = c;
	}
	return best;
}

static void answer_unsent(struct db *db)
{
	struct db_batch *b;

	while ((b = TAILQ_FIRST(&db->unsent))) {
		TAILQ_REMOVE(&db->unsent, b, link);
		if (b->invalid.code == ERR_OK) {
			batch_finish(b, NULL, "");
		} else {
			struct err e = b->invalid;

			batch_finish(b, &e, "");
		}
	}
}

static void set_queue_timer(struct db *db)
{
	struct db_batch *b = TAILQ_FIRST(&db->queue);

	if (!b) {
		event_del(db->queue_timer);
		return;
	}
	int64_t ms = b->queue_deadline_ms - clock_mono_ms();

	if (ms < 1)
		ms = 1;
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	event_add(db->queue_timer, &tv);
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct db *db = arg;
	struct db_batch *b;
	struct db_conn *c;

	answer_unsent(db);
	while ((b = TAILQ_FIRST(&db->queue)) && (c = least_busy(db))) {
		TAILQ_REMOVE(&db->queue, b, link);
		db->n_queued--;
		db_conn_send(c, b);
	}
	set_queue_timer(db);
}

static void on_queue_timer(evutil_socket_t fd, short what, void *arg)
{
	struct db *db = arg;
	struct db_batch *b;
	int64_t now = clock_mono_ms();
	struct err e;

	while ((b = TAILQ_FIRST(&db->queue)) && b->queue_deadline_ms <= now) {
		TAILQ_REMOVE(&db->queue, b, link);
		db->n_queued--;
		if (db_is_up(db))
			err_set(&e, ERR_DB_UNAVAILABLE,
				"the database had no time for this within %d ms",
				db->queue_timeout_ms);
		else
			err_set(&e, ERR_DB_UNAVAILABLE, "no connection to the database: %s",
				db_last_error(db));
		batch_finish(b, &e, "");
	}
	set_queue_timer(db);
}

void pool_kick(struct db *db)
{
	if (!db->closing)
		event_active(db->kick, EV_TIMEOUT, 0);
}

static void enqueue(struct db_batch *b)
{
	b->queue_deadline_ms = clock_mono_ms() + b->db->queue_timeout_ms;
	TAILQ_INSERT_TAIL(&b->db->queue, b, link);
	b->db->n_queued++;
	pool_kick(b->db);
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	struct db_batch *b = arg;

	TAILQ_REMOVE(&b->db->paused, b, link);
	enqueue(b);
}

void pool_retry(struct db_batch *b)
{
	unsigned char random;

	batch_clear_results(b);
	b->retries++;
	TAILQ_INSERT_TAIL(&b->db->paused, b, link);
	if (!b->pause)
		b->pause = evtimer_new(b->db->base, on_pause_over, b);
	if (!b->pause)
		log_die(70, "out of memory");
	evutil_secure_rng_get_bytes(&random, sizeof(random));
	/* 1..33, 1..65, 1..129 ms: longer than the transactions that are in the way */
	struct timeval tv = {0, 1000 + random * 125 * (1 << (b->retries - 1))};

	event_add(b->pause, &tv);
}

void pool_put_back(struct db_batch *b)
{
	if (b->retries++ < DB_RETRY_MAX) {
		TAILQ_INSERT_HEAD(&b->db->queue, b, link);
		b->db->n_queued++;
	} else {
		refuse(b, "the batch could not be sent to the database");
	}
}

void db_submit(struct db_batch *b, db_cb *cb, void *arg)
{
	struct db *db = b->db;

	b->cb = cb;
	b->arg = arg;
	if (b->n_ops > 0 && b->invalid.code == ERR_OK) {
		if (db->closing)
			err_set(&b->invalid, ERR_DB_UNAVAILABLE, "the program is ending");
		else if (db->n_queued >= db->max_queued)
			err_set(&b->invalid, ERR_DB_UNAVAILABLE,
				"%d requests wait for the database already", db->n_queued);
	}
	if (b->n_ops == 0 || b->invalid.code != ERR_OK) {
		TAILQ_INSERT_TAIL(&db->unsent, b, link);
		pool_kick(db);
	} else {
		enqueue(b);
	}
}

bool db_is_up(const struct db *db)
{
	for (int i = 0; i < db->n_conns; i++)
		if (db->conns[i].link.state == LINK_UP)
			return true;
	return false;
}

const char *db_last_error(const struct db *db)
{
	return db_is_up(db) ? "" : db->conns[0].link.last_error;
}

static int or_default(int value, int def)
{
	return value > 0 ? value : def;
}

struct db *db_open(struct event_base *base, const struct db_opts *opts, struct err *e)
{
	struct db *db = mem_zalloc(sizeof(*db));

	if (!link_target_parse(&db->target, opts->conninfo ? opts->conninfo : "",
			       opts->application_name, e)) {
		free(db);
		return NULL;
	}
	db->base = base;
	db->target.statement_timeout_ms = or_default(opts->statement_timeout_ms, 30000);
	db->queue_timeout_ms = or_default(opts->queue_timeout_ms, 10000);
	db->max_queued = or_default(opts->max_queued, 10000);
	TAILQ_INIT(&db->queue);
	TAILQ_INIT(&db->paused);
	TAILQ_INIT(&db->unsent);
	db->kick = event_new(base, -1, 0, on_kick, db);
	db->queue_timer = evtimer_new(base, on_queue_timer, db);
	if (!db->kick || !db->queue_timer)
		log_die(70, "out of memory");
	db->n_conns = or_default(opts->pool_size, 4);
	db->conns = mem_array((size_t)db->n_conns, sizeof(*db->conns));
	for (int i = 0; i < db->n_conns; i++)
		db_conn_init(&db->conns[i], db);
	listener_init(&db->listener, db);
	return db;
}

static void refuse_all(struct db *db, struct db_batch_list *list)
{
	struct db_batch *b;

	while ((b = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, b, link);
		refuse(b, "the program is ending");
	}
}

void db_close(struct db *db)
{
	if (!db)
		return;
	db->closing = true;
	listener_close(&db->listener);
	for (int i = 0; i < db->n_conns; i++)
		db_conn_close(&db->conns[i]);
	refuse_all(db, &db->queue);
	refuse_all(db, &db->paused);
	/* last, since callbacks above may have submitted more */
	answer_unsent(db);
	event_free(db->kick);
	event_free(db->queue_timer);
	link_target_free(&db->target);
	free(db->conns);
	free(db);
}
