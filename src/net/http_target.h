/*
 * Request targets and URLs, taken apart strictly. A path has one reading: doubled slashes are
 * folded, a trailing slash is dropped, and "." and ".." parts, encoded slashes, control bytes,
 * malformed escapes and anything that is not UTF-8 are refused.
 */
#ifndef NORN_NET_HTTP_TARGET_H
#define NORN_NET_HTTP_TARGET_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

#define HTTP_QUERY_MAX 256 /* pairs */

struct http_pair {
	uint32_t key, value; /* offsets into http_target.query */
};

/* A zeroed struct is empty; the memory is kept between calls. */
struct http_target {
	struct buf path; /* decoded */
	struct buf query;
	struct http_pair *pairs;
	size_t n_pairs;
	size_t cap_pairs;
};

/* target is a request target of printable ASCII. On failure *why is a constant text. */
MUST_CHECK bool http_target_parse(struct http_target *t, const char *target, const char **why);
void http_target_reset(struct http_target *t);
void http_target_free(struct http_target *t);

enum http_scheme { HTTP_SCHEME_HTTP, HTTP_SCHEME_HTTPS, HTTP_SCHEME_UNIX };

struct http_url {
	enum http_scheme scheme;
	char host[256];      /* without brackets; of a unix URL: the socket's path */
	char port[6];        /* "" for unix */
	char authority[272]; /* for the Host header, and with the scheme the key of the connection
				pool */
	const char *target;  /* points into the URL; may be "" or begin with "?" */
};

/* "http://host[:port]/path?query", "https://...", "unix:/socket/path:/path?query". */
MUST_CHECK bool http_url_parse(const char *url, struct http_url *out, struct err *e);

#endif
