/* Building batches and answering them. */
#include "db/db_int.h"
#include "base/js.h"
#include "base/log.h"
#include "base/mem.h"
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARAM_BYTES_MAX (256UL << 20)
#define PARAMS_MAX      65535 /* of one statement: a 16-bit count in the protocol */

struct db_batch *db_batch_new(struct db *db)
{
	struct db_batch *b = mem_zalloc(sizeof(*b));

	b->db = db;
	return b;
}

void batch_clear_results(struct db_batch *b)
{
	if (b->results)
		for (size_t i = 0; i < b->n_ops; i++) {
			PQclear(b->results[i]);
			b->results[i] = NULL;
		}
	PQclear(b->failure);
	b->failure = NULL;
}

void batch_destroy(struct db_batch *b)
{
	batch_clear_results(b);
	if (b->pause)
		event_free(b->pause);
	free(b->results);
	free(b->ops);
	free(b->params);
	buf_free(&b->arena);
	free(b);
}

void db_batch_free(struct db_batch *b)
{
	if (b)
		batch_destroy(b);
}

size_t db_batch_count(const struct db_batch *b)
{
	return b->n_ops;
}

void db_add(struct db_batch *b, enum db_stmt stmt)
{
	if (b->n_ops == b->cap_ops) {
		b->cap_ops = b->cap_ops ? b->cap_ops * 2 : 4;
		b->ops = mem_resize(b->ops, b->cap_ops, sizeof(*b->ops));
	}
	b->ops[b->n_ops++] = (struct db_op){.stmt = stmt, .first_param = b->n_params};
}

/* data NULL: SQL null */
static void add_value(struct db_batch *b, const void *data, size_t len, bool binary)
{
	if (b->n_ops == 0)
		log_die(70, "a value was bound before the first statement of a batch");
	if (b->n_params == b->cap_params) {
		b->cap_params = b->cap_params ? b->cap_params * 2 : 16;
		b->params = mem_resize(b->params, b->cap_params, sizeof(*b->params));
	}
	struct db_op *op = &b->ops[b->n_ops - 1];

	if (data && len > PARAM_BYTES_MAX) {
		err_set(&b->invalid, ERR_LIMIT, "%s: value %zu has %zu bytes, the limit is %lu",
			db_stmt_name(op->stmt), op->n_params + 1, len, PARAM_BYTES_MAX);
		data = NULL;
	} else if (data && !binary && memchr(data, 0, len)) {
		/* libpq would cut the text there */
		err_set(&b->invalid, ERR_PARSE, "%s: value %zu is text with a NUL byte",
			db_stmt_name(op->stmt), op->n_params + 1);
		data = NULL;
	}
	if (op->n_params == PARAMS_MAX)
		err_set(&b->invalid, ERR_LIMIT, "%s: more than %d values", db_stmt_name(op->stmt),
			PARAMS_MAX);
	b->params[b->n_params++] = (struct db_param){
	    .offset = b->arena.len, .len = data ? (int)len : 0, .null = !data, .binary = binary};
	op->n_params++;
	if (data) {
		if (len > 0)
			buf_add(&b->arena, data, len);
		buf_addc(&b->arena, '\0');
	}
}

void db_text(struct db_batch *b, const char *v)
{
	add_value(b, v, v ? strlen(v) : 0, false);
}

void db_textn(struct db_batch *b, const char *v, size_t len)
{
	add_value(b, v ? v : "", v ? len : 0, false);
}

void db_int(struct db_batch *b, int64_t v)
{
	char s[32];
	int n = snprintf(s, sizeof(s), "%lld", (long long)v);

	add_value(b, s, (size_t)n, false);
}

static size_t format_double(char *out, size_t size, double v)
{
	if (isnan(v))
		return (size_t)snprintf(out, size, "NaN");
	if (isinf(v))
		return (size_t)snprintf(out, size, v > 0 ? "Infinity" : "-Infinity");
	return (size_t)snprintf(out, size, "%.17g", v);
}

void db_double(struct db_batch *b, double v)
{
	char s[40];

	add_value(b, s, format_double(s, sizeof(s), v), false);
}

void db_bool(struct db_batch *b, bool v)
{
	add_value(b, v ? "t" : "f", 1, false);
}

