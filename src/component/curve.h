/*
 * The group of the private set intersection: x-only arithmetic on Curve25519 (X25519, RFC 7748).
 *
 * An id becomes a curve point by try-and-increment: u = SHA-512(domain || counter || id) mod p for
 * counter = 0, 1, ... until u^3 + 486662 u^2 + u is a square, that is, until u is the coordinate of
 * a point of the curve itself. The result is uniform over the u-coordinates of the curve and nobody
 * knows its discrete logarithm. X25519 would accept any 32 bytes, also coordinates of the twist;
 * twist points are left out on purpose: multiplication keeps a point on its side, so letting both
 * sides occur would tell the peer one bit about each blinded id. The number of tries depends on
 * the id, and is seen only on the machine that holds the ids.
 *
 * Scalars are clamped, that is, multiples of the cofactor, so a peer that sends points of small
 * order learns nothing about a key: such a point gives zero, which is refused. The twist of
 * Curve25519 has a large prime-order subgroup too, so a peer that sends twist points learns
 * nothing either. x-only multiplication commutes: a(bP) = b(aP).
 */
#ifndef NORN_COMPONENT_CURVE_H
#define NORN_COMPONENT_CURVE_H

#include "base/err.h"
#include <stddef.h>

#define CURVE_BYTES 32

struct curve_key;

/* A new random secret. */
MUST_CHECK struct curve_key *curve_key_new(struct err *e);
/* A given secret, for known-answer tests. */
MUST_CHECK struct curve_key *curve_key_from(const unsigned char secret[CURVE_BYTES], struct err *e);
void curve_key_free(struct curve_key *k); /* NULL is allowed */

/* Point of one id. */
MUST_CHECK bool curve_hash(const char *id, size_t len, unsigned char out[CURVE_BYTES],
			   struct err *e);

/* out[i] = key * in[i] for n points of CURVE_BYTES each; out may be in. */
MUST_CHECK bool curve_mul(const struct curve_key *k, const unsigned char *in, unsigned char *out,
			  size_t n, unsigned threads, struct err *e);
/* out[i] = key * point(ids[order[i]]) */
MUST_CHECK bool curve_mul_ids(const struct curve_key *k, char *const *ids, const size_t *order,
			      unsigned char *out, size_t n, unsigned threads, struct err *e);

#endif
