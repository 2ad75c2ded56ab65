/*
 * Products of powers of ciphertexts: the columns of an integer matrix times a vector of encrypted
 * numbers. Each column is one multi-exponentiation by the bucket method (Pippenger) with signed
 * digits; the inverses that signed digits need are computed once for all columns, with a single
 * modular inversion (Montgomery's trick).
 */
#include "config.h"

#include "base/mem.h"
#include "component/paillier.h"
#include "component/par.h"
#include <stdlib.h>

struct matvec {
	const struct paillier_pub *k;
	BIGNUM *const *c; /* n */
	BIGNUM **inv;     /* n: 1 / c[i], Montgomery form */
	const long long *x;
	size_t n, m;
	BIGNUM **out;
};

static void free_numbers(BIGNUM **v, size_t n)
{
	size_t i;

	for (i = 0; v != NULL && i < n; i++)
		BN_free(v[i]);
	free(v);
}

static bool invert_all(struct matvec *v, BN_CTX *ctx, struct err *e)
{
	const struct paillier_pub *k = v->k;
	BIGNUM *acc = BN_new();
	size_t i;
	bool ok = acc != NULL;

	/* inv[i] = c[0] ... c[i-1], then backwards with the inverse of the whole product */
	for (i = 0; i < v->n && ok; i++) {
		v->inv[i] = i == 0 ? BN_dup(k->one) : BN_new();
		ok = v->inv[i] != NULL &&
		     (i == 0 ||
		      BN_mod_mul_montgomery(v->inv[i], v->inv[i - 1], v->c[i - 1], k->mont, ctx));
	}
	ok = ok && BN_mod_mul_montgomery(acc, v->inv[v->n - 1], v->c[v->n - 1], k->mont, ctx) &&
	     BN_from_montgomery(acc, acc, k->mont, ctx);
	if (ok && BN_mod_inverse(acc, acc, k->n2, ctx) == NULL) {
		BN_free(acc);
		return err_set(e, ERR_PEER, "the peer sent an invalid ciphertext");
	}
	ok = ok && BN_to_montgomery(acc, acc, k->mont, ctx);
	for (i = v->n; i-- > 0 && ok;)
		ok = BN_mod_mul_montgomery(v->inv[i], v->inv[i], acc, k->mont, ctx) &&
		     BN_mod_mul_montgomery(acc, acc, v->c[i], k->mont, ctx);
	BN_free(acc);
	return ok || crypto_failed(e);
}

static unsigned bits_of(unsigned long long v)
{
	unsigned n = 0;

	for (; v != 0; v >>= 1)
		n++;
	return n;
}

/* The window with the fewest multiplications. */
static unsigned choose_window(unsigned bits, size_t n)
{
	unsigned w, best = 1;
	double cost, least = 0;

	for (w = 2; w <= 14; w++) {
		cost = ((double)bits / w + 1) * ((double)n + (double)(1u << w));
		if (w == 2 || cost < least) {
			least = cost;
			best = w;
		}
	}
	return best;
}

/*
 * The digits of |x| base 2^w in -2^(w-1) .. 2^(w-1), least first, with the sign of x. One digit
 * more than the bits need takes the last carry.
 */
static void recode(long long x, unsigned w, unsigned places, int *digits)
{
	unsigned long long v = x < 0 ? 0 - (unsigned long long)x : (unsigned long long)x;
	long long mask = (1LL << w) - 1, d, carry = 0;
	unsigned i;

	for (i = 0; i < places; i++) {
		d = (long long)(i * w < 64 ? (v >> (i * w)) & (unsigned long long)mask : 0) + carry;
		carry = d > (1LL << (w - 1));
		d -= carry << w;
		digits[i] = (int)(x < 0 ? -d : d);
	}
}

/* *acc *= f, where *acc NULL stands for one. */
static bool times(BIGNUM **acc, BIGNUM *spare, const BIGNUM *f, const struct paillier_pub *k,
		  BN_CTX *ctx)
{
	if (*acc != NULL)
		return BN_mod_mul_montgomery(*acc, *acc, f, k->mont, ctx);
	*acc = spare;
	return BN_copy(spare, f) != NULL;
}

struct column {
	unsigned w, places;
	int *digits;       /* n * places */
	BIGNUM **buckets;  /* storage of 2^(w-1) + 1 */
	BIGNUM **filled;   /* bucket or NULL for one */
	BIGNUM *run, *sum; /* storage */
};

