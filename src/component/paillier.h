/*
 * The Paillier cryptosystem with g = n + 1 (Paillier 1999), CRT decryption and fixed-base
 * randomness (Damgard, Jurik, Nielsen 2010, section 4.2): a ciphertext is
 *
 *	c = (1 + m n) (h^n)^r mod n^2,	h = -x^2 mod n for a random x,
 *
 * with r uniform over 128 bits more than n has, so that h^r is within 2^-128 of uniform in the
 * group that h generates. That is the full length: no assumption about short exponents is made.
 * p and q are 3 mod 4, gcd(p - 1, q - 1) = 2, and (p - 1)/2, (q - 1)/2 have no small factors, so
 * h generates all elements of Jacobi symbol 1 (up to an index that is 1 with overwhelming
 * probability), and semantic security is that of the decisional composite residuosity assumption.
 * h^n is a fixed base: its powers come from a table.
 *
 * Ciphertexts are BIGNUMs in Montgomery form for n^2. The functions on ciphertexts need a BN_CTX of
 * the calling thread; keys are read-only after they are made and may be shared by threads.
 */
#ifndef NORN_COMPONENT_PAILLIER_H
#define NORN_COMPONENT_PAILLIER_H

#include "base/err.h"
#include <openssl/bn.h>
#include <stddef.h>

#define PAILLIER_BITS_MIN 2048 /* what components accept */
#define PAILLIER_BITS_MAX 8192

struct paillier_pub {
	BIGNUM *n, *n2, *half; /* half = n / 2: larger plaintexts stand for negative numbers */
	BIGNUM *hn;            /* h^n mod n^2 */
	BN_MONT_CTX *mont;     /* of n^2 */
	BIGNUM *one;           /* 1 in Montgomery form */
	BIGNUM **table;        /* hn^(d 256^i) for byte d of place i, Montgomery form */
	size_t places;         /* bytes of the exponent */
	size_t n_bytes;        /* of n; a ciphertext has twice as many */
};

struct paillier_key {
	struct paillier_pub *pub;
	BIGNUM *p, *q, *p2, *q2, *p1, *q1; /* p1 = p - 1 */
	BIGNUM *hp, *hq;                   /* 1 / L(g^(p-1)) mod p, the same for q */
	BIGNUM *p_inv;                     /* 1 / p mod q */
	BN_MONT_CTX *mont_p2, *mont_q2;
};

/* A new key pair whose n has exactly `bits` bits (even, at least 128: tests use small ones). */
MUST_CHECK struct paillier_key *paillier_key_new(int bits, struct err *e);
/* From given primes and base h, for known-answer tests. */
MUST_CHECK struct paillier_key *paillier_key_from(const BIGNUM *p, const BIGNUM *q, const BIGNUM *h,
						  struct err *e);
void paillier_key_free(struct paillier_key *k); /* NULL is allowed */

/* A received public key: n odd, hn a unit below n^2. */
MUST_CHECK struct paillier_pub *paillier_pub_new(const BIGNUM *n, const BIGNUM *hn, struct err *e);
void paillier_pub_free(struct paillier_pub *k); /* NULL is allowed */

/* c = encryption of m, 0 <= m < n. */
MUST_CHECK bool paillier_encrypt(const struct paillier_pub *k, const BIGNUM *m, BIGNUM *c,
				 BN_CTX *ctx, struct err *e);
/* c = 1 + m n: an encryption without randomness, to be combined with one that has it. */
MUST_CHECK bool paillier_plain(const struct paillier_pub *k, const BIGNUM *m, BIGNUM *c,
			       BN_CTX *ctx, struct err *e);
/* c encrypts the sum of what a and b encrypt; c may be a or b. */
MUST_CHECK bool paillier_add(const struct paillier_pub *k, BIGNUM *c, const BIGNUM *a,
			     const BIGNUM *b, BN_CTX *ctx, struct err *e);
MUST_CHECK bool paillier_decrypt(const struct paillier_key *k, const BIGNUM *c, BIGNUM *m,
				 BN_CTX *ctx, struct err *e);

/*
 * out[j] encrypts sum over i of x[i * m + j] * (plaintext of c[i]), for n ciphertexts and m
 * columns. out holds m BIGNUMs. The results carry no randomness of their own.
 */
MUST_CHECK bool paillier_matvec(const struct paillier_pub *k, BIGNUM *const *c, const long long *x,
				size_t n, size_t m, BIGNUM **out, unsigned threads, struct err *e);

/* Normal form as bytes (2 * n_bytes) and back; reading checks the range. */
MUST_CHECK bool paillier_to_bytes(const struct paillier_pub *k, const BIGNUM *c, unsigned char *out,
				  BN_CTX *ctx, struct err *e);
MUST_CHECK bool paillier_from_bytes(const struct paillier_pub *k, const unsigned char *in,
				    BIGNUM *c, BN_CTX *ctx, struct err *e);

/* The library failed (out of memory): one place for the words. */
bool crypto_failed(struct err *e);

#endif
