#include "config.h"

#include "component/pvec.h"

#include "base/mem.h"
#include "component/par.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void numbers_free(BIGNUM **v, size_t n)
{
	size_t i;

	for (i = 0; v != NULL && i < n; i++)
		BN_clear_free(v[i]);
	free(v);
}

void pvec_free(struct pvec *v)
{
	numbers_free(v->c, v->n);
	memset(v, 0, sizeof *v);
}

bool pvec_init(struct pvec *v, size_t n, int exp, struct err *e)
{
	size_t i;

	memset(v, 0, sizeof *v);
	v->c = mem_array(n ? n : 1, sizeof *v->c);
	v->n = n;
	v->exp = exp;
	for (i = 0; i < n; i++) {
		v->c[i] = BN_new();
		if (v->c[i] == NULL) {
			pvec_free(v);
			return crypto_failed(e);
		}
	}
	return true;
}

static bool too_large(struct err *e)
{
	return err_set(e, ERR_COMPONENT_OUTPUT,
		       "a number grew too large for the fixed-point encoding: the training "
		       "diverges; scale the features or use a smaller learning rate");
}

bool fixed_encode(const struct paillier_pub *k, double v, int exp, BIGNUM *out, struct err *e)
{
	int at, shift;
	long long mantissa;

	if (!isfinite(v) || fabs(v) >= ldexp(1, FIXED_LIMIT_LOG))
		return too_large(e);
	mantissa = llrint(ldexp(frexp(v, &at), 53)); /* v = mantissa 2^(at - 53) */
	shift = at - 53 + exp;
	if (shift < 0) {
		mantissa = shift < -62 ? 0 : llrint(ldexp((double)mantissa, shift));
		shift = 0;
	}
	if (!BN_set_word(out, (BN_ULONG)llabs(mantissa)) || !BN_lshift(out, out, shift))
		return crypto_failed(e);
	if (BN_cmp(out, k->half) >= 0)
		return too_large(e);
	if (mantissa < 0 && !BN_sub(out, k->n, out))
		return crypto_failed(e);
	return true;
}

double fixed_decode(const struct paillier_pub *k, const BIGNUM *m, int exp)
{
	BIGNUM *v = BN_dup(m);
	bool negative = BN_cmp(m, k->half) > 0;
	unsigned char top[8];
	double out = 0;
	int bits, shift, i;

	if (v == NULL)
		return NAN;
	if (negative && !BN_sub(v, k->n, m)) {
		BN_free(v);
		return NAN;
	}
	bits = BN_num_bits(v);
	shift = bits > 64 ? bits - 64 : 0;
	if (!BN_rshift(v, v, shift) || BN_bn2binpad(v, top, sizeof top) != (int)sizeof top) {
		BN_free(v);
		return NAN;
	}
	for (i = 0; i < 8; i++)
		out = out * 256 + top[i];
	BN_free(v);
	out = ldexp(out, shift - exp);
	return negative ? -out : out;
}

bool fixed_matrix(const double *v, size_t n, int exp, long long *out, struct err *e)
{
	double x;
	size_t i;

	for (i = 0; i < n; i++) {
		x = ldexp(v[i], exp);
		if (!isfinite(x) || fabs(x) >= 0x1p62)
			return too_large(e);
		out[i] = llrint(x);
	}
	return true;
}

struct work {
	const struct paillier_pub *k;
	const struct paillier_key *key;
	const double *v;
	int exp;
	struct pvec *vec;
	const struct pvec *in;
	BIGNUM **out;
};

static bool encrypt_some(void *arg, size_t from, size_t to, struct err *e)
{
	struct work *w = arg;
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *m = BN_new();
	bool ok = (ctx != NULL && m != NULL) || crypto_failed(e);

	for (; from < to && ok; from++)
		ok = fixed_encode(w->k, w->v[from], w->exp, m, e) &&
		     paillier_encrypt(w->k, m, w->vec->c[from], ctx, e);
	BN_clear_free(m);
	BN_CTX_free(ctx);
	return ok;
}

