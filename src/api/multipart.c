#include "api/multipart.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum state {
	AT_START,  /* before the first boundary */
	IN_HEADER, /* of a part */
	IN_BODY,   /* of a part */
	AT_AFTER,  /* behind a boundary: CR LF goes on, "--" ends */
	AT_END     /* behind the closing boundary: the rest means nothing */
};

struct multipart {
	enum state state;
	char mark[MULTIPART_BOUNDARY_MAX + 5]; /* CR LF "--" boundary */
	size_t mark_len;
	struct buf in; /* not yet understood */
	multipart_file_cb *cb;
	void *arg;
	int n_parts;
	bool has_file;
	bool is_file; /* the current part */
	char *name;   /* of the current part; NULL: it is skipped */
	struct buf value;
	json_t *fields;
};

/* ---- headers ---- */

/* The value of a parameter such as boundary=x or name="x" in the text after a header's first ';'.
 * Appends to out. */
static bool parameter(const char *s, const char *name, struct buf *out)
{
	size_t n = strlen(name);

	while (*s != '\0') {
		s += strspn(s, "; \t");
		bool match = strncasecmp(s, name, n) == 0 && s[n] == '=';
		s += strcspn(s, "=;");
		if (*s != '=')
			continue;
		s++;
		if (*s == '"') {
			for (s++; *s != '\0' && *s != '"'; s++) {
				if (*s == '\\' && (s[1] == '"' || s[1] == '\\'))
					s++;
				if (match)
					buf_addc(out, *s);
			}
			if (*s == '"')
				s++;
		} else {
			size_t len = strcspn(s, "; \t");
			if (match)
				buf_add(out, s, len);
			s += len;
		}
		if (match)
			return true;
	}
	return false;
}

static bool boundary_fits(const struct buf *b)
{
	static const char other[] = "'()+_,-./:=? ";

	if (b->len == 0 || b->len > MULTIPART_BOUNDARY_MAX || b->data[b->len - 1] == ' ')
		return false;
	for (size_t i = 0; i < b->len; i++) {
		char c = b->data[i];
		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		      (c != '\0' && strchr(other, c) != NULL)))
			return false;
	}
	return true;
}

struct multipart *multipart_new(const char *content_type, multipart_file_cb *cb, void *arg,
				struct err *e)
{
	static const char type[] = "multipart/form-data";
	struct buf boundary = {0};

	if (content_type == NULL || strncasecmp(content_type, type, sizeof(type) - 1) != 0 ||
	    !parameter(content_type + sizeof(type) - 1, "boundary", &boundary) ||
	    !boundary_fits(&boundary)) {
		err_set(e, ERR_PARSE, "the body is not multipart/form-data with a boundary");
		buf_free(&boundary);
		return NULL;
	}
	struct multipart *m = mem_zalloc(sizeof(*m));
	memcpy(m->mark, "\r\n--", 4);
	memcpy(m->mark + 4, boundary.data, boundary.len);
	m->mark_len = 4 + boundary.len;
	m->cb = cb;
	m->arg = arg;
	m->fields = json_object();
	/* The first boundary may stand at the very start: as if a line had ended before it. */
	buf_add(&m->in, "\r\n", 2);
	buf_free(&boundary);
	return m;
}

void multipart_free(struct multipart *m)
{
	if (m == NULL)
		return;
	buf_free(&m->in);
	buf_free(&m->value);
	json_decref(m->fields);
	free(m->name);
	free(m);
}

/* One header line; only Content-Disposition counts. */
static bool header_line(struct multipart *m, const char *line, size_t len, struct err *e)
{
	static const char disposition[] = "content-disposition:";
	struct buf name = {0};

	if (memchr(line, '\0', len) != NULL)
		return err_set(e, ERR_PARSE, "a part of the form has a zero byte in its header");
	if (len < sizeof(disposition) - 1 ||
	    strncasecmp(line, disposition, sizeof(disposition) - 1) != 0)
		return true;
	char *text = mem_strndup(line + sizeof(disposition) - 1, len - (sizeof(disposition) - 1));
	const char *params = text + strspn(text, " \t");
	bool form = strncasecmp(params, "form-data", 9) == 0;
	bool named = form && parameter(params + 9, "name", &name);
	free(text);
	if (!named || !str_is_utf8(buf_str(&name), name.len)) {
		buf_free(&name);
		return err_set(e, ERR_PARSE, "a part of the form has no name");
	}
	free(m->name);
	m->name = buf_take(&name);
	return true;
}

