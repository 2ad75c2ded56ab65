#include "config.h"
#include "net/http_parse.h"
#include "base/attr.h"

#include <string.h>
#include <strings.h>

enum parse_state {
	P_START,      /* start line */
	P_FIELDS,     /* header lines */
	P_BODY,       /* HTTP_LENGTH or HTTP_UNTIL_CLOSE */
	P_CHUNK_SIZE, /* hexadecimal digits */
	P_CHUNK_EXT,  /* ";" up to CR */
	P_CHUNK_LF,   /* LF after the size */
	P_CHUNK_DATA,
	P_DATA_CR,
	P_DATA_LF,
	P_TRAILER,       /* at the start of a trailer line */
	P_TRAILER_NAME,  /* up to the colon */
	P_TRAILER_VALUE, /* up to CR */
	P_TRAILER_LF,    /* LF of a trailer line */
	P_FINAL_LF,      /* LF of the empty line after the trailers */
	P_END,           /* to be reported */
	P_DONE,
	P_FAILED,
};

enum once_field { SEEN_HOST = 1, SEEN_LENGTH = 2, SEEN_CODING = 4, SEEN_CLOSE = 8, SEEN_KEEP = 16 };

/* Byte classes. */
#define C_TOKEN  1
#define C_TARGET 2 /* visible ASCII without '#' */
#define C_VALUE  4 /* field value: visible, space, tab, 0x80-0xff */
#define C_HOST   8

static unsigned char byte_class[256];

