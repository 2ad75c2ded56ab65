/*
 * Random numbers. struct rng is a seeded generator for things that must be repeatable and need no
 * secrecy (sampling, initial weights). Secret choices use OpenSSL's generator (rng_secret_*).
 */
#ifndef NORN_COMPONENT_RNG_H
#define NORN_COMPONENT_RNG_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t s[4];
};

void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_u64(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* uniform in [0, n), n > 0 */
double rng_unit(struct rng *r);                /* uniform in [0, 1) */
double rng_normal(struct rng *r);              /* mean 0, deviation 1 */
void rng_shuffle(struct rng *r, size_t *v, size_t n);

MUST_CHECK bool rng_secret_seed(uint64_t *out, struct err *e);
/* A secret uniform permutation of 0..n-1. */
MUST_CHECK bool rng_secret_permutation(size_t *v, size_t n, struct err *e);

#endif
