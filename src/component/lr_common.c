/* Plan, key and vectors on the wire; initial coefficients. */
#include "config.h"

#include "component/lr_common.h"

#include "base/mem.h"
#include "component/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void lr_model_free(struct lr_model *m)
{
	free(m->w);
	memset(m, 0, sizeof *m);
}

bool lr_init_weights(const struct lr_params *p, size_t n, double *w, struct err *e)
{
	struct rng r;
	uint64_t seed = p->seed;
	size_t i;

	if (!p->seeded && !rng_secret_seed(&seed, e))
		return false;
	rng_seed(&r, seed);
	for (i = 0; i < n; i++) {
		switch (p->init) {
		case LR_INIT_ZEROS:
			w[i] = 0;
			break;
		case LR_INIT_ONES:
			w[i] = 1;
			break;
		case LR_INIT_CONSTS:
			w[i] = p->fill_val;
			break;
		case LR_INIT_RANDOM:
			w[i] = rng_normal(&r);
			break;
		case LR_INIT_UNIFORM:
			w[i] = rng_unit(&r);
			break;
		}
	}
	return true;
}

size_t lr_batches(const struct lr_plan *plan)
{
	return (plan->n + plan->batch - 1) / plan->batch;
}

void lr_batch_range(const struct lr_plan *plan, size_t b, size_t *from, size_t *to)
{
	*from = b * plan->batch;
	*to = plan->n - *from > plan->batch ? *from + plan->batch : plan->n;
}

int lr_d_exp(const struct lr_plan *plan)
{
	return LR_D_BITS + (plan->weighted ? LR_WEIGHT_BITS : 0);
}

int lr_g_exp(const struct lr_plan *plan)
{
	return lr_d_exp(plan) + plan->x_bits;
}

bool lr_send_plan(const struct lr_party *who, const char *role, const char *party,
		  const struct lr_plan *plan, struct err *e)
{
	struct buf b = {0};
	bool ok;

	wire_put_u64(&b, plan->n);
	wire_put_u64(&b, plan->batch);
	wire_put_u8(&b, plan->weighted);
	wire_put_u32(&b, (uint32_t)plan->epochs);
	wire_put_u32(&b, (uint32_t)plan->x_bits);
	wire_put_u32(&b, (uint32_t)plan->key_bits);
	wire_put_u8(&b, (uint8_t)plan->early_stop);
	wire_put_f64(&b, plan->tol);
	buf_add(&b, plan->ids_hash, sizeof plan->ids_hash);
	ok = channel_send(who->ch, role, party, "lr_plan", b.data, b.len, e);
	buf_free(&b);
	return ok;
}

static bool check_plan(const struct lr_params *p, const struct lr_data *d,
		       const struct lr_plan *plan, struct err *e)
{
	if (plan->n == 0 || plan->n > PVEC_LEN_MAX || plan->batch == 0 || plan->batch > plan->n)
		return err_set(e, ERR_PEER, "the guest's training plan is not valid");
	if (plan->epochs != p->epochs || plan->x_bits != p->x_bits ||
	    plan->key_bits != p->key_bits || plan->early_stop != p->early_stop ||
	    plan->tol < p->tol || plan->tol > p->tol)
		return err_set(e, ERR_JOB_PARAMS,
			       "the parties have different values for epochs, early_stop, tol, "
			       "he_param or floating_point_precision");
	if (d == NULL)
		return true;
	if (plan->n != d->n)
		return err_set(e, ERR_COMPONENT_OUTPUT,
			       "the guest has %zu rows and this party %zu: run psi first", plan->n,
			       d->n);
	if (memcmp(plan->ids_hash, d->ids_hash, LR_HASH_BYTES) != 0)
		return err_set(e, ERR_COMPONENT_OUTPUT,
			       "the rows are not in the guest's order: "
			       "run psi first");
	return true;
}

bool lr_recv_plan(const struct lr_party *who, const struct lr_params *p, const struct lr_data *d,
		  struct lr_plan *plan, struct err *e)
{
	const unsigned char *hash;
	struct buf b = {0};
	struct wire w;
	bool ok = channel_recv(who->ch, "guest", who->guest, "lr_plan", 1024, &b, e);

	if (ok) {
		memset(plan, 0, sizeof *plan);
		wire_init(&w, b.data, b.len);
		plan->n = wire_u64(&w);
		plan->batch = wire_u64(&w);
		plan->weighted = wire_u8(&w) != 0;
		plan->epochs = (int)wire_u32(&w);
		plan->x_bits = (int)wire_u32(&w);
		plan->key_bits = (int)wire_u32(&w);
		plan->early_stop = (enum lr_stop)wire_u8(&w);
		plan->tol = wire_f64(&w);
		hash = wire_bytes(&w, LR_HASH_BYTES);
		if (hash != NULL)
			memcpy(plan->ids_hash, hash, LR_HASH_BYTES);
		ok = wire_done(&w, e) && check_plan(p, d, plan, e);
	}
	buf_free(&b);
	return ok;
}

bool lr_send_key(const struct lr_party *who, const char *role, const char *party,
		 const struct paillier_pub *k, struct err *e)
{
	size_t n = k->n_bytes;
	unsigned char *bytes = mem_alloc(3 * n);
	bool ok = (BN_bn2binpad(k->n, bytes, (int)n) > 0 &&
		   BN_bn2binpad(k->hn, bytes + n, (int)(2 * n)) > 0) ||
		  crypto_failed(e);

	ok = ok && channel_send(who->ch, role, party, "lr_key", bytes, 3 * n, e);
	free(bytes);
	return ok;
}

struct paillier_pub *lr_recv_key(const struct lr_party *who, const struct lr_params *p,
				 struct err *e)
{
	size_t n = (size_t)p->key_bits / 8;
	BIGNUM *modulus = BN_new(), *hn = BN_new();
	struct paillier_pub *k = NULL;
	struct buf b = {0};

	if (modulus == NULL || hn == NULL)
		crypto_failed(e);
	else if (channel_recv(who->ch, "arbiter", who->arbiter, "lr_key", 3 * n, &b, e)) {
		if (b.len != 3 * n || BN_bin2bn((unsigned char *)b.data, (int)n, modulus) == NULL ||
		    BN_bin2bn((unsigned char *)b.data + n, (int)(2 * n), hn) == NULL ||
		    BN_num_bits(modulus) != p->key_bits)
			err_set(e, ERR_PEER, "the arbiter's key does not have %d bits",
				p->key_bits);
		else
			k = paillier_pub_new(modulus, hn, e);
	}
	BN_free(modulus);
	BN_free(hn);
	buf_free(&b);
	return k;
}

bool lr_send_vec(const struct lr_party *who, const char *role, const char *party, const char *tag,
		 const struct paillier_pub *k, const struct pvec *v, struct err *e)
{
	struct buf b = {0};
	bool ok =
	    pvec_put(k, v, &b, e) && channel_send(who->ch, role, party, tag, b.data, b.len, e);

	buf_free(&b);
	return ok;
}

bool lr_recv_vec(const struct lr_party *who, const char *role, const char *party, const char *tag,
		 const struct paillier_pub *k, size_t n, int exp, struct pvec *v, struct err *e)
{
	struct buf b = {0};
	struct wire w;
	bool ok;

	memset(v, 0, sizeof *v);
	ok = channel_recv(who->ch, role, party, tag, pvec_bytes(k, n), &b, e);
	if (ok) {
		wire_init(&w, b.data, b.len);
		ok = pvec_get(k, &w, n, exp, v, e) && wire_done(&w, e);
		if (!ok)
			pvec_free(v);
	}
	buf_free(&b);
	return ok;
}
