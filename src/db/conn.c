/*
 * A pool connection: sends batches in pipeline mode and hands out their results.
 *
 * A statement is prepared at first use in a section of the pipeline of its own, with its own Sync,
 * right before the batch: inside the batch, an error would skip the preparation that later batches
 * rely on.
 */
#include "db/db_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct db_flight *flight_new(struct db_conn *c, size_t n)
{
	struct db_flight *f = mem_zalloc(sizeof(*f));

	f->n = n;
	TAILQ_INSERT_TAIL(&c->flights, f, link);
	return f;
}

static void flight_free(struct db_conn *c, struct db_flight *f)
{
	TAILQ_REMOVE(&c->flights, f, link);
	free(f->prepared);
	free(f);
}

bool db_conn_accepts(const struct db_conn *c)
{
	return c->link.state == LINK_UP && !c->retiring && c->n_batches < DB_PIPELINE_MAX;
}

static bool send_preparations(struct db_conn *c, const struct db_batch *b)
{
	enum db_stmt *list = NULL;
	size_t n = 0;

	for (size_t i = 0; i < b->n_ops; i++) {
		enum db_stmt s = b->ops[i].stmt;

		if (c->prep[s] != PREP_NONE)
			continue;
		if (!list)
			list = mem_array(b->n_ops, sizeof(*list));
		c->prep[s] = PREP_SENT;
		list[n++] = s;
		if (!PQsendPrepare(c->link.pg, db_stmt_name(s), db_stmt_sql(s), 0, NULL)) {
			free(list);
			return false;
		}
	}
	if (n == 0)
		return true;
	flight_new(c, n)->prepared = list;
	return PQpipelineSync(c->link.pg) == 1;
}

static bool send_statements(struct db_conn *c, const struct db_batch *b)
{
	const char **values = mem_array(b->n_params + 1, sizeof(*values));
	int *lengths = mem_array(b->n_params + 1, sizeof(*lengths));
	int *formats = mem_array(b->n_params + 1, sizeof(*formats));
	bool ok = true;

	for (size_t i = 0; i < b->n_params; i++) {
		const struct db_param *p = &b->params[i];

		values[i] = p->null ? NULL : b->arena.data + p->offset;
		lengths[i] = p->len;
		formats[i] = p->binary;
	}
	for (size_t i = 0; i < b->n_ops && ok; i++) {
		const struct db_op *op = &b->ops[i];
		size_t first = op->first_param;

		ok = PQsendQueryPrepared(c->link.pg, db_stmt_name(op->stmt), (int)op->n_params,
					 values + first, lengths + first, formats + first, 0) == 1;
	}
	free(values);
	free(lengths);
	free(formats);
	return ok;
}

static void watch(struct db_conn *c)
{
	int ms = c->db->target.statement_timeout_ms * 2 + 5000;
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	if (TAILQ_EMPTY(&c->flights))
		event_del(c->watchdog);
	else
		event_add(c->watchdog, &tv);
}

void db_conn_send(struct db_conn *c, struct db_batch *b)
{
	/* Without its Sync the server cannot have committed a batch, so it may be sent again. */
	if (!send_preparations(c, b) || !send_statements(c, b)) {
		pool_put_back(b);
		link_fail(&c->link, PQerrorMessage(c->link.pg));
		return;
	}
	if (!b->results)
		b->results = mem_array(b->n_ops, sizeof(*b->results));
	flight_new(c, b->n_ops)->batch = b;
	c->n_batches++;
	watch(c);
	if (!PQpipelineSync(c->link.pg)) {
		link_fail(&c->link, PQerrorMessage(c->link.pg));
		return;
	}
	if (!link_flush(&c->link))
		return;
}

/* Whether the error says that the batch was rolled back and may succeed when tried again. */
static bool worth_retrying(struct db_conn *c, struct db_batch *b, const char *state)
{
	const char *routine = PQresultErrorField(b->failure, PG_DIAG_SOURCE_FUNCTION);

	if (str_eq(state, "40001") || str_eq(state, "40P01"))
		return true;
	if (str_eq(state, "26000") && b->failed_op < b->n_ops) {
		/* not prepared here, whatever we thought (a pooler, or a section that failed) */
		c->prep[b->ops[b->failed_op].stmt] = PREP_NONE;
		return true;
	}
	/* A plan made before a migration, or a server that became a standby: a new session helps.
	 */
	if (str_eq(state, "25006") ||
	    (str_eq(state, "0A000") && str_eq(routine, "RevalidateCachedQuery"))) {
		c->retiring = true;
		return true;
	}
	return false;
}

static void batch_answered(struct db_conn *c, struct db_batch *b)
{
	struct err e;
	char state[6];
	const char *field;

	if (!b->failure) {
		batch_finish(b, NULL, "");
		return;
	}
	field = PQresultErrorField(b->failure, PG_DIAG_SQLSTATE);
	snprintf(state, sizeof(state), "%s", field ? field : "");
	if (str_eq(state, "26000") && b->failed_op < b->n_ops && c->prep_error.code != ERR_OK &&
	    c->prep_error_stmt == b->ops[b->failed_op].stmt) {
		/* the statement cannot be prepared: that error is the cause */
		e = c->prep_error;
		batch_finish(b, &e, c->prep_error_state);
		return;
	}
	if (worth_retrying(c, b, state) && b->retries < DB_RETRY_MAX) {
		pool_retry(b);
		return;
	}
	db_error_from_result(
	    b->failure,
	    b->failed_op < b->n_ops ? db_stmt_name(b->ops[b->failed_op].stmt) : "commit", &e);
	batch_finish(b, &e, state);
}