static void init_classes(void)
{
	if (byte_class['a'] != 0)
		return;
	for (int c = 1; c < 256; c++) {
		unsigned bits = 0;
		bool alnum =
		    (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (alnum || (c < 128 && strchr("!#$%&'*+-.^_`|~", c) != NULL))
			bits |= C_TOKEN;
		if (c > 0x20 && c < 0x7f && c != '#')
			bits |= C_TARGET;
		if (c == '\t' || (c >= 0x20 && c != 0x7f))
			bits |= C_VALUE;
		if (alnum || (c < 128 && strchr("-._~!$&'()*+,;=:[]%", c) != NULL))
			bits |= C_HOST;
		byte_class[c] = (unsigned char)bits;
	}
}

static bool is_class(char c, unsigned bits)
{
	return (byte_class[(unsigned char)c] & bits) != 0;
}

static bool all_class(const char *s, size_t len, unsigned bits)
{
	for (size_t i = 0; i < len; i++)
		if (!is_class(s[i], bits))
			return false;
	return true;
}

bool http_is_token(const char *s, size_t len)
{
	init_classes();
	return len > 0 && all_class(s, len, C_TOKEN);
}

int http_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool http_is_json_type(const char *type)
{
	static const char prefix[] = "application/";

	if (type == NULL || strncasecmp(type, prefix, sizeof(prefix) - 1) != 0)
		return false;
	const char *sub = type + sizeof(prefix) - 1;
	size_t len = strcspn(sub, "; \t");
	return (len == 4 && strncasecmp(sub, "json", 4) == 0) ||
	       (len > 5 && strncasecmp(sub + len - 5, "+json", 5) == 0);
}

void http_parser_init(struct http_parser *p, enum http_kind kind)
{
	init_classes();
	struct buf head = p->head;
	buf_reset(&head);
	/* The table of fields needs no clearing: n_fields bounds it. */
	p->kind = kind;
	p->head_only = false;
	p->max_header_bytes = 16 * 1024;
	p->max_body_bytes = UINT64_MAX;
	p->head = head;
	p->n_fields = 0;
	p->method = p->target = 0;
	p->minor = 1;
	p->status = 0;
	p->why = NULL;
	p->framing = HTTP_NO_BODY;
	p->content_length = p->body_bytes = 0;
	p->keep_alive = p->expect_continue = false;
	p->state = P_START;
	p->line = 0;
	p->left = 0;
	p->count = p->interim = p->seen = 0;
	p->blank_seen = false;
}

void http_parser_free(struct http_parser *p)
{
	buf_free(&p->head);
}

bool http_parser_started(const struct http_parser *p)
{
	return p->head.len > 0 || p->state != P_START || p->blank_seen || p->interim > 0;
}

uint64_t http_parser_body_left(const struct http_parser *p)
{
	if (p->state == P_CHUNK_DATA || (p->state == P_BODY && p->framing == HTTP_LENGTH))
		return p->left;
	return 0;
}

const char *http_parser_method(const struct http_parser *p)
{
	return p->head.data != NULL ? p->head.data + p->method : "";
}

const char *http_parser_target(const struct http_parser *p)
{
	return p->head.data != NULL ? p->head.data + p->target : "";
}

const char *http_parser_field(const struct http_parser *p, const char *name)
{
	for (size_t i = 0; i < p->n_fields; i++)
		if (strcmp(p->head.data + p->fields[i].name, name) == 0)
			return p->head.data + p->fields[i].value;
	return NULL;
}

static enum http_event bad(struct http_parser *p, int status, const char *why)
{
	p->state = P_FAILED;
	p->status = status;
	p->why = why;
	return HTTP_BAD;
}

/* ---- start line ---- */

/* "HTTP/d.d"; gives HTTP_MORE when it can be read on. */
static enum http_event parse_version(struct http_parser *p, const char *s, size_t len)
{
	if (len != 8 || memcmp(s, "HTTP/", 5) != 0 || s[5] < '0' || s[5] > '9' || s[6] != '.' ||
	    s[7] < '0' || s[7] > '9')
		return bad(p, 400, "malformed HTTP version");
	if (s[5] != '1' || s[7] > '1')
		return bad(p, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
	p->minor = s[7] - '0';
	return HTTP_MORE;
}

static bool is_known_method(const char *m)
{
	static const char *const known[] = {"GET",   "POST",    "PUT",     "DELETE", "HEAD",
					    "PATCH", "OPTIONS", "CONNECT", "TRACE",  "QUERY"};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(m, known[i]) == 0)
			return true;
	return false;
}

static enum http_event parse_request_line(struct http_parser *p, char *line, size_t len)
{
	char *sp = memchr(line, ' ', len);
	if (sp == NULL || !http_is_token(line, (size_t)(sp - line)))
		return bad(p, 400, "malformed request line");
	char *target = sp + 1;
	size_t rest = len - (size_t)(target - line);
	char *end = memchr(target, ' ', rest);
	if (end == NULL || end == target)
		return bad(p, 400, "malformed request line");
	if (!all_class(target, (size_t)(end - target), C_TARGET))
		return bad(p, 400, "the request target has bytes that must be percent-encoded");
	enum http_event ev = parse_version(p, end + 1, rest - (size_t)(end + 1 - target));
	if (ev != HTTP_MORE)
		return ev;
	*sp = 0;
	*end = 0;
	if ((size_t)(sp - line) > HTTP_METHOD_MAX || !is_known_method(line))
		return bad(p, 501, "unknown method");
	p->method = (uint32_t)(line - p->head.data);
	p->target = (uint32_t)(target - p->head.data);
	return HTTP_MORE;
}

static enum http_event parse_status_line(struct http_parser *p, const char *line, size_t len)
{
	if (len < 12 || line[8] != ' ')
		return bad(p, 400, "malformed status line");
	enum http_event ev = parse_version(p, line, 8);
	if (ev != HTTP_MORE)
		return ev;
	int status = 0;
	for (size_t i = 9; i < 12; i++) {
		if (line[i] < '0' || line[i] > '9')
			return bad(p, 400, "malformed status line");
		status = status * 10 + (line[i] - '0');
	}
	if (status < 100 || status > 599 || (len > 12 && line[12] != ' ') ||
	    (len > 13 && !all_class(line + 13, len - 13, C_VALUE)))
		return bad(p, 400, "malformed status line");
	p->status = status;
	return HTTP_MORE;
}

/* ---- header fields ---- */

static bool parse_length(const char *s, uint64_t *out)
{
	size_t len = strlen(s);
	uint64_t n = 0;

	if (len == 0 || len > 18)
		return false;
	for (; *s != 0; s++) {
		if (*s < '0' || *s > '9')
			return false;
		n = n * 10 + (uint64_t)(*s - '0');
	}
	*out = n;
	return true;
}

static bool list_next(const char **s, const char **item, size_t *len)
{
	const char *p = *s;

	while (*p == ' ' || *p == '\t' || *p == ',')
		p++;
	if (*p == 0)
		return false;
	const char *end = p + strcspn(p, ",");
	*s = end;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*item = p;
	*len = (size_t)(end - p);
	return true;
}

static enum http_event once(struct http_parser *p, enum once_field f, const char *why)
{
	if ((p->seen & f) != 0)
		return bad(p, 400, why);
	p->seen |= f;
	return HTTP_MORE;
}

/* Fields that decide how the message is framed or where it goes. */
static enum http_event note_field(struct http_parser *p, const char *name, const char *value)
{
	enum http_event ev = HTTP_MORE;

	switch (name[0]) {
	case 'c':
		if (strcmp(name, "content-length") == 0) {
			ev = once(p, SEEN_LENGTH, "more than one Content-Length");
			if (ev == HTTP_MORE && !parse_length(value, &p->content_length))
				ev = bad(p, 400, "malformed Content-Length");
		} else if (strcmp(name, "connection") == 0) {
			const char *item;
			size_t n;
			while (list_next(&value, &item, &n)) {
				if (n == 5 && strncasecmp(item, "close", n) == 0)
					p->seen |= SEEN_CLOSE;
				else if (n == 10 && strncasecmp(item, "keep-alive", n) == 0)
					p->seen |= SEEN_KEEP;
			}
		}
		break;
	case 'e':
		if (p->kind == HTTP_REQUEST && strcmp(name, "expect") == 0) {
			if (strcasecmp(value, "100-continue") != 0)
				return bad(p, 417, "only the expectation 100-continue is known");
			p->expect_continue = true;
		}
		break;
	case 'h':
		if (p->kind == HTTP_REQUEST && strcmp(name, "host") == 0) {
			ev = once(p, SEEN_HOST, "more than one Host");
			if (ev == HTTP_MORE && !all_class(value, strlen(value), C_HOST))
				ev = bad(p, 400, "malformed Host");
		}
		break;
	case 't':
		if (strcmp(name, "transfer-encoding") == 0) {
			ev = once(p, SEEN_CODING, "more than one Transfer-Encoding");
			if (ev == HTTP_MORE && strcasecmp(value, "chunked") != 0)
				ev = bad(p, 501, "the only transfer coding known is \"chunked\"");
		}
		break;
	default:
		break;
	}
	return ev;
}

static enum http_event parse_field(struct http_parser *p, char *line, size_t len)
{
	if (line[0] == ' ' || line[0] == '\t')
		return bad(p, 400, "a header line must not be folded");
	char *colon = memchr(line, ':', len);
	if (colon == NULL || !http_is_token(line, (size_t)(colon - line)))
		return bad(p, 400, "malformed header name");
	char *value = colon + 1;
	char *end = line + len;
	if (!all_class(value, (size_t)(end - value), C_VALUE))
		return bad(p, 400, "control bytes in a header");
	if (p->n_fields == HTTP_MAX_FIELDS)
		return bad(p, 431, "too many header lines");
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*colon = 0;
	*end = 0; /* at worst the CR */
	for (char *s = line; *s != 0; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s + ('a' - 'A'));
	struct http_field *f = &p->fields[p->n_fields++];
	f->name = (uint32_t)(line - p->head.data);
	f->value = (uint32_t)(value - p->head.data);
	return note_field(p, line, value);
}

static void choose_response_framing(struct http_parser *p)
{
	if (p->head_only || p->status == 204 || p->status == 304)
		p->framing = HTTP_NO_BODY;
	else if ((p->seen & SEEN_CODING) != 0)
		p->framing = HTTP_CHUNKED;
	else if ((p->seen & SEEN_LENGTH) != 0)
		p->framing = HTTP_LENGTH;
	else
		p->framing = HTTP_UNTIL_CLOSE;
}

static enum http_event interim_answer(struct http_parser *p)
{
	if (p->status == 101)
		return bad(p, 400, "switched protocols without being asked");
	if (++p->interim > HTTP_MAX_INTERIM)
		return bad(p, 400, "too many interim answers");
	buf_reset(&p->head);
	p->n_fields = 0;
	p->seen = 0;
	p->line = 0;
	p->state = P_START;
	return HTTP_MORE;
}

static enum http_event finish_head(struct http_parser *p)
{
	bool has_length = (p->seen & SEEN_LENGTH) != 0;
	bool has_coding = (p->seen & SEEN_CODING) != 0;

	if (has_length && has_coding)
		return bad(p, 400, "both Content-Length and Transfer-Encoding");
	if (has_coding && p->minor == 0)
		return bad(p, 400, "HTTP/1.0 has no Transfer-Encoding");
	if (p->kind == HTTP_REQUEST) {
		if (p->minor == 1 && (p->seen & SEEN_HOST) == 0)
			return bad(p, 400, "no Host");
		p->framing = has_coding ? HTTP_CHUNKED : has_length ? HTTP_LENGTH : HTTP_NO_BODY;
		if (p->minor == 0)
			p->expect_continue = false;
	} else {
		if (p->status < 200)
			return interim_answer(p);
		choose_response_framing(p);
	}
	if ((p->seen & SEEN_CLOSE) != 0 || p->framing == HTTP_UNTIL_CLOSE)
		p->keep_alive = false;
	else
		p->keep_alive = p->minor == 1 || (p->seen & SEEN_KEEP) != 0;
	if (p->framing == HTTP_LENGTH && p->content_length == 0)
		p->framing = HTTP_NO_BODY;
	p->left = p->content_length;
	p->count = 0;
	p->state = p->framing == HTTP_NO_BODY   ? P_END
		   : p->framing == HTTP_CHUNKED ? P_CHUNK_SIZE
						: P_BODY;
	return HTTP_HEAD;
}

/* One line, [line, len) without its CR LF. */
static enum http_event parse_line(struct http_parser *p, char *line, size_t len)
{
	if (p->state == P_FIELDS)
		return len == 0 ? finish_head(p) : parse_field(p, line, len);
	if (len == 0 && p->kind == HTTP_REQUEST && !p->blank_seen) {
		/* Some clients end a body with one line end too many. */
		p->blank_seen = true;
		buf_reset(&p->head);
		return HTTP_MORE;
	}
	p->state = P_FIELDS;
	return p->kind == HTTP_REQUEST ? parse_request_line(p, line, len)
				       : parse_status_line(p, line, len);
}

static enum http_event parse_head(struct http_parser *p, const char *data, size_t len, size_t *used)
{
	while (*used < len) {
		const char *at = data + *used;
		size_t left = len - *used;
		/* Spares a client that speaks another protocol, say TLS, the wait for a line. */
		if (p->state == P_START && p->head.len == 0 && !is_class(*at, C_TOKEN) &&
		    *at != '\r')
			return bad(p, 400, "this is not HTTP");
		const char *lf = memchr(at, '\n', left);
		size_t take = lf != NULL ? (size_t)(lf + 1 - at) : left;
		if (p->head.len + take > p->max_header_bytes)
			return p->state == P_START ? bad(p, 414, "the request line is too long")
						   : bad(p, 431, "the headers are too long");
		buf_add(&p->head, at, take);
		*used += take;
		if (lf == NULL)
			return HTTP_MORE;
		char *line = p->head.data + p->line;
		size_t line_len = p->head.len - p->line - 1;
		if (line_len == 0 || line[line_len - 1] != '\r')
			return bad(p, 400, "a line must end with CR LF");
		line_len--;
		if (memchr(line, '\r', line_len) != NULL || memchr(line, 0, line_len) != NULL)
			return bad(p, 400, "CR or NUL within a header line");
		line[line_len] = 0;
		enum http_event ev = parse_line(p, line, line_len);
		if (ev != HTTP_MORE)
			return ev;
		p->line = p->head.len;
	}
	return HTTP_MORE;
}

/* ---- bodies ---- */

static enum http_event give(struct http_parser *p, const char *data, size_t len, size_t *used,
			    const char **part, size_t *part_len)
{
	size_t n = len - *used;

	if (n == 0)
		return HTTP_MORE;
	if (p->framing != HTTP_UNTIL_CLOSE && n > p->left)
		n = (size_t)p->left;
	if (p->body_bytes + n > p->max_body_bytes)
		return bad(p, 413, "the body is too long");
	*part = data + *used;
	*part_len = n;
	*used += n;
	p->body_bytes += n;
	if (p->framing == HTTP_UNTIL_CLOSE)
		return HTTP_DATA;
	p->left -= n;
	if (p->left == 0)
		p->state = p->framing == HTTP_LENGTH ? P_END : P_DATA_CR;
	return HTTP_DATA;
}

static enum http_event chunk_size_byte(struct http_parser *p, char c)
{
	int digit = http_hex_digit(c);

	if (digit >= 0) {
		if (p->count == 0)
			p->left = 0;
		if (++p->count > 15)
			return bad(p, 400, "malformed chunk size");
		p->left = p->left * 16 + (uint64_t)digit;
		return HTTP_MORE;
	}
	if (p->count == 0 || (c != '\r' && c != ';'))
		return bad(p, 400, "malformed chunk size");
	if (p->left > p->max_body_bytes || p->body_bytes > p->max_body_bytes - p->left)
		return bad(p, 413, "the body is too long");
	p->count = 0;
	p->state = c == ';' ? P_CHUNK_EXT : P_CHUNK_LF;
	return HTTP_MORE;
}

static enum http_event chunk_ext_byte(struct http_parser *p, char c)
{
	if (c == '\r')
		p->state = P_CHUNK_LF;
	else if (!is_class(c, C_VALUE))
		return bad(p, 400, "control bytes in a chunk extension");
	else if (++p->count > HTTP_MAX_CHUNK_EXT)
		return bad(p, 431, "a chunk extension is too long");
	return HTTP_MORE;
}

/* Trailers are checked like headers and dropped: nobody may smuggle a field in behind the checks.
 */
static enum http_event trailer_byte(struct http_parser *p, char c)
{
	if (++p->count > p->max_header_bytes)
		return bad(p, 431, "the trailers are too long");
	switch (p->state) {
	case P_TRAILER:
		if (c == '\r')
			p->state = P_FINAL_LF;
		else if (!is_class(c, C_TOKEN))
			return bad(p, 400, "malformed trailer");
		else
			p->state = P_TRAILER_NAME;
		break;
	case P_TRAILER_NAME:
		if (c == ':')
			p->state = P_TRAILER_VALUE;
		else if (!is_class(c, C_TOKEN))
			return bad(p, 400, "malformed trailer");
		break;
	default:
		if (c == '\r')
			p->state = P_TRAILER_LF;
		else if (!is_class(c, C_VALUE))
			return bad(p, 400, "control bytes in a trailer");
		break;
	}
	return HTTP_MORE;
}

static enum http_event expect_byte(struct http_parser *p, char c, char want, int next)
{
	if (c != want)
		return bad(p, 400, "malformed chunk");
	p->state = next;
	return HTTP_MORE;
}

static enum http_event chunk_byte(struct http_parser *p, char c)
{
	enum http_event ev;

	switch (p->state) {
	case P_CHUNK_SIZE:
		return chunk_size_byte(p, c);
	case P_CHUNK_EXT:
		return chunk_ext_byte(p, c);
	case P_CHUNK_LF:
		p->count = 0;
		return expect_byte(p, c, '\n', p->left > 0 ? P_CHUNK_DATA : P_TRAILER);
	case P_DATA_CR:
		return expect_byte(p, c, '\r', P_DATA_LF);
	case P_DATA_LF:
		return expect_byte(p, c, '\n', P_CHUNK_SIZE);
	case P_TRAILER_LF:
		return expect_byte(p, c, '\n', P_TRAILER);
	case P_FINAL_LF:
		ev = expect_byte(p, c, '\n', P_END);
		return ev;
	default:
		return trailer_byte(p, c);
	}
}

enum http_event http_parse(struct http_parser *p, const char *data, size_t len, size_t *used,
			   const char **part, size_t *part_len)
{
	enum http_event ev = HTTP_MORE;

	*used = 0;
	*part = NULL;
	*part_len = 0;
	for (;;) {
		switch (p->state) {
		case P_START:
		case P_FIELDS:
			ev = parse_head(p, data, len, used);
			if (ev != HTTP_MORE || *used == len)
				return ev;
			break;
		case P_BODY:
			if (p->framing == HTTP_LENGTH && p->left > p->max_body_bytes)
				return bad(p, 413, "the body is too long");
			return give(p, data, len, used, part, part_len);
		case P_CHUNK_DATA:
			return give(p, data, len, used, part, part_len);
		case P_END:
			p->state = P_DONE;
			return HTTP_END;
		case P_DONE:
			return HTTP_END;
		case P_FAILED:
			return HTTP_BAD;
		default:
			if (*used == len)
				return HTTP_MORE;
			ev = chunk_byte(p, data[(*used)++]);
			if (ev != HTTP_MORE)
				return ev;
			break;
		}
	}
}

enum http_event http_parse_eof(struct http_parser *p)
{
	if (p->state == P_FAILED)
		return HTTP_BAD;
	if (p->state == P_END || p->state == P_DONE)
		return HTTP_END;
	if (p->state == P_BODY && p->framing == HTTP_UNTIL_CLOSE) {
		p->state = P_DONE;
		return HTTP_END;
	}
	return bad(p, 400, "the connection was closed in the middle of a message");
}
