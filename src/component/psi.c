#include "config.h"

#include "component/psi.h"

#include "base/mem.h"
#include "component/curve.h"
#include "component/rng.h"
#include "component/wire.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define POINTS_MAX ((size_t)PSI_IDS_MAX * CURVE_BYTES)
#define COMMON_MAX ((size_t)1 << 31)
#define NOT_COMMON SIZE_MAX

static const char no_common[] = "the parties have no common ids: check the match id columns";

void psi_result_free(struct psi_result *r)
{
	size_t i;

	for (i = 0; r->sample_ids != NULL && i < r->n; i++)
		free(r->sample_ids[i]);
	free(r->sample_ids);
	free(r->rows);
	memset(r, 0, sizeof *r);
}

static bool check_count(size_t n, struct err *e)
{
	if (n == 0)
		return err_set(e, ERR_COMPONENT_OUTPUT, "the input has no rows");
	return n <= PSI_IDS_MAX || err_set(e, ERR_LIMIT, "more than %d ids", PSI_IDS_MAX);
}

/* A double-blinded id and whose position it is. */
struct entry {
	unsigned char point[CURVE_BYTES];
	size_t at;
};

static int entry_cmp(const void *a, const void *b)
{
	return memcmp(((const struct entry *)a)->point, ((const struct entry *)b)->point,
		      CURVE_BYTES);
}

/*
 * where[row] = the host's position of the id of that row, or NOT_COMMON. ours: the guest's
 * double-blinded ids in the order `order`; theirs: the host's.
 */
static void match(const unsigned char *ours, const size_t *order, size_t n,
		  const unsigned char *theirs, size_t m, size_t *where)
{
	struct entry *sorted = mem_array(m ? m : 1, sizeof *sorted), key = {0}, *hit;
	size_t i;

	for (i = 0; i < m; i++) {
		memcpy(sorted[i].point, theirs + i * CURVE_BYTES, CURVE_BYTES);
		sorted[i].at = i;
	}
	qsort(sorted, m, sizeof *sorted, entry_cmp);
	for (i = 0; i < n; i++) {
		memcpy(key.point, ours + i * CURVE_BYTES, CURVE_BYTES);
		hit = bsearch(&key, sorted, m, sizeof *sorted, entry_cmp);
		where[order[i]] = hit ? hit->at : NOT_COMMON;
	}
	free(sorted);
}

/* The exchange with one host; fills where[0..n-1]. */
static bool intersect_with(struct channel *ch, const char *host, char *const *ids, size_t n,
			   unsigned threads, size_t *where, struct err *e)
{
	struct curve_key *key = curve_key_new(e);
	unsigned char *mine = mem_array(n, CURVE_BYTES);
	size_t *order = mem_array(n, sizeof *order), m;
	struct buf both = {0}, theirs = {0};
	bool ok = false;

	if (key == NULL || !rng_secret_permutation(order, n, e) ||
	    !curve_mul_ids(key, ids, order, mine, n, threads, e) ||
	    !channel_send(ch, "host", host, "psi_guest", mine, n * CURVE_BYTES, e) ||
	    !channel_recv(ch, "host", host, "psi_both", n * CURVE_BYTES, &both, e) ||
	    !channel_recv(ch, "host", host, "psi_host", POINTS_MAX, &theirs, e))
		goto out;
	m = theirs.len / CURVE_BYTES;
	if (both.len != n * CURVE_BYTES || theirs.len % CURVE_BYTES != 0 || m == 0) {
		err_set(e, ERR_PEER, "host %s sent a wrong number of points", host);
		goto out;
	}
	if (!curve_mul(key, (unsigned char *)theirs.data, (unsigned char *)theirs.data, m, threads,
		       e))
		goto out;
	match((unsigned char *)both.data, order, n, (unsigned char *)theirs.data, m, where);
	ok = true;
out:
	curve_key_free(key);
	free(mine);
	free(order);
	buf_free(&both);
	buf_free(&theirs);
	return ok;
}

static bool send_common(struct channel *ch, const char *host, const struct psi_result *r,
			const size_t *where, char *const *sample_ids, struct err *e)
{
	struct buf b = {0};
	size_t i;
	bool ok;

	wire_put_u32(&b, (uint32_t)r->n);
	for (i = 0; i < r->n; i++) {
		wire_put_u32(&b, (uint32_t)where[r->rows[i]]);
		wire_put_str(&b, sample_ids[r->rows[i]]);
	}
	ok = channel_send(ch, "host", host, "psi_common", b.data, b.len, e);
	buf_free(&b);
	return ok;
}

