/* Reading results. A wrong index, column or type is a mistake in the program, not in its input:
 * fatal. */
#include "db/db_int.h"
#include "base/js.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include <stdlib.h>
#include <string.h>

/* What comes from our own tables was checked when it went in; only memory is protected here. */
static const struct js_limits column_limits = {
    .max_bytes = 256UL << 20, .max_depth = 256, .max_nodes = 50UL * 1000 * 1000};

const struct err *db_error(const struct db_result *r)
{
	return r->err.code == ERR_OK ? NULL : &r->err;
}

const char *db_sqlstate(const struct db_result *r)
{
	return r->sqlstate;
}

static const PGresult *statement(const struct db_result *r, int k)
{
	if (k < 0 || k >= r->n)
		log_die(70, "result %d of a database batch of %d statements was asked for", k,
			r->n);
	/* After an error nothing is there, also for the statements that had run before it. */
	return r->err.code == ERR_OK && r->results ? r->results[k] : NULL;
}

int db_rows(const struct db_result *r, int k)
{
	const PGresult *res = statement(r, k);

	return res ? PQntuples(res) : 0;
}

int64_t db_affected(const struct db_result *r, int k)
{
	int64_t n = 0;

	if (!statement(r, k) || !str_to_i64(PQcmdTuples(r->results[k]), &n))
		return 0;
	return n;
}

/* NULL for SQL null */
static const char *value(const struct db_result *r, int k, int row, const char *col, size_t *len)
{
	const PGresult *res = statement(r, k);

	if (!res || row < 0 || row >= PQntuples(res))
		log_die(70,
			"row %d of %d was asked for, column %s, statement %d of a database batch",
			row, res ? PQntuples(res) : 0, col, k);
	int i = PQfnumber(res, col);

	if (i < 0)
		log_die(70, "statement %d of a database batch has no column %s", k, col);
	*len = (size_t)PQgetlength(res, row, i);
	return PQgetisnull(res, row, i) ? NULL : PQgetvalue(res, row, i);
}

bool db_is_null(const struct db_result *r, int k, int row, const char *col)
{
	size_t len;

	return !value(r, k, row, col, &len);
}

const char *db_get(const struct db_result *r, int k, int row, const char *col)
{
	size_t len;
	const char *v = value(r, k, row, col, &len);

	return v ? v : "";
}

int64_t db_get_int(const struct db_result *r, int k, int row, const char *col)
{
	size_t len;
	const char *v = value(r, k, row, col, &len);
	int64_t n = 0;

	if (v && !str_to_i64(v, &n))
		log_die(70, "column %s of statement %d is no 64-bit integer", col, k);
	return n;
}

double db_get_double(const struct db_result *r, int k, int row, const char *col)
{
	size_t len;
	const char *v = value(r, k, row, col, &len);
	char *end = NULL;

	if (!v)
		return 0;
	/* strtod knows PostgreSQL's NaN and Infinity as well */
	double d = strtod(v, &end);

	if (end == v || *end)
		log_die(70, "column %s of statement %d is no number", col, k);
	return d;
}

bool db_get_bool(const struct db_result *r, int k, int row, const char *col)
{
	size_t len;
	const char *v = value(r, k, row, col, &len);

	if (v && !str_eq(v, "t") && !str_eq(v, "f"))
		log_die(70, "column %s of statement %d is no boolean", col, k);
	return str_eq(v, "t");
}

json_t *db_get_json(const struct db_result *r, int k, int row, const char *col)
{
	size_t len;
	const char *v = value(r, k, row, col, &len);
	struct err e;

	if (!v)
		return NULL;
	json_t *j = js_parse(v, len, &column_limits, &e);

	if (!j)
		log_error(LOG_CTX_NONE, "column %s of statement %d: %s", col, k, e.msg);
	return j;
}

static void keep(struct db_scratch *s, void *p)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 8;
		s->items = mem_resize(s->items, s->cap, sizeof(*s->items));
	}
	s->items[s->n++] = p;
}

const void *db_get_bytes(const struct db_result *r, int k, int row, const char *col, size_t *len)
{
	size_t text_len;
	const char *v = value(r, k, row, col, &text_len);

	*len = 0;
	if (!v)
		return NULL;
	unsigned char *data = PQunescapeBytea((const unsigned char *)v, len);

	if (!data)
		log_die(70, "out of memory");
	keep(r->scratch, data);
	return data;
}