bool pvec_encrypt(const struct paillier_pub *k, const double *v, size_t n, int exp,
		  unsigned threads, struct pvec *out, struct err *e)
{
	struct work w = {.k = k, .v = v, .exp = exp, .vec = out};

	if (!pvec_init(out, n, exp, e))
		return false;
	if (par_for(n, threads, encrypt_some, &w, e))
		return true;
	pvec_free(out);
	return false;
}

bool pvec_add(const struct paillier_pub *k, struct pvec *a, const struct pvec *b, struct err *e)
{
	BN_CTX *ctx = BN_CTX_new();
	size_t i;
	bool ok = ctx != NULL || crypto_failed(e);

	if (ok && (a->n != b->n || a->exp != b->exp))
		ok = err_set(e, ERR_INTERNAL, "encrypted vectors of different shape are added");
	for (i = 0; i < a->n && ok; i++)
		ok = paillier_add(k, a->c[i], a->c[i], b->c[i], ctx, e);
	BN_CTX_free(ctx);
	return ok;
}

static bool scale_some(void *arg, size_t from, size_t to, struct err *e)
{
	struct work *w = arg;
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *x = BN_new(), *c = BN_new();
	bool ok = (ctx != NULL && x != NULL && c != NULL) || crypto_failed(e);
	long long v = 0;

	for (; from < to && ok; from++) {
		ok = fixed_matrix(&w->v[from], 1, w->exp, &v, e);
		if (ok && v < 0)
			ok = err_set(e, ERR_COMPONENT_OUTPUT, "row %zu has a negative weight",
				     from + 1);
		ok = ok && ((BN_set_word(x, (BN_ULONG)v) &&
			     BN_from_montgomery(c, w->vec->c[from], w->k->mont, ctx) &&
			     BN_mod_exp_mont(c, c, x, w->k->n2, ctx, w->k->mont) &&
			     BN_to_montgomery(w->vec->c[from], c, w->k->mont, ctx)) ||
			    crypto_failed(e));
	}
	BN_free(x);
	BN_free(c);
	BN_CTX_free(ctx);
	return ok;
}

bool pvec_scale(const struct paillier_pub *k, struct pvec *a, const double *x, int exp,
		unsigned threads, struct err *e)
{
	struct work w = {.k = k, .v = x, .exp = exp, .vec = a};

	a->exp += exp;
	return par_for(a->n, threads, scale_some, &w, e);
}

/* Multiply each by an encryption of zero. */
static bool refresh_some(void *arg, size_t from, size_t to, struct err *e)
{
	struct work *w = arg;
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *zero = BN_new(), *c = BN_new();
	bool ok = (ctx != NULL && zero != NULL && c != NULL) || crypto_failed(e);

	if (ok)
		BN_zero(zero);
	for (; from < to && ok; from++)
		ok = paillier_encrypt(w->k, zero, c, ctx, e) &&
		     paillier_add(w->k, w->vec->c[from], w->vec->c[from], c, ctx, e);
	BN_free(zero);
	BN_free(c);
	BN_CTX_free(ctx);
	return ok;
}

bool pvec_matvec(const struct paillier_pub *k, const struct pvec *a, const double *x, size_t m,
		 int x_exp, unsigned threads, struct pvec *out, struct err *e)
{
	long long *fixed = mem_array(a->n * m + 1, sizeof *fixed);
	struct work w = {.k = k, .vec = out};
	bool ok = pvec_init(out, m, a->exp + x_exp, e);

	ok = ok && fixed_matrix(x, a->n * m, x_exp, fixed, e) &&
	     paillier_matvec(k, a->c, fixed, a->n, m, out->c, threads, e) &&
	     par_for(m, threads, refresh_some, &w, e);
	free(fixed);
	if (!ok)
		pvec_free(out);
	return ok;
}

