/* Paillier keys: generation and the tables that make their use fast. */
#include "config.h"

#include "base/mem.h"
#include "component/paillier.h"
#include <stdlib.h>
#include <string.h>

#define SIEVE_MAX   8192      /* primes below sieve the candidates */
#define SEARCH_SPAN (1 << 14) /* how far one random start is searched */
#define EXTRA_BYTES 16        /* of the random exponent, beyond the length of n */

bool crypto_failed(struct err *e)
{
	return err_set(e, ERR_CRYPTO, "a computation of the crypto library failed");
}

static bool is_prime(const BIGNUM *p, BN_CTX *ctx)
{
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
	return BN_check_prime(p, ctx, NULL) == 1;
#else
	return BN_is_prime_ex(p, BN_prime_checks, ctx, NULL) == 1;
#endif
}

/* Odd primes below SIEVE_MAX; returns how many. */
static size_t small_primes(unsigned *out)
{
	bool *composite = mem_array(SIEVE_MAX, sizeof *composite);
	size_t n = 0;
	unsigned i, j;

	for (i = 3; i < SIEVE_MAX; i += 2) {
		if (composite[i])
			continue;
		out[n++] = i;
		for (j = i * i; j < SIEVE_MAX; j += 2 * i)
			composite[j] = true;
	}
	free(composite);
	return n;
}

/*
 * p = 2 x + 1 with x odd and neither x nor p divisible by a small prime. Starts at a random x and
 * goes upwards. 1: found, 0: not within the span, -1: failure.
 */
static int search(BIGNUM *p, int bits, const unsigned *primes, size_t n_primes, BN_CTX *ctx)
{
	BIGNUM *x = BN_new();
	unsigned *rest = mem_array(n_primes, sizeof *rest), f, r;
	size_t i;
	int found = -1, step;

	if (x == NULL || !BN_priv_rand(x, bits - 1, BN_RAND_TOP_TWO, BN_RAND_BOTTOM_ODD))
		goto out;
	for (i = 0; i < n_primes; i++)
		rest[i] = (unsigned)BN_mod_word(x, primes[i]);
	found = 0;
	for (step = 0; step < SEARCH_SPAN && found == 0; step += 2) {
		for (i = 0; i < n_primes; i++) {
			f = primes[i];
			r = (rest[i] + (unsigned)step) % f;
			if (r == 0 || (2 * r + 1) % f == 0)
				break;
		}
		if (i < n_primes)
			continue;
		if (BN_copy(p, x) == NULL || !BN_add_word(p, (BN_ULONG)step) || !BN_lshift1(p, p) ||
		    !BN_add_word(p, 1))
			found = -1;
		else if (BN_num_bits(p) == bits && is_prime(p, ctx))
			found = 1;
	}
out:
	BN_clear_free(x);
	free(rest);
	return found;
}

static bool make_prime(BIGNUM *p, int bits, BN_CTX *ctx)
{
	unsigned *primes = mem_array(SIEVE_MAX / 2, sizeof *primes);
	size_t n = small_primes(primes);
	int found = 0, tries;

	/* Tests use primes so small that the sieve would leave nothing. */
	while (n > 1 && bits < 64 && primes[n - 1] > 64)
		n--;
	for (tries = 0; tries < 1000 && found == 0; tries++)
		found = search(p, bits, primes, n, ctx);
	free(primes);
	return found == 1;
}

/* hn^(d 256^i) for every byte d at every place i. */
static bool fill_table(struct paillier_pub *k, BN_CTX *ctx)
{
	BIGNUM *base = BN_new(), **row;
	size_t i, d;
	bool ok = base != NULL && BN_to_montgomery(base, k->hn, k->mont, ctx);

	k->table = mem_array(k->places * 256, sizeof *k->table);
	for (i = 0; i < k->places && ok; i++) {
		row = k->table + i * 256;
		for (d = 0; d < 256 && ok; d++) {
			row[d] = d == 0 ? BN_dup(k->one) : BN_new();
			ok = row[d] != NULL &&
			     (d == 0 ||
			      BN_mod_mul_montgomery(row[d], row[d - 1], base, k->mont, ctx));
		}
		ok = ok && BN_mod_mul_montgomery(base, row[255], base, k->mont, ctx);
	}
	BN_free(base);
	return ok;
}

