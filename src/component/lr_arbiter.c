/* coordinated_lr, the arbiter: holds the key, decrypts masked gradients and the loss. */
#include "config.h"

#include "component/lr_common.h"

#include "base/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHTS_MAX 65536 /* coefficients of one party */

struct arbiter {
	const struct lr_party *who;
	const struct lr_params *p;
	struct lr_plan plan;
	struct paillier_key *key;
	double last_loss;
};

/* An encrypted vector whose length the sender chooses. */
static bool recv_gradient(struct arbiter *a, const char *role, const char *party, struct pvec *v,
			  struct err *e)
{
	struct buf b = {0};
	struct wire w, peek;
	uint32_t n;
	bool ok;

	memset(v, 0, sizeof *v);
	ok = channel_recv(a->who->ch, role, party, "lr_gradient",
			  pvec_bytes(a->key->pub, WEIGHTS_MAX), &b, e);
	if (ok) {
		wire_init(&w, b.data, b.len);
		peek = w;
		n = wire_u32(&peek);
		ok = n <= WEIGHTS_MAX || err_set(e, ERR_PEER, "too many coefficients");
		ok = ok && pvec_get(a->key->pub, &w, n, lr_g_exp(&a->plan), v, e) &&
		     wire_done(&w, e);
	}
	buf_free(&b);
	return ok;
}

/* Decrypt one party's masked gradient and send it back. */
static bool serve(struct arbiter *a, const char *role, const char *party, struct err *e)
{
	size_t nb = a->key->pub->n_bytes, i;
	unsigned char *out = NULL;
	BIGNUM **m = NULL;
	struct pvec v;
	bool ok = recv_gradient(a, role, party, &v, e);

	if (ok) {
		m = mem_array(v.n ? v.n : 1, sizeof *m);
		out = mem_array(v.n ? v.n : 1, nb);
		ok = pvec_decrypt(a->key, &v, m, a->who->threads, e);
		for (i = 0; i < v.n && ok; i++)
			ok = BN_bn2binpad(m[i], out + i * nb, (int)nb) > 0 || crypto_failed(e);
		ok = ok && channel_send(a->who->ch, role, party, "lr_masked", out, v.n * nb, e);
	}
	numbers_free(m, v.n);
	free(out);
	pvec_free(&v);
	return ok;
}

static bool batch_loss(struct arbiter *a, double *loss, struct err *e)
{
	BIGNUM *m[1] = {NULL};
	struct pvec v;
	bool ok = lr_recv_vec(a->who, "guest", a->who->guest, "lr_loss", a->key->pub, 1,
			      lr_g_exp(&a->plan), &v, e) &&
		  pvec_decrypt(a->key, &v, m, 1, e);

	if (ok)
		*loss = fixed_decode(a->key->pub, m[0], lr_g_exp(&a->plan));
	BN_clear_free(m[0]);
	pvec_free(&v);
	return ok;
}

static bool one_batch(struct arbiter *a, double *sum, struct err *e)
{
	double loss = 0;
	size_t h;

	if (!batch_loss(a, &loss, e) || !serve(a, "guest", a->who->guest, e))
		return false;
	*sum += loss;
	for (h = 0; h < a->who->n_hosts; h++)
		if (!serve(a, "host", a->who->hosts[h], e))
			return false;
	return true;
}

static bool recv_moved(struct arbiter *a, const char *role, const char *party, double *sum,
		       struct err *e)
{
	struct buf b = {0};
	struct wire w;
	bool ok = channel_recv(a->who->ch, role, party, "lr_moved", 8, &b, e);

	wire_init(&w, b.data, ok ? b.len : 0);
	if (ok) {
		*sum += wire_f64(&w);
		ok = wire_done(&w, e);
	}
	buf_free(&b);
	return ok;
}

static bool is_converged(struct arbiter *a, int epoch, double loss, double moved)
{
	double before = a->last_loss;

	a->last_loss = loss;
	switch (a->p->early_stop) {
	case LR_STOP_WEIGHT_DIFF:
		return sqrt(moved) < a->p->tol;
	case LR_STOP_ABS:
		return loss <= a->p->tol;
	case LR_STOP_DIFF:
		break;
	}
	return epoch > 0 && fabs(before - loss) < a->p->tol;
}

static bool one_epoch(struct arbiter *a, int epoch, bool *converged, struct err *e)
{
	const struct lr_party *who = a->who;
	double sum = 0, moved = 0;
	size_t b, h;
	char flag;

	for (b = 0; b < lr_batches(&a->plan); b++)
		if (!one_batch(a, &sum, e))
			return false;
	if (!recv_moved(a, "guest", who->guest, &moved, e))
		return false;
	for (h = 0; h < who->n_hosts; h++)
		if (!recv_moved(a, "host", who->hosts[h], &moved, e))
			return false;
	sum /= (double)a->plan.n;
	*converged = is_converged(a, epoch, sum, moved);
	if (who->progress != NULL)
		who->progress(who->arg, epoch, sum);
	flag = (char)*converged;
	if (!channel_send(who->ch, "guest", who->guest, "lr_converged", &flag, 1, e))
		return false;
	for (h = 0; h < who->n_hosts; h++)
		if (!channel_send(who->ch, "host", who->hosts[h], "lr_converged", &flag, 1, e))
			return false;
	return true;
}

static bool send_keys(struct arbiter *a, struct err *e)
{
	size_t h;

	if (!lr_send_key(a->who, "guest", a->who->guest, a->key->pub, e))
		return false;
	for (h = 0; h < a->who->n_hosts; h++)
		if (!lr_send_key(a->who, "host", a->who->hosts[h], a->key->pub, e))
			return false;
	return true;
}

bool lr_train_arbiter(const struct lr_party *who, const struct lr_params *p, struct lr_model *model,
		      struct err *e)
{
	struct arbiter a = {.who = who, .p = p};
	bool converged = false, ok;
	int epoch;

	a.key = paillier_key_new(p->key_bits, e);
	ok = a.key != NULL && send_keys(&a, e) && lr_recv_plan(who, p, NULL, &a.plan, e);
	for (epoch = 0; ok && epoch < p->epochs && !converged; epoch++)
		ok = one_epoch(&a, epoch, &converged, e);
	model->converged = converged;
	model->end_epoch = converged ? epoch - 1 : epoch;
	paillier_key_free(a.key);
	return ok;
}
