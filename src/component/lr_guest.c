/* coordinated_lr, the guest. */
#include "config.h"

#include "component/lr_common.h"

#include "base/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* [d] for the rows: the guest's part, freshly encrypted, plus the hosts', times the weights. */
static bool residuals(struct lr_side *s, size_t from, size_t to, struct pvec *d, struct err *e)
{
	double *part = mem_array(to - from, sizeof *part);
	struct pvec theirs, zero = {0};
	size_t i, h;
	bool ok;

	for (i = from; i < to; i++)
		part[i - from] = 0.25 * s->u[i - from] - 0.5 * s->d->y[i];
	ok = pvec_encrypt(s->key, part, to - from, LR_D_BITS, s->who->threads, d, e);
	for (h = 0; h < s->who->n_hosts && ok; h++) {
		ok = lr_recv_vec(s->who, "host", s->who->hosts[h], "lr_forward", s->key, to - from,
				 LR_D_BITS, &theirs, e);
		if (ok)
			ok = pvec_add(s->key, d, &theirs, e);
		pvec_free(&theirs);
	}
	if (ok && s->d->weight != NULL) {
		/* The same randomness times a weight could be divided out: refresh. */
		ok = pvec_scale(s->key, d, s->d->weight + from, LR_WEIGHT_BITS, s->who->threads, e);
		memset(part, 0, (to - from) * sizeof *part);
		ok = ok &&
		     pvec_encrypt(s->key, part, to - from, d->exp, s->who->threads, &zero, e) &&
		     pvec_add(s->key, d, &zero, e);
		pvec_free(&zero);
	}
	free(part);
	return ok;
}

/* What the loss of the batch has besides the products with d. */
static double plain_loss(const struct lr_side *s, size_t from, size_t to)
{
	double sum = 0;
	size_t i;

	for (i = from; i < to; i++)
		sum += s->d->weight != NULL ? s->d->weight[i] : 1;
	return sum * (log(2) - 0.5) + (double)(to - from) * lr_side_penalty(s);
}

static bool send_loss(struct lr_side *s, struct pvec *mine, size_t from, size_t to, struct err *e)
{
	struct pvec share;
	size_t h;
	bool ok = pvec_add_plain(s->key, mine, 0, plain_loss(s, from, to), e);

	for (h = 0; h < s->who->n_hosts && ok; h++) {
		ok = lr_recv_vec(s->who, "host", s->who->hosts[h], "lr_loss_share", s->key, 1,
				 lr_g_exp(&s->plan), &share, e);
		if (ok)
			ok = pvec_add(s->key, mine, &share, e);
		pvec_free(&share);
	}
	return ok && lr_send_vec(s->who, "arbiter", s->who->arbiter, "lr_loss", s->key, mine, e);
}

static bool guest_batch(struct lr_side *s, size_t from, size_t to, int epoch, struct err *e)
{
	double *extra = mem_array(to - from, sizeof *extra);
	struct pvec d = {0}, grad = {0}, loss = {0};
	size_t i, h;
	bool ok = residuals(s, from, to, &d, e);

	for (h = 0; h < s->who->n_hosts && ok; h++)
		ok = lr_send_vec(s->who, "host", s->who->hosts[h], "lr_residual", s->key, &d, e);
	for (i = from; i < to; i++)
		extra[i - from] = 0.5 * s->u[i - from] - s->d->y[i];
	ok = ok && lr_side_backward(s, &d, from, to, extra, &grad, &loss, e) &&
	     send_loss(s, &loss, from, to, e) && lr_side_step(s, &grad, to - from, epoch, e);
	pvec_free(&d);
	pvec_free(&grad);
	pvec_free(&loss);
	free(extra);
	return ok;
}

bool lr_train_guest(const struct lr_party *who, const struct lr_params *p, const struct lr_data *d,
		    struct lr_model *model, struct err *e)
{
	struct lr_side s = {.who = who, .p = p, .d = d};
	size_t h;
	bool ok;

	if (d->n == 0 || who->n_hosts == 0)
		return err_set(e, ERR_COMPONENT_OUTPUT, "training needs rows and a host");
	s.plan = (struct lr_plan){
	    .n = d->n,
	    .batch = p->batch_size == 0 || p->batch_size > d->n ? d->n : p->batch_size,
	    .weighted = d->weight != NULL,
	    .epochs = p->epochs,
	    .x_bits = p->x_bits,
	    .key_bits = p->key_bits,
	    .tol = p->tol,
	    .early_stop = p->early_stop,
	};
	memcpy(s.plan.ids_hash, d->ids_hash, LR_HASH_BYTES);
	ok = lr_send_plan(who, "arbiter", who->arbiter, &s.plan, e);
	for (h = 0; h < who->n_hosts && ok; h++)
		ok = lr_send_plan(who, "host", who->hosts[h], &s.plan, e);
	ok = ok && (s.key = lr_recv_key(who, p, e)) != NULL &&
	     lr_side_begin(&s, model, p->fit_intercept, e) &&
	     lr_side_train(&s, guest_batch, model, e);
	lr_side_end(&s);
	return ok;
}

bool lr_predict_guest(const struct lr_party *who, const struct lr_data *d,
		      const struct lr_model *model, bool intercept, double *score, struct err *e)
{
	struct buf b = {0};
	struct wire w;
	size_t i, j, h;
	bool ok = true;

	if (model->n != d->m + intercept)
		return err_set(e, ERR_COMPONENT_OUTPUT,
			       "the model has %zu coefficients, the data %zu columns", model->n,
			       d->m);
	for (i = 0; i < d->n; i++) {
		score[i] = intercept ? model->w[d->m] : 0;
		for (j = 0; j < d->m; j++)
			score[i] += d->x[i * d->m + j] * model->w[j];
	}
	for (h = 0; h < who->n_hosts && ok; h++)
		ok = channel_send(who->ch, "host", who->hosts[h], "lr_rows", d->ids_hash,
				  LR_HASH_BYTES, e);
	for (h = 0; h < who->n_hosts && ok; h++) {
		ok = channel_recv(who->ch, "host", who->hosts[h], "lr_part", d->n * 8, &b, e);
		wire_init(&w, b.data, ok ? b.len : 0);
		for (i = 0; i < d->n && ok; i++)
			score[i] += wire_f64(&w);
		ok = ok && wire_done(&w, e);
	}
	buf_free(&b);
	for (i = 0; i < d->n && ok; i++) {
		if (!isfinite(score[i]))
			ok = err_set(e, ERR_PEER, "a host sent a score that is not a number");
		score[i] = 1 / (1 + exp(-score[i]));
	}
	return ok;
}