static bool fill_pub(struct paillier_pub *k, const BIGNUM *n, const BIGNUM *hn)
{
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *gcd = BN_new();
	bool ok;

	k->n = BN_dup(n);
	k->n2 = BN_new();
	k->half = BN_new();
	k->hn = BN_dup(hn);
	k->one = BN_new();
	k->mont = BN_MONT_CTX_new();
	k->n_bytes = (size_t)BN_num_bytes(n);
	k->places = k->n_bytes + EXTRA_BYTES;
	ok = ctx && gcd && k->n && k->n2 && k->half && k->hn && k->one && k->mont && BN_is_odd(n) &&
	     BN_sqr(k->n2, n, ctx) && BN_rshift1(k->half, n) && BN_cmp(hn, k->n2) < 0 &&
	     !BN_is_negative(hn) && BN_gcd(gcd, hn, n, ctx) && BN_is_one(gcd) &&
	     BN_MONT_CTX_set(k->mont, k->n2, ctx) &&
	     BN_to_montgomery(k->one, BN_value_one(), k->mont, ctx) && fill_table(k, ctx);
	BN_free(gcd);
	BN_CTX_free(ctx);
	return ok;
}

struct paillier_pub *paillier_pub_new(const BIGNUM *n, const BIGNUM *hn, struct err *e)
{
	struct paillier_pub *k = mem_zalloc(sizeof *k);

	if (BN_num_bits(n) > 4 && BN_num_bits(n) <= PAILLIER_BITS_MAX && fill_pub(k, n, hn))
		return k;
	paillier_pub_free(k);
	err_set(e, ERR_CRYPTO, "the public key is not valid");
	return NULL;
}

void paillier_pub_free(struct paillier_pub *k)
{
	size_t i;

	if (k == NULL)
		return;
	for (i = 0; k->table != NULL && i < k->places * 256; i++)
		BN_free(k->table[i]);
	free(k->table);
	BN_free(k->n);
	BN_free(k->n2);
	BN_free(k->half);
	BN_free(k->hn);
	BN_free(k->one);
	BN_MONT_CTX_free(k->mont);
	free(k);
}

/* hp = 1 / ((p - 1) q) mod p: L(g^(p-1) mod p^2) is (p - 1) q mod p for g = 1 + pq. */
static bool fill_half(BIGNUM *p1, BIGNUM *p2, BIGNUM *hp, BN_MONT_CTX *mont, const BIGNUM *p,
		      const BIGNUM *q, BN_CTX *ctx)
{
	return BN_copy(p1, p) != NULL && BN_sub_word(p1, 1) && BN_sqr(p2, p, ctx) &&
	       BN_MONT_CTX_set(mont, p2, ctx) && BN_mod_mul(hp, p1, q, p, ctx) &&
	       BN_mod_inverse(hp, hp, p, ctx) != NULL;
}

static bool fill_key(struct paillier_key *k, const BIGNUM *p, const BIGNUM *q, const BIGNUM *h,
		     BN_CTX *ctx, struct err *e)
{
	BIGNUM *n = BN_new(), *n2 = BN_new(), *hn = BN_new();
	bool ok;

	k->p = BN_dup(p);
	k->q = BN_dup(q);
	k->p1 = BN_new();
	k->q1 = BN_new();
	k->p2 = BN_new();
	k->q2 = BN_new();
	k->hp = BN_new();
	k->hq = BN_new();
	k->p_inv = BN_new();
	k->mont_p2 = BN_MONT_CTX_new();
	k->mont_q2 = BN_MONT_CTX_new();
	ok = n && n2 && hn && k->p && k->q && k->p1 && k->q1 && k->p2 && k->q2 && k->hp && k->hq &&
	     k->p_inv && k->mont_p2 && k->mont_q2 &&
	     fill_half(k->p1, k->p2, k->hp, k->mont_p2, p, q, ctx) &&
	     fill_half(k->q1, k->q2, k->hq, k->mont_q2, q, p, ctx) &&
	     BN_mod_inverse(k->p_inv, p, q, ctx) != NULL && BN_mul(n, p, q, ctx) &&
	     BN_sqr(n2, n, ctx) && BN_mod_exp(hn, h, n, n2, ctx);
	if (!ok)
		crypto_failed(e);
	else
		k->pub = paillier_pub_new(n, hn, e);
	BN_free(n);
	BN_free(n2);
	BN_free(hn);
	return ok && k->pub != NULL;
}

