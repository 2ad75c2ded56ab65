/*
 * Migrations: each file in one transaction, in order, under an advisory lock, with its checksum
 * recorded. Blocking; used at start-up only.
 */
#include "db/migrate.h"
#include "db/db_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Any constant does, as long as nothing else in the database uses it: "norn" in ASCII. */
#define LOCK_SQL "SELECT pg_advisory_lock(1852797550)"

static PGconn *connect_blocking(const char *conninfo, struct err *e)
{
	struct link_target t;
	char text[ERR_MSG_MAX / 2];
	PGconn *pg = NULL;

	if (!link_target_parse(&t, conninfo ? conninfo : "", "norn migration", e))
		return NULL;
	const char **keywords = mem_array((size_t)t.n + 1, sizeof(*keywords));
	const char **values = mem_array((size_t)t.n + 1, sizeof(*values));

	for (int i = 0; i < t.n; i++) {
		keywords[i] = t.keywords[i];
		values[i] = t.values[i];
	}
	pg = PQconnectdbParams(keywords, values, 0);
	free(keywords);
	free(values);
	link_target_free(&t);
	if (PQstatus(pg) != CONNECTION_OK) {
		db_connection_error_text(PQerrorMessage(pg), text, sizeof(text));
		err_set(e, ERR_DB_UNAVAILABLE, "no connection to the database: %s", text);
		PQfinish(pg);
		return NULL;
	}
	PQsetNoticeReceiver(pg, db_notice, NULL);
	return pg;
}

/* A statement of ours failed; when its connection is gone that may be tried again. */
static void explain(PGconn *pg, const PGresult *res, struct err *e)
{
	if (PQstatus(pg) == CONNECTION_OK) {
		db_error_from_result(res, "schema", e);
		return;
	}
	char *text = mem_strdup(PQerrorMessage(pg));
	text[strcspn(text, "\n")] = '\0';
	err_set(e, ERR_DB_UNAVAILABLE, "the connection to the database broke: %s", text);
	free(text);
}

static bool run(PGconn *pg, const char *sql, struct err *e)
{
	PGresult *res = PQexec(pg, sql);
	ExecStatusType status = PQresultStatus(res);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		explain(pg, res, e);
	PQclear(res);
	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

static bool table_exists(PGconn *pg, bool *exists, struct err *e)
{
	PGresult *res = PQexec(pg, "SELECT to_regclass('norn.schema_migration') IS NOT NULL");
	bool ok = PQresultStatus(res) == PGRES_TUPLES_OK;

	if (ok)
		*exists = str_eq(PQgetvalue(res, 0, 0), "t");
	else
		explain(pg, res, e);
	PQclear(res);
	return ok;
}

/* The schema may have been made beforehand by somebody with more rights: then it is left alone. */
static bool create_table(PGconn *pg, struct err *e)
{
	return run(pg,
		   "DO $$ BEGIN"
		   " IF to_regnamespace('norn') IS NULL THEN CREATE SCHEMA norn; END IF;"
		   " CREATE TABLE norn.schema_migration ("
		   " number integer PRIMARY KEY,"
		   " name text NOT NULL,"
		   " checksum text NOT NULL,"
		   " applied_at timestamptz NOT NULL DEFAULT now());"
		   " END $$",
		   e);
}

static bool checksum(const char *sql, struct buf *hex, struct err *e)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (!EVP_Digest(sql, strlen(sql), md, &len, EVP_sha256(), NULL))
		return err_set(e, ERR_CRYPTO, "SHA-256 is not available");
	buf_reset(hex);
	str_hex(hex, md, len);
	return true;
}

/* One row of norn.schema_migration against the list. */
static bool compare_row(const PGresult *res, int row, const struct db_migration *list, int count,
			struct err *e)
{
	struct buf sum = {0};
	int64_t number;
	bool ok;

	if (!str_to_i64(PQgetvalue(res, row, 0), &number) || number < 1)
		return err_set(e, ERR_CONFIG, "norn.schema_migration holds the number %s",
			       PQgetvalue(res, row, 0));
	if (number != row + 1)
		return err_set(e, ERR_CONFIG,
			       "migration %d was never applied, but a later one, %s, was", row + 1,
			       PQgetvalue(res, row, 1));
	if (number > count)
		return true;
	if (!checksum(list[number - 1].sql, &sum, e))
		return false;
	ok = str_eq(buf_str(&sum), PQgetvalue(res, row, 2));
	buf_free(&sum);
	if (!ok)
		err_set(e, ERR_CONFIG,
			"migration %s is not the one that was applied to this database: an applied "
			"file must "
			"never change",
			list[number - 1].name);
	return ok;
}

/* *applied: how many of the list the database has, or count + 1 when it is one ahead. */
static bool compare(PGconn *pg, const struct db_migration *list, int count, int *applied,
		    struct err *e)
{
	PGresult *res =
	    PQexec(pg, "SELECT number, name, checksum FROM norn.schema_migration ORDER BY number");
	bool ok = PQresultStatus(res) == PGRES_TUPLES_OK;