static void take_batch_result(struct db_flight *f, PGresult *res)
{
	struct db_batch *b = f->batch;

	switch (PQresultStatus(res)) {
	case PGRES_TUPLES_OK:
	case PGRES_COMMAND_OK:
	case PGRES_EMPTY_QUERY:
		if (f->done < f->n && !b->results[f->done])
			b->results[f->done] = res;
		else
			PQclear(res);
		break;
	case PGRES_PIPELINE_ABORTED:
		PQclear(res);
		break;
	default:
		if (b->failure) {
			PQclear(res);
			break;
		}
		b->failure = res;
		b->failed_op = f->done;
	}
}

static void take_preparation_result(struct db_conn *c, const struct db_flight *f, PGresult *res)
{
	if (f->done < f->n) {
		enum db_stmt s = f->prepared[f->done];
		bool ok = PQresultStatus(res) == PGRES_COMMAND_OK;
		const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

		c->prep[s] = ok ? PREP_READY : PREP_NONE;
		if (PQresultStatus(res) == PGRES_FATAL_ERROR) {
			db_error_from_result(res, db_stmt_name(s), &c->prep_error);
			c->prep_error_stmt = s;
			snprintf(c->prep_error_state, sizeof(c->prep_error_state), "%s",
				 state ? state : "");
		} else if (ok && c->prep_error_stmt == s) {
			c->prep_error.code = ERR_OK;
		}
	}
	PQclear(res);
}

static void flight_done(struct db_conn *c, struct db_flight *f)
{
	struct db_batch *b = f->batch;

	flight_free(c, f);
	if (!b)
		return;
	c->n_batches--;
	pool_kick(c->db);
	batch_answered(c, b);
}

/*
 * COPY is not possible here: libpq would give its result over and over. And a command has one
 * result, or two when it fails after its first rows.
 */
static bool expected(struct db_flight *f, const PGresult *res)
{
	switch (PQresultStatus(res)) {
	case PGRES_COPY_IN:
	case PGRES_COPY_OUT:
	case PGRES_COPY_BOTH:
		return false;
	default:
		return !f->got || ++f->extra < 2;
	}
}

/* Takes every result that has arrived. False: libpq and we disagree about what was sent. */
static bool take_results(struct db_conn *c)
{
	struct db_flight *f;
	int empty = 0;

	while ((f = TAILQ_FIRST(&c->flights)) && !PQisBusy(c->link.pg)) {
		PGresult *res = PQgetResult(c->link.pg);

		if (!res) {
			/* the end of one command's results; twice in a row, only when libpq is idle
			 */
			if (++empty > 2)
				return false;
			f->done += f->got;
			f->got = false;
			f->extra = 0;
			continue;
		}
		empty = 0;
		if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
			PQclear(res);
			flight_done(c, f);
			continue;
		}
		if (!expected(f, res)) {
			PQclear(res);
			return false;
		}
		f->got = true;
		if (f->batch)
			take_batch_result(f, res);
		else
			take_preparation_result(c, f, res);
	}
	/* With nothing in flight this still makes libpq read notices. */
	if (!f && PQisBusy(c->link.pg))
		return false;
	return true;
}

static void conn_up(struct link *l)
{
	struct db_conn *c = l->owner;

	memset(c->prep, PREP_NONE, (size_t)db_stmt_count());
	c->prep_error.code = ERR_OK;
	c->retiring = false;
	if (!PQenterPipelineMode(l->pg)) {
		link_fail(l, PQerrorMessage(l->pg));
		return;
	}
	log_info(LOG_CTX_NONE, "connected to the database %s on %s", PQdb(l->pg), PQhost(l->pg));
	pool_kick(c->db);
}

static void conn_readable(struct link *l)
{
	struct db_conn *c = l->owner;

	if (!take_results(c))
		link_fail(l, "unexpected answers from the server");
	else if (c->retiring && TAILQ_EMPTY(&c->flights))
		link_fail(l, "a new session is needed");
	else
		watch(c);
}

static void conn_down(struct link *l, const char *reason)
{
	struct db_conn *c = l->owner;
	struct db_flight *f;
	struct err e;

	/* Batches whose answers came whole before the break are done. */
	(void)take_results(c);
	event_del(c->watchdog);
	err_set(&e, ERR_DB_LOST, "the database connection broke, the outcome is unknown: %s",
		reason);
	while ((f = TAILQ_FIRST(&c->flights))) {
		struct db_batch *b = f->batch;

		flight_free(c, f);
		if (b)
			batch_finish(b, &e, "");
	}
	c->n_batches = 0;
	pool_kick(c->db);
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	struct db_conn *c = arg;

	link_fail(&c->link, "the server does not answer");
}

static const struct link_ops conn_ops = {
    .up = conn_up, .readable = conn_readable, .down = conn_down};

void db_conn_init(struct db_conn *c, struct db *db)
{
	c->db = db;
	TAILQ_INIT(&c->flights);
	c->prep = mem_zalloc((size_t)db_stmt_count());
	c->watchdog = evtimer_new(db->base, on_watchdog, c);
	if (!c->watchdog)
		log_die(70, "out of memory");
	link_init(&c->link, db->base, &db->target, &conn_ops, c);
	link_start(&c->link);
}

void db_conn_close(struct db_conn *c)
{
	if (c->link.state == LINK_UP)
		conn_down(&c->link, "the program closes it");
	link_close(&c->link);
	event_free(c->watchdog);
	free(c->prep);
}