void db_null(struct db_batch *b)
{
	add_value(b, NULL, 0, false);
}

void db_json(struct db_batch *b, const json_t *v)
{
	struct buf text = {0};

	if (!v) {
		db_null(b);
		return;
	}
	js_dump(v, &text);
	add_value(b, buf_str(&text), text.len, false);
	buf_free(&text);
}

void db_bytes(struct db_batch *b, const void *data, size_t len)
{
	add_value(b, data ? data : "", data ? len : 0, true);
}

static void array_separator(struct db_array *a)
{
	buf_addc(&a->text, a->text.len ? ',' : '{');
}

void db_array_int(struct db_array *a, int64_t v)
{
	array_separator(a);
	buf_printf(&a->text, "%lld", (long long)v);
}

void db_array_double(struct db_array *a, double v)
{
	char s[40];
	size_t n = format_double(s, sizeof(s), v);

	array_separator(a);
	buf_add(&a->text, s, n);
}

void db_array_text(struct db_array *a, const char *v)
{
	array_separator(a);
	if (!v) {
		buf_adds(&a->text, "NULL");
		return;
	}
	buf_addc(&a->text, '"');
	for (const char *p = v; *p;) {
		size_t plain = strcspn(p, "\"\\");

		buf_add(&a->text, p, plain);
		p += plain;
		if (*p) {
			buf_addc(&a->text, '\\');
			buf_addc(&a->text, *p++);
		}
	}
	buf_addc(&a->text, '"');
}

/* The protocol's form: number of dimensions, whether there are nulls, type of the elements; of the
 * dimension its size and first index; then length and bytes of each element. Words in network
 * order. */
enum { ARRAY_DIMENSIONS, ARRAY_NULLS, ARRAY_TYPE, ARRAY_SIZE, ARRAY_FIRST, ARRAY_HEAD_WORDS };
#define JSON_OID 114

static void put_word(struct buf *text, size_t offset, uint32_t v)
{
	uint32_t word = htonl(v);

	memcpy(text->data + offset, &word, sizeof(word));
}

static void add_word(struct buf *text, uint32_t v)
{
	uint32_t word = htonl(v);

	buf_add(text, &word, sizeof(word));
}

void db_array_json(struct db_array *a, const json_t *v)
{
	static const uint32_t head[ARRAY_HEAD_WORDS] = {
	    [ARRAY_DIMENSIONS] = 1, [ARRAY_TYPE] = JSON_OID, [ARRAY_FIRST] = 1};

	for (size_t i = 0; a->n_binary == 0 && i < ARRAY_HEAD_WORDS; i++)
		add_word(&a->text, head[i]);
	a->n_binary++;
	size_t at = a->text.len;
	add_word(&a->text, 0);
	js_dump(v, &a->text);
	size_t len = a->text.len - at - sizeof(uint32_t);
	/* db_array() refuses an array that is so long. */
	put_word(&a->text, at, len <= PARAM_BYTES_MAX ? (uint32_t)len : 0);
}

void db_array(struct db_batch *b, struct db_array *a)
{
	bool binary = a->n_binary > 0;

	if (binary) {
		put_word(&a->text, ARRAY_SIZE * sizeof(uint32_t), a->n_binary);
	} else {
		if (a->text.len == 0)
			buf_addc(&a->text, '{');
		buf_addc(&a->text, '}');
	}
	add_value(b, a->text.data, a->text.len, binary);
	db_array_free(a);
}

void db_array_free(struct db_array *a)
{
	buf_free(&a->text);
	a->n_binary = 0;
}

void batch_finish(struct db_batch *b, const struct err *err, const char *sqlstate)
{
	struct db_scratch scratch = {0};
	struct db_result r = {.n = (int)b->n_ops, .results = b->results, .scratch = &scratch};

	if (err) {
		r.err = *err;
		snprintf(r.sqlstate, sizeof(r.sqlstate), "%s", sqlstate);
	}
	if (b->cb)
		b->cb(&r, b->arg);
	else if (err)
		log_warn(LOG_CTX_NONE, "a database batch that nobody waits for failed: %s",
			 r.err.msg);
	for (size_t i = 0; i < scratch.n; i++)
		PQfreemem(scratch.items[i]);
	free(scratch.items);
	batch_destroy(b);
}