	if (!ok)
		explain(pg, res, e);
	*applied = ok ? PQntuples(res) : 0;
	for (int i = 0; ok && i < *applied; i++)
		ok = compare_row(res, i, list, count, e);
	PQclear(res);
	if (ok && *applied > count + 1)
		return err_set(
		    e, ERR_CONFIG,
		    "the database is at migration %d, this program knows %d: use a newer program",
		    *applied, count);
	return ok;
}

/* The line of a character position (from 1) in UTF-8 text. */
static int line_of(const char *sql, int64_t position)
{
	int line = 1;

	for (; *sql && position > 1; sql++) {
		if (((unsigned char)sql[1] & 0xc0) != 0x80)
			position--;
		line += *sql == '\n';
	}
	return line;
}

static bool run_file(PGconn *pg, const struct db_migration *m, struct err *e)
{
	PGresult *res = PQexec(pg, m->sql);
	ExecStatusType status = PQresultStatus(res);
	const char *position = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
	const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	char text[ERR_MSG_MAX / 2];
	char where[32] = "";
	int64_t n;

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
		if (position && str_to_i64(position, &n))
			snprintf(where, sizeof(where), ", line %d", line_of(m->sql, n));
		db_error_text(primary ? primary : PQerrorMessage(pg), text, sizeof(text));
		PQclear(res);
		return err_set(e, ERR_DB, "migration %s%s: %s", m->name, where, text);
	}
	PQclear(res);
	if (PQtransactionStatus(pg) != PQTRANS_INTRANS)
		return err_set(e, ERR_DB, "migration %s ends the transaction it runs in", m->name);
	return true;
}

static bool record(PGconn *pg, const struct db_migration *m, struct err *e)
{
	struct buf sum = {0};
	char number[16];

	if (!checksum(m->sql, &sum, e))
		return false;
	snprintf(number, sizeof(number), "%d", m->number);
	const char *values[] = {number, m->name, buf_str(&sum)};
	PGresult *res = PQexecParams(
	    pg, "INSERT INTO norn.schema_migration (number, name, checksum) VALUES ($1, $2, $3)", 3,
	    NULL, values, NULL, NULL, 0);
	bool ok = PQresultStatus(res) == PGRES_COMMAND_OK;

	if (!ok)
		db_error_from_result(res, m->name, e);
	PQclear(res);
	buf_free(&sum);
	return ok;
}

static bool apply_one(PGconn *pg, const struct db_migration *m, struct err *e)
{
	struct err ignored;

	/* the path again each time, since a file may set it */
	if (!run(pg, "BEGIN; SET LOCAL search_path = norn, public", e))
		return false;
	if (!run_file(pg, m, e) || !record(pg, m, e)) {
		if (!run(pg, "ROLLBACK", &ignored))
			log_debug(LOG_CTX_NONE, "rolling back %s: %s", m->name, ignored.msg);
		return false;
	}
	if (!run(pg, "COMMIT", e))
		return err_prefix(e, "migration %s", m->name);
	log_info(LOG_CTX_NONE, "applied migration %s", m->name);
	return true;
}

static bool apply_missing(PGconn *pg, const struct db_migration *list, int count, int *applied,
			  struct err *e)
{
	bool exists;
	int have;

	if (!run(pg, LOCK_SQL, e) || !table_exists(pg, &exists, e))
		return false;
	if (!exists && !create_table(pg, e))
		return false;
	if (!compare(pg, list, count, &have, e))
		return false;
	for (int i = have; i < count; i++) {
		if (!apply_one(pg, &list[i], e))
			return false;
		++*applied;
	}
	return true;
}

static bool check_only(PGconn *pg, const struct db_migration *list, int count, struct err *e)
{
	bool exists;
	int have;

	if (!table_exists(pg, &exists, e))
		return false;
	if (!exists)
		return err_set(e, ERR_CONFIG,
			       "the database holds no schema of Norn yet: migrate it first");
	if (!compare(pg, list, count, &have, e))
		return false;
	if (have < count)
		return err_set(
		    e, ERR_CONFIG,
		    "the database is at migration %d, this program needs %d: migrate it first",
		    have, count);
	return true;
}

bool db_migrations_run(const char *conninfo, const struct db_migration *list, int count, bool apply,
		       int *applied, struct err *e)
{
	PGconn *pg = connect_blocking(conninfo, e);
	int n = 0;
	bool ok;

	if (!pg) {
		ok = false;
	} else {
		/* closing the session gives the advisory lock back */
		ok = apply ? apply_missing(pg, list, count, &n, e) : check_only(pg, list, count, e);
		PQfinish(pg);
	}
	if (applied)
		*applied = n;
	return ok;
}

bool db_migrate(const char *conninfo, int *applied, struct err *e)
{
	return db_migrations_run(conninfo, db_migrations, db_migration_count, true, applied, e);
}

bool db_check_schema(const char *conninfo, struct err *e)
{
	return db_migrations_run(conninfo, db_migrations, db_migration_count, false, NULL, e);
}
