/*
 * Vectors of encrypted real numbers. A number v stands as the integer round(v 2^exp) modulo n,
 * negative numbers in the upper half; exp is kept with the vector, so that scales cannot be
 * confused: adding needs equal scales, multiplying adds them.
 */
#ifndef NORN_COMPONENT_PVEC_H
#define NORN_COMPONENT_PVEC_H

#include "base/buf.h"
#include "component/paillier.h"
#include "component/wire.h"

#define PVEC_EXP_MAX    256
#define PVEC_LEN_MAX    16000000
#define FIXED_LIMIT_LOG 46 /* encoded numbers must be below 2^46 in size */

struct pvec {
	size_t n;
	int exp;
	BIGNUM **c; /* Montgomery form, owned */
};

void pvec_free(struct pvec *v); /* zeroes it */
/* n ciphertexts to be filled; false when out of memory. */
MUST_CHECK bool pvec_init(struct pvec *v, size_t n, int exp, struct err *e);

/* The integer of v at scale exp, modulo n. An error when v is not finite or too large. */
MUST_CHECK bool fixed_encode(const struct paillier_pub *k, double v, int exp, BIGNUM *out,
			     struct err *e);
/* The number of an integer 0 <= m < n. */
double fixed_decode(const struct paillier_pub *k, const BIGNUM *m, int exp);
/* Plain numbers as integers at scale exp, for pvec_matvec(). */
MUST_CHECK bool fixed_matrix(const double *v, size_t n, int exp, long long *out, struct err *e);

MUST_CHECK bool pvec_encrypt(const struct paillier_pub *k, const double *v, size_t n, int exp,
			     unsigned threads, struct pvec *out, struct err *e);
/* a += b */
MUST_CHECK bool pvec_add(const struct paillier_pub *k, struct pvec *a, const struct pvec *b,
			 struct err *e);
/* a[i] *= x[i], x at scale exp; what results carries no randomness of its own. */
MUST_CHECK bool pvec_scale(const struct paillier_pub *k, struct pvec *a, const double *x, int exp,
			   unsigned threads, struct err *e);
/* out[j] = sum over i of x[i * m + j] a[i], with fresh randomness; x at scale x_exp. */
MUST_CHECK bool pvec_matvec(const struct paillier_pub *k, const struct pvec *a, const double *x,
			    size_t m, int x_exp, unsigned threads, struct pvec *out, struct err *e);
/* a[i] += v */
MUST_CHECK bool pvec_add_plain(const struct paillier_pub *k, struct pvec *a, size_t i, double v,
			       struct err *e);
/* a[i] += mask[i], where mask[i] (new BIGNUMs, array of a->n) is uniform modulo n. */
MUST_CHECK bool pvec_mask(const struct paillier_pub *k, struct pvec *a, BIGNUM **mask,
			  struct err *e);
/* Plaintexts modulo n into m (array of a->n new BIGNUMs). */
MUST_CHECK bool pvec_decrypt(const struct paillier_key *k, const struct pvec *a, BIGNUM **m,
			     unsigned threads, struct err *e);

MUST_CHECK bool pvec_put(const struct paillier_pub *k, const struct pvec *v, struct buf *out,
			 struct err *e);
/* The vector must have exactly n numbers at scale exp. */
MUST_CHECK bool pvec_get(const struct paillier_pub *k, struct wire *w, size_t n, int exp,
			 struct pvec *v, struct err *e);
/* Upper bound of the bytes of a vector of n numbers. */
size_t pvec_bytes(const struct paillier_pub *k, size_t n);

void numbers_free(BIGNUM **v, size_t n); /* array too; NULL is allowed; clears them */

#endif