bool pvec_add_plain(const struct paillier_pub *k, struct pvec *a, size_t i, double v, struct err *e)
{
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *m = BN_new(), *c = BN_new();
	bool ok = (ctx != NULL && m != NULL && c != NULL) || crypto_failed(e);

	ok = ok && fixed_encode(k, v, a->exp, m, e) && paillier_plain(k, m, c, ctx, e) &&
	     paillier_add(k, a->c[i], a->c[i], c, ctx, e);
	BN_clear_free(m);
	BN_free(c);
	BN_CTX_free(ctx);
	return ok;
}

bool pvec_mask(const struct paillier_pub *k, struct pvec *a, BIGNUM **mask, struct err *e)
{
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *c = BN_new();
	size_t i;
	bool ok = (ctx != NULL && c != NULL) || crypto_failed(e);

	for (i = 0; i < a->n && ok; i++) {
		mask[i] = BN_new();
		ok = (mask[i] != NULL && BN_priv_rand_range(mask[i], k->n)) || crypto_failed(e);
		ok = ok && paillier_plain(k, mask[i], c, ctx, e) &&
		     paillier_add(k, a->c[i], a->c[i], c, ctx, e);
	}
	BN_free(c);
	BN_CTX_free(ctx);
	return ok;
}

static bool decrypt_some(void *arg, size_t from, size_t to, struct err *e)
{
	struct work *w = arg;
	BN_CTX *ctx = BN_CTX_secure_new();
	bool ok = ctx != NULL || crypto_failed(e);

	for (; from < to && ok; from++) {
		w->out[from] = BN_new();
		ok = (w->out[from] != NULL || crypto_failed(e)) &&
		     paillier_decrypt(w->key, w->in->c[from], w->out[from], ctx, e);
	}
	BN_CTX_free(ctx);
	return ok;
}

bool pvec_decrypt(const struct paillier_key *k, const struct pvec *a, BIGNUM **m, unsigned threads,
		  struct err *e)
{
	struct work w = {.key = k, .in = a, .out = m};

	return par_for(a->n, threads, decrypt_some, &w, e);
}

size_t pvec_bytes(const struct paillier_pub *k, size_t n)
{
	return 8 + n * 2 * k->n_bytes;
}

bool pvec_put(const struct paillier_pub *k, const struct pvec *v, struct buf *out, struct err *e)
{
	unsigned char *bytes = mem_alloc(2 * k->n_bytes);
	BN_CTX *ctx = BN_CTX_new();
	size_t i;
	bool ok = ctx != NULL || crypto_failed(e);

	wire_put_u32(out, (uint32_t)v->n);
	wire_put_u32(out, (uint32_t)v->exp);
	for (i = 0; i < v->n && ok; i++) {
		ok = paillier_to_bytes(k, v->c[i], bytes, ctx, e);
		buf_add(out, bytes, 2 * k->n_bytes);
	}
	free(bytes);
	BN_CTX_free(ctx);
	return ok;
}

bool pvec_get(const struct paillier_pub *k, struct wire *w, size_t n, int exp, struct pvec *v,
	      struct err *e)
{
	uint32_t got_n = wire_u32(w), got_exp = wire_u32(w);
	const unsigned char *bytes;
	BN_CTX *ctx;
	size_t i;
	bool ok;

	memset(v, 0, sizeof *v);
	if (w->bad || got_n != n || got_exp != (uint32_t)exp || n > PVEC_LEN_MAX ||
	    wire_left(w) < n * 2 * k->n_bytes)
		return err_set(e, ERR_PEER,
			       "the peer sent %u encrypted numbers at scale %u instead of %zu at "
			       "scale %d",
			       got_n, got_exp, n, exp);
	if (!pvec_init(v, n, exp, e))
		return false;
	ctx = BN_CTX_new();
	ok = ctx != NULL || crypto_failed(e);
	for (i = 0; i < n && ok; i++) {
		bytes = wire_bytes(w, 2 * k->n_bytes);
		ok = bytes != NULL ? paillier_from_bytes(k, bytes, v->c[i], ctx, e)
				   : err_set(e, ERR_PEER, "a message of the peer is too short");
	}
	BN_CTX_free(ctx);
	if (!ok)
		pvec_free(v);
	return ok;
}
