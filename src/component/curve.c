#include "config.h"

#include "component/curve.h"

#include "base/mem.h"
#include "component/par.h"
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MAX 255 /* each fails with probability 1/2 */

static const char domain[] = "norn psi curve25519 v1";

struct curve_key {
	EVP_PKEY *key;
};

struct curve_key *curve_key_from(const unsigned char secret[CURVE_BYTES], struct err *e)
{
	struct curve_key *k = mem_zalloc(sizeof *k);

	k->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, CURVE_BYTES);
	if (k->key != NULL)
		return k;
	free(k);
	err_set(e, ERR_CRYPTO, "cannot make an X25519 key");
	return NULL;
}

struct curve_key *curve_key_new(struct err *e)
{
	unsigned char secret[CURVE_BYTES];
	struct curve_key *k;

	if (RAND_priv_bytes(secret, sizeof secret) != 1) {
		err_set(e, ERR_CRYPTO, "no random numbers");
		return NULL;
	}
	k = curve_key_from(secret, e);
	OPENSSL_cleanse(secret, sizeof secret);
	return k;
}

void curve_key_free(struct curve_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->key);
	free(k);
}

/* Scratch numbers of one thread. */
struct hasher {
	BN_CTX *ctx;
	EVP_MD_CTX *md;
	BIGNUM *p, *u, *v, *t;
	BIGNUM *a; /* 486662 */
};

static void hasher_free(struct hasher *h)
{
	BN_free(h->p);
	BN_free(h->u);
	BN_free(h->v);
	BN_free(h->t);
	BN_free(h->a);
	BN_CTX_free(h->ctx);
	EVP_MD_CTX_free(h->md);
}

static bool hasher_init(struct hasher *h)
{
	memset(h, 0, sizeof *h);
	h->ctx = BN_CTX_new();
	h->md = EVP_MD_CTX_new();
	h->p = BN_new();
	h->u = BN_new();
	h->v = BN_new();
	h->t = BN_new();
	h->a = BN_new();
	return h->ctx && h->md && h->p && h->u && h->v && h->t && h->a && BN_set_bit(h->p, 255) &&
	       BN_sub_word(h->p, 19) && BN_set_word(h->a, 486662);
}

/* 1: u is on the curve; 0: on the twist, or zero; -1: failure. */
static int on_curve(struct hasher *h)
{
	/* v = u (u^2 + a u + 1) */
	if (!BN_mod_add(h->t, h->u, h->a, h->p, h->ctx) ||
	    !BN_mod_mul(h->t, h->t, h->u, h->p, h->ctx) || !BN_add_word(h->t, 1) ||
	    !BN_mod_mul(h->v, h->t, h->u, h->p, h->ctx))
		return -1;
	switch (BN_kronecker(h->v, h->p, h->ctx)) {
	case 1:
		return 1;
	case -2:
		return -1;
	default:
		return 0;
	}
}

static bool hash_one(struct hasher *h, const char *id, size_t len, unsigned char *out)
{
	unsigned char md[64], counter;
	int tries, on;

	for (tries = 0; tries < TRIES_MAX; tries++) {
		counter = (unsigned char)tries;
		if (EVP_DigestInit_ex(h->md, EVP_sha512(), NULL) != 1 ||
		    EVP_DigestUpdate(h->md, domain, sizeof domain) != 1 ||
		    EVP_DigestUpdate(h->md, &counter, 1) != 1 ||
		    EVP_DigestUpdate(h->md, id, len) != 1 ||
		    EVP_DigestFinal_ex(h->md, md, NULL) != 1 ||
		    BN_bin2bn(md, sizeof md, h->t) == NULL || !BN_nnmod(h->u, h->t, h->p, h->ctx))
			return false;
		on = on_curve(h);
		if (on < 0)
			return false;
		if (on == 1)
			return BN_bn2lebinpad(h->u, out, CURVE_BYTES) == CURVE_BYTES;
	}
	return false;
}

bool curve_hash(const char *id, size_t len, unsigned char out[CURVE_BYTES], struct err *e)
{
	struct hasher h;
	bool ok = hasher_init(&h) && hash_one(&h, id, len, out);

	hasher_free(&h);
	return ok || err_set(e, ERR_CRYPTO, "cannot hash an id to the curve");
}

static bool mul_one(EVP_PKEY_CTX *ctx, const unsigned char *in, unsigned char *out)
{
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, in, CURVE_BYTES);
	size_t len = CURVE_BYTES;
	bool ok;

	ok = peer != NULL && EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
	     EVP_PKEY_derive(ctx, out, &len) == 1 && len == CURVE_BYTES;
	EVP_PKEY_free(peer);
	return ok;
}

struct job {
	const struct curve_key *k;
	const unsigned char *in; /* or: */
	char *const *ids;
	const size_t *order;
	unsigned char *out;
};

static bool mul_some(void *arg, size_t from, size_t to, struct err *e)
{
	const struct job *j = arg;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(j->k->key, NULL);
	unsigned char point[CURVE_BYTES];
	struct hasher h = {0};
	bool ok =
	    ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 && (j->ids == NULL || hasher_init(&h));
	size_t i;

	if (!ok)
		err_set(e, ERR_CRYPTO, "cannot prepare X25519");
	for (i = from; i < to && ok; i++) {
		if (j->ids != NULL) {
			const char *id = j->ids[j->order[i]];

			ok = hash_one(&h, id, strlen(id), point) ||
			     err_set(e, ERR_CRYPTO, "cannot hash an id to the curve");
		} else {
			memcpy(point, j->in + i * CURVE_BYTES, CURVE_BYTES);
		}
		/* X25519 fails for points of small order only. */
		if (ok && !mul_one(ctx, point, j->out + i * CURVE_BYTES))
			ok = err_set(e, ERR_PEER, "the peer sent an invalid point");
	}
	EVP_PKEY_CTX_free(ctx);
	if (j->ids != NULL)
		hasher_free(&h);
	return ok;
}

bool curve_mul(const struct curve_key *k, const unsigned char *in, unsigned char *out, size_t n,
	       unsigned threads, struct err *e)
{
	struct job j = {.k = k, .in = in, .out = out};

	return par_for(n, threads, mul_some, &j, e);
}

bool curve_mul_ids(const struct curve_key *k, char *const *ids, const size_t *order,
		   unsigned char *out, size_t n, unsigned threads, struct err *e)
{
	struct job j = {.k = k, .ids = ids, .order = order, .out = out};

	return par_for(n, threads, mul_some, &j, e);
}
