/* The seeded generator is xoshiro256** (Blackman, Vigna), seeded through splitmix64. */
#include "config.h"

#include "component/rng.h"

#include <math.h>
#include <openssl/rand.h>

static uint64_t rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

void rng_seed(struct rng *r, uint64_t seed)
{
	uint64_t z;
	int i;

	for (i = 0; i < 4; i++) {
		z = seed += 0x9e3779b97f4a7c15u;
		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
		z = (z ^ z >> 27) * 0x94d049bb133111ebu;
		r->s[i] = z ^ z >> 31;
	}
}

uint64_t rng_u64(struct rng *r)
{
	uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
	uint64_t limit = UINT64_MAX - UINT64_MAX % n, v;

	do
		v = rng_u64(r);
	while (v >= limit);
	return v % n;
}

double rng_unit(struct rng *r)
{
	return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

double rng_normal(struct rng *r)
{
	double u;

	do
		u = rng_unit(r);
	while (u <= 0);
	return sqrt(-2 * log(u)) * cos(6.283185307179586 * rng_unit(r));
}

void rng_shuffle(struct rng *r, size_t *v, size_t n)
{
	size_t i, j, t;

	for (i = n; i > 1; i--) {
		j = (size_t)rng_below(r, i);
		t = v[i - 1];
		v[i - 1] = v[j];
		v[j] = t;
	}
}

bool rng_secret_seed(uint64_t *out, struct err *e)
{
	return RAND_bytes((unsigned char *)out, sizeof *out) == 1 ||
	       err_set(e, ERR_CRYPTO, "no random numbers");
}

static bool secret_below(uint64_t n, uint64_t *out, struct err *e)
{
	uint64_t limit = UINT64_MAX - UINT64_MAX % n, v;

	do {
		if (!rng_secret_seed(&v, e))
			return false;
	} while (v >= limit);
	*out = v % n;
	return true;
}

bool rng_secret_permutation(size_t *v, size_t n, struct err *e)
{
	size_t i, t;
	uint64_t j;

	for (i = 0; i < n; i++)
		v[i] = i;
	for (i = n; i > 1; i--) {
		if (!secret_below(i, &j, e))
			return false;
		t = v[i - 1];
		v[i - 1] = v[j];
		v[j] = t;
	}
	return true;
}
