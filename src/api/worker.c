#include "api/worker.h"

#include "api/reply.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/channel.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_BODY (16 * 1024)
#define NO_TOKEN   "varify failed! the token of the task is wrong or missing"

struct reading {
	struct http_req *r;
	void (*go)(struct http_req *r);
};

static const char *token_of(const struct http_req *r)
{
	const char *auth = http_req_header(r, "Authorization");

	if (auth != NULL && str_starts(auth, "Bearer "))
		return auth + strlen("Bearer ");
	return http_req_query(r, "token");
}

static void hash_of(const char *token, struct buf *hex)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	if (EVP_Digest(token, strlen(token), md, &n, EVP_sha256(), NULL) == 1)
		str_hex(hex, md, n);
}

/* Whoever it came from, it came by way of a proxy. */
static bool is_forwarded(const struct http_req *r)
{
	return http_req_header(r, "X-Forwarded-For") != NULL ||
	       http_req_header(r, "Forwarded") != NULL || http_req_header(r, "Via") != NULL;
}

/* No token, and none is needed. */
static bool is_trusted(const struct http_req *r)
{
	const char *remote = http_req_remote(r);

	return token_of(r) == NULL && !request_node(r)->conf->auth_worker && !is_forwarded(r) &&
	       (str_starts(remote, "127.") || str_starts(remote, "[::1]:") ||
		str_eq(remote, "unix"));
}

bool worker_token_fits(struct http_req *r, const char *hash)
{
	const char *token = token_of(r);
	struct buf hex = {0};
	bool same = is_trusted(r);

	if (token != NULL) {
		hash_of(token, &hex);
		same = hex.len > 0 && strlen(hash) == hex.len &&
		       str_eq_secret(hash, hex.data, hex.len);
		buf_free(&hex);
	}
	if (!same)
		refuse(r, ERR_API_VERIFY, NO_TOKEN);
	return same;
}

static void on_token(struct db_result *res, void *arg)
{
	struct reading *q = arg;

	if (db_error(res) != NULL)
		reply_db_err(q->r, res);
	else if (db_rows(res, 0) == 0)
		refuse(q->r, ERR_API_VERIFY, NO_TOKEN);
	else
		q->go(q->r);
	free(q);
}

void worker_reads(struct http_req *r, void (*go)(struct http_req *r))
{
	const char *token = token_of(r);
	struct buf hex = {0};

	if (is_trusted(r)) {
		go(r);
		return;
	}
	if (token == NULL) {
		refuse(r, ERR_API_VERIFY, NO_TOKEN);
		return;
	}
	struct reading *q = mem_alloc(sizeof(*q));
	q->r = r;
	q->go = go;
	hash_of(token, &hex);
	struct db_batch *b = one_statement(r, Q_API_WORKER_TOKEN);
	db_text(b, buf_str(&hex));
	db_submit(b, on_token, q);
	buf_free(&hex);
}

/* Nobody's memory is at stake for so little, and a component may say late how it has ended. */
static bool is_small(const struct http_req *r)
{
	const char *length = http_req_header(r, "Content-Length");
	int64_t bytes = 0;

	if (length == NULL)
		return http_req_header(r, "Transfer-Encoding") == NULL;
	return str_to_i64(length, &bytes) && bytes <= SMALL_BODY;
}

bool worker_admit(struct http_req *r, const struct http_route *route)
{
	if (!str_starts(route->path, "/v2/worker/") || !str_eq(route->method, "POST"))
		return true;
	if (str_starts(route->path, "/v2/worker/channel/"))
		return channel_admit(r);
	if ((route->flags & HTTP_SPOOL_BODY) == 0 && is_small(r))
		return true;
	worker_reads(r, http_req_admit);
	return false;
}