/* acc *= product over buckets of bucket[b]^b */
static bool add_buckets(struct column *s, BIGNUM **acc, BIGNUM *acc_spare,
			const struct paillier_pub *k, BN_CTX *ctx)
{
	BIGNUM *run = NULL, *sum = NULL;
	size_t b;
	bool ok = true;

	for (b = (size_t)1 << (s->w - 1); b > 0 && ok; b--) {
		if (s->filled[b] != NULL)
			ok = times(&run, s->run, s->filled[b], k, ctx);
		if (ok && run != NULL)
			ok = times(&sum, s->sum, run, k, ctx);
	}
	return ok && (sum == NULL || times(acc, acc_spare, sum, k, ctx));
}

static bool place(const struct matvec *v, struct column *s, unsigned at, BIGNUM **acc,
		  BIGNUM *acc_spare, BN_CTX *ctx)
{
	size_t i, half = (size_t)1 << (s->w - 1), b;
	unsigned j;
	int d;

	for (j = 0; *acc != NULL && j < s->w; j++)
		if (!BN_mod_mul_montgomery(*acc, *acc, *acc, v->k->mont, ctx))
			return false;
	for (b = 0; b <= half; b++)
		s->filled[b] = NULL;
	for (i = 0; i < v->n; i++) {
		d = s->digits[i * s->places + at];
		if (d == 0)
			continue;
		b = (size_t)(d < 0 ? -d : d);
		if (!times(&s->filled[b], s->buckets[b], d < 0 ? v->inv[i] : v->c[i], v->k, ctx))
			return false;
	}
	return add_buckets(s, acc, acc_spare, v->k, ctx);
}

static bool one_column(const struct matvec *v, size_t col, BN_CTX *ctx)
{
	struct column s = {0};
	unsigned long long most = 0, a;
	BIGNUM *acc = NULL, *spare = v->out[col];
	size_t i, n_buckets;
	bool ok;

	for (i = 0; i < v->n; i++) {
		long long x = v->x[i * v->m + col];

		a = x < 0 ? 0 - (unsigned long long)x : (unsigned long long)x;
		most = a > most ? a : most;
	}
	s.w = choose_window(bits_of(most), v->n);
	s.places = bits_of(most) / s.w + 1;
	s.digits = mem_array(v->n * s.places, sizeof *s.digits);
	for (i = 0; i < v->n; i++)
		recode(v->x[i * v->m + col], s.w, s.places, s.digits + i * s.places);
	n_buckets = ((size_t)1 << (s.w - 1)) + 1;
	s.buckets = mem_array(n_buckets, sizeof *s.buckets);
	s.filled = mem_array(n_buckets, sizeof *s.filled);
	s.run = BN_new();
	s.sum = BN_new();
	ok = s.run != NULL && s.sum != NULL;
	for (i = 0; i < n_buckets && ok; i++)
		ok = (s.buckets[i] = BN_new()) != NULL;
	for (i = s.places; i-- > 0 && ok;)
		ok = place(v, &s, (unsigned)i, &acc, spare, ctx);
	if (ok && acc == NULL)
		ok = BN_copy(spare, v->k->one) != NULL;
	free_numbers(s.buckets, n_buckets);
	free(s.filled);
	free(s.digits);
	BN_free(s.run);
	BN_free(s.sum);
	return ok;
}

static bool some_columns(void *arg, size_t from, size_t to, struct err *e)
{
	struct matvec *v = arg;
	BN_CTX *ctx = BN_CTX_new();
	bool ok = ctx != NULL;

	for (; from < to && ok; from++)
		ok = one_column(v, from, ctx);
	BN_CTX_free(ctx);
	return ok || crypto_failed(e);
}

bool paillier_matvec(const struct paillier_pub *k, BIGNUM *const *c, const long long *x, size_t n,
		     size_t m, BIGNUM **out, unsigned threads, struct err *e)
{
	struct matvec v = {.k = k, .c = c, .x = x, .n = n, .m = m, .out = out};
	BN_CTX *ctx = BN_CTX_new();
	bool ok;

	if (n == 0) {
		BN_CTX_free(ctx);
		return err_set(e, ERR_INTERNAL, "no rows to multiply");
	}
	v.inv = mem_array(n, sizeof *v.inv);
	ok = ctx != NULL ? invert_all(&v, ctx, e) : crypto_failed(e);
	ok = ok && par_for(m, threads, some_columns, &v, e);
	free_numbers(v.inv, n);
	BN_CTX_free(ctx);
	return ok;
}
