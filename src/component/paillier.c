/* Paillier encryption, decryption and addition. */
#include "config.h"

#include "component/paillier.h"

#include "base/mem.h"
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>

/* r = hn^random, from the table. */
static bool randomizer(const struct paillier_pub *k, BIGNUM *r, BN_CTX *ctx)
{
	unsigned char exponent[PAILLIER_BITS_MAX / 8 + 64];
	size_t i;
	bool ok = k->places <= sizeof exponent && RAND_priv_bytes(exponent, (int)k->places) == 1;

	/* Digit 0 multiplies by one: the same number of steps for every exponent. */
	ok = ok && BN_copy(r, k->table[exponent[0]]) != NULL;
	for (i = 1; i < k->places && ok; i++)
		ok = BN_mod_mul_montgomery(r, r, k->table[i * 256 + exponent[i]], k->mont, ctx);
	OPENSSL_cleanse(exponent, sizeof exponent);
	return ok;
}

bool paillier_plain(const struct paillier_pub *k, const BIGNUM *m, BIGNUM *c, BN_CTX *ctx,
		    struct err *e)
{
	if (BN_is_negative(m) || BN_cmp(m, k->n) >= 0)
		return err_set(e, ERR_INTERNAL, "a plaintext is out of range");
	return (BN_mul(c, m, k->n, ctx) && BN_add_word(c, 1) &&
		BN_to_montgomery(c, c, k->mont, ctx)) ||
	       crypto_failed(e);
}

bool paillier_encrypt(const struct paillier_pub *k, const BIGNUM *m, BIGNUM *c, BN_CTX *ctx,
		      struct err *e)
{
	BIGNUM *r;
	bool ok;

	if (!paillier_plain(k, m, c, ctx, e))
		return false;
	BN_CTX_start(ctx);
	r = BN_CTX_get(ctx);
	ok = r != NULL && randomizer(k, r, ctx) && BN_mod_mul_montgomery(c, c, r, k->mont, ctx);
	if (r != NULL)
		BN_clear(r);
	BN_CTX_end(ctx);
	return ok || crypto_failed(e);
}

bool paillier_add(const struct paillier_pub *k, BIGNUM *c, const BIGNUM *a, const BIGNUM *b,
		  BN_CTX *ctx, struct err *e)
{
	return BN_mod_mul_montgomery(c, a, b, k->mont, ctx) || crypto_failed(e);
}

/* m mod p = (c^(p-1) mod p^2 - 1) / p * hp mod p */
static bool decrypt_half(BIGNUM *m, const BIGNUM *c, const BIGNUM *p, const BIGNUM *p1,
			 const BIGNUM *p2, const BIGNUM *hp, BN_MONT_CTX *mont, BN_CTX *ctx)
{
	BIGNUM *u;
	bool ok;

	BN_CTX_start(ctx);
	u = BN_CTX_get(ctx);
	ok = u != NULL && BN_nnmod(u, c, p2, ctx) &&
	     BN_mod_exp_mont_consttime(u, u, p1, p2, ctx, mont) && BN_sub_word(u, 1) &&
	     BN_div(u, NULL, u, p, ctx) && BN_mod_mul(m, u, hp, p, ctx);
	if (u != NULL)
		BN_clear(u);
	BN_CTX_end(ctx);
	return ok;
}

bool paillier_decrypt(const struct paillier_key *k, const BIGNUM *c, BIGNUM *m, BN_CTX *ctx,
		      struct err *e)
{
	BIGNUM *x, *mp, *mq;
	bool ok;

	BN_CTX_start(ctx);
	x = BN_CTX_get(ctx);
	mp = BN_CTX_get(ctx);
	mq = BN_CTX_get(ctx);
	/* m = mp + p ((mq - mp) / p mod q) */
	ok = mq != NULL && BN_from_montgomery(x, c, k->pub->mont, ctx) &&
	     decrypt_half(mp, x, k->p, k->p1, k->p2, k->hp, k->mont_p2, ctx) &&
	     decrypt_half(mq, x, k->q, k->q1, k->q2, k->hq, k->mont_q2, ctx) &&
	     BN_mod_sub(mq, mq, mp, k->q, ctx) && BN_mod_mul(mq, mq, k->p_inv, k->q, ctx) &&
	     BN_mul(m, mq, k->p, ctx) && BN_add(m, m, mp);
	BN_CTX_end(ctx);
	return ok || crypto_failed(e);
}

bool paillier_to_bytes(const struct paillier_pub *k, const BIGNUM *c, unsigned char *out,
		       BN_CTX *ctx, struct err *e)
{
	BIGNUM *x;
	bool ok;

	BN_CTX_start(ctx);
	x = BN_CTX_get(ctx);
	ok = x != NULL && BN_from_montgomery(x, c, k->mont, ctx) &&
	     BN_bn2binpad(x, out, (int)(2 * k->n_bytes)) > 0;
	BN_CTX_end(ctx);
	return ok || crypto_failed(e);
}

bool paillier_from_bytes(const struct paillier_pub *k, const unsigned char *in, BIGNUM *c,
			 BN_CTX *ctx, struct err *e)
{
	if (BN_bin2bn(in, (int)(2 * k->n_bytes), c) == NULL)
		return crypto_failed(e);
	if (BN_is_zero(c) || BN_cmp(c, k->n2) >= 0)
		return err_set(e, ERR_PEER, "the peer sent an invalid ciphertext");
	return BN_to_montgomery(c, c, k->mont, ctx) || crypto_failed(e);
}
