/*
 * An incremental parser of HTTP/1.0 and HTTP/1.1 messages: bytes in, events out, no I/O. It accepts
 * one reading of a message only; where two programs could disagree on where a message ends, it
 * refuses. What it gives does not depend on how the bytes were cut into pieces.
 */
#ifndef NORN_NET_HTTP_PARSE_H
#define NORN_NET_HTTP_PARSE_H

#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

#define HTTP_MAX_FIELDS    100
#define HTTP_MAX_CHUNK_EXT 256 /* bytes of extensions after one chunk size */
#define HTTP_MAX_INTERIM   8   /* 1xx answers before the real one */
#define HTTP_METHOD_MAX    16

enum http_kind { HTTP_REQUEST, HTTP_RESPONSE };

enum http_event {
	HTTP_MORE, /* all bytes were used; feed further ones */
	HTTP_HEAD, /* start line and headers are complete; call again with the rest */
	HTTP_DATA, /* a part of the body */
	HTTP_END,  /* the message is complete; what is left belongs to the next one */
	HTTP_BAD,  /* see status and why; the connection cannot be used further */
};

enum http_framing { HTTP_NO_BODY, HTTP_LENGTH, HTTP_CHUNKED, HTTP_UNTIL_CLOSE };

struct http_field {
	uint32_t name; /* offsets into head; both end with NUL; the name is in lower case */
	uint32_t value;
};

struct http_parser {
	/* set by the caller between http_parser_init() or HTTP_HEAD and the next feed */
	enum http_kind kind;
	bool head_only;          /* response to a HEAD request: never has a body */
	size_t max_header_bytes; /* also bounds the trailers of a chunked body */
	uint64_t max_body_bytes;

	/* read by the caller; the head from HTTP_HEAD on */
	struct buf head;
	struct http_field fields[HTTP_MAX_FIELDS];
	size_t n_fields;
	uint32_t method, target; /* offsets into head */
	int minor;               /* of HTTP/1.x */
	int status;              /* response: its status; HTTP_BAD: the status to answer with */
	const char *why;         /* HTTP_BAD: constant text */
	enum http_framing framing;
	uint64_t content_length; /* HTTP_LENGTH only */
	uint64_t body_bytes;     /* given out so far */
	bool keep_alive;
	bool expect_continue;

	/* private */
	int state;
	size_t line;    /* where the line being read starts in head */
	uint64_t left;  /* of the body or the chunk */
	unsigned count; /* digits, extension or trailer bytes, by state */
	unsigned interim;
	unsigned seen; /* header fields that may come only once */
	bool blank_seen;
};

/* p must be zeroed before its first use; later calls keep its memory. */
void http_parser_init(struct http_parser *p, enum http_kind kind);
void http_parser_free(struct http_parser *p);

/*
 * Uses up to len bytes and returns the next event; *used is how many. Each event returns at once,
 * so call it again with the rest, also with len 0 (HTTP_MORE then means: nothing to do without
 * bytes). HTTP_DATA: *part points into data.
 */
enum http_event http_parse(struct http_parser *p, const char *data, size_t len, size_t *used,
			   const char **part, size_t *part_len);
/* The other side closed. HTTP_END when the message may end so, else HTTP_BAD. */
enum http_event http_parse_eof(struct http_parser *p);

bool http_parser_started(const struct http_parser *p); /* a byte of this message was seen */
/* Of the next bytes, how many are surely body and nothing else. */
uint64_t http_parser_body_left(const struct http_parser *p);
const char *http_parser_method(const struct http_parser *p);
const char *http_parser_target(const struct http_parser *p);
/* By exact name in lower case; the first one; NULL when absent. */
const char *http_parser_field(const struct http_parser *p, const char *name);

bool http_is_token(const char *s, size_t len); /* RFC 9110 token, not empty */
int http_hex_digit(char c);                    /* -1: none */
/* A Content-Type: application/json or application/<anything>+json, with or without parameters. */
bool http_is_json_type(const char *type);

#endif