bool psi_guest(struct channel *ch, const char *const *hosts, size_t n_hosts, char *const *ids,
	       char *const *sample_ids, size_t n, unsigned threads, struct psi_result *out,
	       struct err *e)
{
	size_t **where = mem_array(n_hosts ? n_hosts : 1, sizeof *where), h, i;
	bool ok = check_count(n, e);

	memset(out, 0, sizeof *out);
	if (ok && n_hosts == 0)
		ok = err_set(e, ERR_JOB_PARAMS, "psi needs at least one host");
	for (h = 0; h < n_hosts && ok; h++) {
		where[h] = mem_array(n, sizeof **where);
		ok = intersect_with(ch, hosts[h], ids, n, threads, where[h], e);
	}
	if (!ok)
		goto out;
	out->rows = mem_array(n, sizeof *out->rows);
	for (i = 0; i < n; i++) {
		for (h = 0; h < n_hosts && where[h][i] != NOT_COMMON; h++)
			;
		if (h == n_hosts)
			out->rows[out->n++] = i;
	}
	for (h = 0; h < n_hosts && ok; h++)
		ok = send_common(ch, hosts[h], out, where[h], sample_ids, e);
	if (ok && out->n == 0)
		ok = err_set(e, ERR_COMPONENT_OUTPUT, "%s", no_common);
out:
	for (h = 0; h < n_hosts; h++)
		free(where[h]);
	free(where);
	if (!ok)
		psi_result_free(out);
	return ok;
}

/* The guest's answer: positions in our secret order become row numbers. */
static bool read_common(const struct buf *b, const size_t *order, size_t n, struct psi_result *out,
			struct err *e)
{
	bool *taken = mem_array(n, sizeof *taken);
	struct wire w;
	uint32_t k, at;
	bool ok = true;

	wire_init(&w, b->data, b->len);
	k = wire_u32(&w);
	if (k > n)
		ok = err_set(e, ERR_PEER, "the guest names more common ids than there are");
	if (ok && k > 0) {
		out->rows = mem_array(k, sizeof *out->rows);
		out->sample_ids = mem_array(k, sizeof *out->sample_ids);
	}
	while (ok && out->n < k) {
		at = wire_u32(&w);
		out->sample_ids[out->n] = wire_str(&w);
		if (out->sample_ids[out->n] == NULL || at >= n || taken[at]) {
			free(out->sample_ids[out->n]);
			ok = err_set(e, ERR_PEER, "the guest's list of common ids is malformed");
			break;
		}
		taken[at] = true;
		out->rows[out->n++] = order[at];
	}
	free(taken);
	return ok && wire_done(&w, e);
}

bool psi_host(struct channel *ch, const char *guest, char *const *ids, size_t n, unsigned threads,
	      struct psi_result *out, struct err *e)
{
	struct curve_key *key;
	unsigned char *mine;
	size_t *order;
	struct buf b = {0};
	bool ok = false;

	memset(out, 0, sizeof *out);
	if (!check_count(n, e))
		return false;
	key = curve_key_new(e);
	mine = mem_array(n, CURVE_BYTES);
	order = mem_array(n, sizeof *order);
	if (key == NULL || !rng_secret_permutation(order, n, e) ||
	    !curve_mul_ids(key, ids, order, mine, n, threads, e) ||
	    !channel_recv(ch, "guest", guest, "psi_guest", POINTS_MAX, &b, e))
		goto out;
	if (b.len == 0 || b.len % CURVE_BYTES != 0) {
		err_set(e, ERR_PEER, "the guest sent a wrong number of points");
		goto out;
	}
	if (!curve_mul(key, (unsigned char *)b.data, (unsigned char *)b.data, b.len / CURVE_BYTES,
		       threads, e) ||
	    !channel_send(ch, "guest", guest, "psi_both", b.data, b.len, e) ||
	    !channel_send(ch, "guest", guest, "psi_host", mine, n * CURVE_BYTES, e) ||
	    !channel_recv(ch, "guest", guest, "psi_common", COMMON_MAX, &b, e) ||
	    !read_common(&b, order, n, out, e))
		goto out;
	ok = out->n > 0 || err_set(e, ERR_COMPONENT_OUTPUT, "%s", no_common);
out:
	curve_key_free(key);
	free(mine);
	free(order);
	buf_free(&b);
	if (!ok)
		psi_result_free(out);
	return ok;
}