static bool begin_part(struct multipart *m, const char *head, size_t len, struct err *e)
{
	const char *p = head;
	const char *end = head + len;

	free(m->name);
	m->name = NULL;
	if (++m->n_parts > MULTIPART_PARTS_MAX)
		return err_set(e, ERR_LIMIT, "the form has more than %d parts",
			       MULTIPART_PARTS_MAX);
	while (p < end) {
		const char *stop = p;
		while (stop + 1 < end && !(stop[0] == '\r' && stop[1] == '\n'))
			stop++;
		if (stop + 1 >= end)
			stop = end;
		if (!header_line(m, p, (size_t)(stop - p), e))
			return false;
		p = stop + 2;
	}
	if (m->name == NULL)
		return err_set(e, ERR_PARSE, "a part of the form has no name");
	m->is_file = strcmp(m->name, "file") == 0 && !m->has_file;
	m->has_file |= m->is_file;
	buf_reset(&m->value);
	return true;
}

/* ---- bodies ---- */

static bool take_body(struct multipart *m, const char *data, size_t len, struct err *e)
{
	if (len == 0)
		return true;
	if (m->is_file)
		return m->cb(data, len, m->arg, e);
	if (m->value.len + len > MULTIPART_FIELD_MAX)
		return err_set(e, ERR_LIMIT,
			       "the field '%.100s' of the form is longer than %d bytes", m->name,
			       MULTIPART_FIELD_MAX);
	buf_add(&m->value, data, len);
	return true;
}

static bool end_part(struct multipart *m, struct err *e)
{
	if (m->name == NULL || m->is_file)
		return true;
	if (m->value.len > 0 && (memchr(m->value.data, '\0', m->value.len) != NULL ||
				 !str_is_utf8(m->value.data, m->value.len)))
		return err_set(e, ERR_PARSE, "the field '%.100s' of the form is not UTF-8 text",
			       m->name);
	if (json_object_get(m->fields, m->name) == NULL)
		json_object_set_new(m->fields, m->name,
				    json_stringn(buf_str(&m->value), m->value.len));
	return true;
}

static const char *find(const char *data, size_t len, const char *what, size_t n)
{
	const char *p = data;

	while (len >= n && (p = memchr(p, what[0], len - n + 1)) != NULL) {
		if (memcmp(p, what, n) == 0)
			return p;
		len -= (size_t)(p + 1 - data);
		data = ++p;
	}
	return NULL;
}

/* A step of the machine. *more: there may be another with what is there. */
static bool step(struct multipart *m, bool *more, struct err *e)
{
	const char *data = buf_str(&m->in);
	size_t len = m->in.len;
	const char *hit;

	*more = false;
	switch (m->state) {
	case AT_START:
	case IN_BODY:
		hit = find(data, len, m->mark, m->mark_len);
		if (hit == NULL) {
			/* All but what may be the front of a boundary. */
			size_t n = len < m->mark_len ? 0 : len - m->mark_len + 1;
			bool ok = m->state == AT_START || take_body(m, data, n, e);
			buf_drop(&m->in, n);
			return ok;
		}
		if (m->state == IN_BODY &&
		    (!take_body(m, data, (size_t)(hit - data), e) || !end_part(m, e)))
			return false;
		buf_drop(&m->in, (size_t)(hit - data) + m->mark_len);
		m->state = AT_AFTER;
		*more = true;
		return true;
	case AT_AFTER: {
		size_t pad = strspn(data, " \t");
		if (pad > 1000)
			return err_set(
			    e, ERR_PARSE,
			    "a boundary of the form is followed by too much white space");
		if (len < pad + 2)
			return true;
		if (memcmp(data + pad, "\r\n", 2) == 0) {
			m->state = IN_HEADER;
			buf_drop(&m->in, pad + 2);
		} else if (pad == 0 && memcmp(data, "--", 2) == 0) {
			m->state = AT_END;
		} else {
			return err_set(e, ERR_PARSE,
				       "a boundary of the form is not followed by a line end");
		}
		*more = true;
		return true;
	}
	case IN_HEADER:
		hit = find(data, len, "\r\n\r\n", 4);
		if ((hit == NULL ? len : (size_t)(hit - data)) > MULTIPART_HEADER_MAX)
			return err_set(e, ERR_LIMIT,
				       "the header of a part of the form is longer than %d bytes",
				       MULTIPART_HEADER_MAX);
		if (hit == NULL)
			return true;
		if (!begin_part(m, data, (size_t)(hit - data), e))
			return false;
		buf_drop(&m->in, (size_t)(hit - data) + 4);
		m->state = IN_BODY;
		*more = true;
		return true;
	case AT_END:
		buf_reset(&m->in);
		return true;
	}
	return true;
}

bool multipart_feed(struct multipart *m, const void *data, size_t len, struct err *e)
{
	bool more = true;

	buf_add(&m->in, data, len);
	while (more) {
		if (!step(m, &more, e))
			return false;
	}
	return true;
}

bool multipart_end(struct multipart *m, struct err *e)
{
	return m->state == AT_END ||
	       err_set(e, ERR_PARSE, "the form has no end: its closing boundary is missing");
}

bool multipart_has_file(const struct multipart *m)
{
	return m->has_file;
}

json_t *multipart_fields(const struct multipart *m)
{
	return m->fields;
}
