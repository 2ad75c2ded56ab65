#include "config.h"

#include "component/csv.h"

#include "base/mem.h"
#include "base/str.h"
#include <stdlib.h>
#include <string.h>

bool csv_reader_init(struct csv_reader *r, FILE *in, char delimiter, struct err *e)
{
	unsigned char d = (unsigned char)delimiter;

	memset(r, 0, sizeof *r);
	if (d == 0 || d == '"' || d == '\r' || d == '\n' || d > 126)
		return err_set(e, ERR_USAGE,
			       "the delimiter must be one ASCII character, not a "
			       "quote and not a line end");
	r->in = in;
	r->delimiter = delimiter;
	r->next_line = 1;
	return true;
}

void csv_reader_free(struct csv_reader *r)
{
	buf_free(&r->text);
	free(r->offsets);
	memset(r, 0, sizeof *r);
}

const char *csv_field(const struct csv_reader *r, size_t i)
{
	return r->text.data + r->offsets[i];
}

static bool start_field(struct csv_reader *r, struct err *e)
{
	if (r->n_fields == CSV_FIELDS_MAX)
		return err_set(e, ERR_LIMIT, "line %lld: more than %d fields", (long long)r->line,
			       CSV_FIELDS_MAX);
	if (r->n_fields == r->cap_fields) {
		r->cap_fields = r->cap_fields ? r->cap_fields * 2 : 32;
		r->offsets = mem_resize(r->offsets, r->cap_fields, sizeof *r->offsets);
	}
	r->offsets[r->n_fields++] = r->text.len;
	return true;
}

static bool end_field(struct csv_reader *r, struct err *e)
{
	size_t start = r->offsets[r->n_fields - 1];

	if (!str_is_utf8(buf_str(&r->text) + start, r->text.len - start))
		return err_set(e, ERR_PARSE, "line %lld, field %zu: not UTF-8 text",
			       (long long)r->line, r->n_fields);
	buf_addc(&r->text, '\0');
	return true;
}

static bool add_char(struct csv_reader *r, int c, struct err *e)
{
	if (c == 0)
		return err_set(e, ERR_PARSE, "line %lld, field %zu: contains a NUL byte",
			       (long long)r->line, r->n_fields);
	if (r->text.len - r->offsets[r->n_fields - 1] >= CSV_FIELD_MAX)
		return err_set(e, ERR_LIMIT, "line %lld, field %zu: longer than %d bytes",
			       (long long)r->line, r->n_fields, CSV_FIELD_MAX);
	if (r->text.len >= CSV_RECORD_MAX)
		return err_set(e, ERR_LIMIT, "line %lld: longer than %d bytes", (long long)r->line,
			       CSV_RECORD_MAX);
	buf_addc(&r->text, (char)c);
	return true;
}

static int get_char(struct csv_reader *r)
{
	return r->n_pushed > 0 ? r->pushed[--r->n_pushed] : getc_unlocked(r->in);
}

static void put_back(struct csv_reader *r, int c)
{
	if (c != EOF)
		r->pushed[r->n_pushed++] = c;
}

/* The next character with CRLF folded into LF, so that line ends are seen in one place. */
static int next_char(struct csv_reader *r)
{
	int c = get_char(r), d;

	if (c != '\r')
		return c;
	d = get_char(r);
	if (d == '\n' || d == EOF)
		return '\n';
	put_back(r, d);
	return c;
}

static void skip_bom(struct csv_reader *r)
{
	int a = get_char(r), b, c;

	if (a != 0xEF) {
		put_back(r, a);
		return;
	}
	b = get_char(r);
	if (b != 0xBB) {
		put_back(r, b);
		put_back(r, a);
		return;
	}
	c = get_char(r);
	if (c == 0xBF)
		return;
	put_back(r, c);
	put_back(r, b);
	put_back(r, a);
}

/* After the opening quote, up to and including the closing one. */
static bool read_quoted(struct csv_reader *r, struct err *e)
{
	int c;

	for (;;) {
		c = get_char(r);
		if (c == EOF)
			return err_set(e, ERR_PARSE, "line %lld: a quoted field is not closed",
				       (long long)r->line);
		if (c == '\n')
			r->next_line++;
		if (c == '"') {
			c = get_char(r);
			if (c != '"') {
				put_back(r, c);
				return true;
			}
		}
		if (!add_char(r, c, e))
			return false;
	}
}

/* One field and what ends it: the delimiter, '\n' or EOF in *end. */
static bool read_field(struct csv_reader *r, int first, int *end, struct err *e)
{
	int c = first;

	if (!start_field(r, e))
		return false;
	if (c == '"') {
		if (!read_quoted(r, e))
			return false;
		c = next_char(r);
		if (c != r->delimiter && c != '\n' && c != EOF)
			return err_set(e, ERR_PARSE,
				       "line %lld, field %zu: text after the closing "
				       "quote",
				       (long long)r->line, r->n_fields);
	} else {
		for (; c != r->delimiter && c != '\n' && c != EOF; c = next_char(r)) {
			if (c == '"' || c == '\r')
				return err_set(e, ERR_PARSE,
					       "line %lld, field %zu: %s in an "
					       "unquoted field",
					       (long long)r->line, r->n_fields,
					       c == '"' ? "a quote" : "a carriage return");
			if (!add_char(r, c, e))
				return false;
		}
	}
	*end = c;
	return end_field(r, e);
}

enum csv_result csv_read(struct csv_reader *r, struct err *e)
{
	int c, end = '\n';

	if (!r->started) {
		skip_bom(r);
		r->started = true;
	}
	buf_reset(&r->text);
	r->n_fields = 0;
	while ((c = next_char(r)) == '\n')
		r->next_line++;
	r->line = r->next_line;
	if (c == EOF) {
		if (!ferror(r->in))
			return CSV_END;
		err_set(e, ERR_IO, "cannot read the file");
		return CSV_ERROR;
	}
	for (;;) {
		if (!read_field(r, c, &end, e))
			return CSV_ERROR;
		if (end != r->delimiter)
			break;
		c = next_char(r);
	}
	if (end == '\n')
		r->next_line++;
	if (ferror(r->in)) {
		err_set(e, ERR_IO, "cannot read the file");
		return CSV_ERROR;
	}
	return CSV_RECORD;
}

void csv_add(struct buf *out, const char *field, char delimiter)
{
	const char special[] = {delimiter, '"', '\r', '\n', '\0'};
	const char *s;

	/* An empty field is quoted so that a record of one empty field is not an empty line. */
	if (*field != '\0' && strpbrk(field, special) == NULL) {
		buf_adds(out, field);
		return;
	}
	buf_addc(out, '"');
	for (s = field; *s; s++) {
		if (*s == '"')
			buf_addc(out, '"');
		buf_addc(out, *s);
	}
	buf_addc(out, '"');
}