struct paillier_key *paillier_key_from(const BIGNUM *p, const BIGNUM *q, const BIGNUM *h,
				       struct err *e)
{
	struct paillier_key *k = mem_zalloc(sizeof *k);
	BN_CTX *ctx = BN_CTX_secure_new();

	if (ctx != NULL && fill_key(k, p, q, h, ctx, e)) {
		BN_CTX_free(ctx);
		return k;
	}
	if (ctx == NULL)
		crypto_failed(e);
	BN_CTX_free(ctx);
	paillier_key_free(k);
	return NULL;
}

/* h = -x^2 mod n for a random unit x. */
static bool make_base(BIGNUM *h, const BIGNUM *n, BN_CTX *ctx)
{
	BIGNUM *x = BN_new(), *gcd = BN_new();
	bool ok = x != NULL && gcd != NULL;

	do
		ok = ok && BN_priv_rand_range(x, n) && BN_gcd(gcd, x, n, ctx);
	while (ok && !BN_is_one(gcd));
	ok = ok && BN_mod_sqr(h, x, n, ctx) && BN_sub(h, n, h);
	BN_clear_free(x);
	BN_free(gcd);
	return ok;
}

/* The conditions on p and q together: n of full length, gcd(p - 1, q - 1) = 2. */
static bool good_pair(const BIGNUM *p, const BIGNUM *q, BIGNUM *n, int bits, BN_CTX *ctx,
		      bool *good)
{
	BIGNUM *p1 = BN_dup(p), *q1 = BN_dup(q), *gcd = BN_new();
	bool ok = p1 && q1 && gcd && BN_mul(n, p, q, ctx) && BN_sub_word(p1, 1) &&
		  BN_sub_word(q1, 1) && BN_gcd(gcd, p1, q1, ctx);

	*good = ok && BN_cmp(p, q) != 0 && BN_num_bits(n) == bits && BN_is_word(gcd, 2);
	BN_clear_free(p1);
	BN_clear_free(q1);
	BN_free(gcd);
	return ok;
}

struct paillier_key *paillier_key_new(int bits, struct err *e)
{
	BN_CTX *ctx = BN_CTX_secure_new();
	BIGNUM *p = BN_secure_new(), *q = BN_secure_new(), *n = BN_new(), *h = BN_new();
	struct paillier_key *k = NULL;
	bool good = false;

	if (bits < 128 || bits > PAILLIER_BITS_MAX || bits % 2 != 0) {
		err_set(e, ERR_CRYPTO, "a key of %d bits is not supported", bits);
		goto out;
	}
	do {
		if (!ctx || !p || !q || !n || !h || !make_prime(p, bits / 2, ctx) ||
		    !make_prime(q, bits / 2, ctx) || !good_pair(p, q, n, bits, ctx, &good)) {
			crypto_failed(e);
			goto out;
		}
	} while (!good);
	if (make_base(h, n, ctx))
		k = paillier_key_from(p, q, h, e);
	else
		crypto_failed(e);
out:
	BN_clear_free(p);
	BN_clear_free(q);
	BN_free(n);
	BN_free(h);
	BN_CTX_free(ctx);
	return k;
}

void paillier_key_free(struct paillier_key *k)
{
	if (k == NULL)
		return;
	paillier_pub_free(k->pub);
	BN_clear_free(k->p);
	BN_clear_free(k->q);
	BN_clear_free(k->p1);
	BN_clear_free(k->q1);
	BN_clear_free(k->p2);
	BN_clear_free(k->q2);
	BN_clear_free(k->hp);
	BN_clear_free(k->hq);
	BN_clear_free(k->p_inv);
	BN_MONT_CTX_free(k->mont_p2);
	BN_MONT_CTX_free(k->mont_q2);
	free(k);
}
