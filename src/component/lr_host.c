/* coordinated_lr, a host. */
#include "config.h"

#include "component/lr_common.h"

#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

static bool host_batch(struct lr_side *s, size_t from, size_t to, int epoch, struct err *e)
{
	double *part = mem_array(to - from, sizeof *part);
	struct pvec v = {0}, d = {0}, grad = {0}, loss = {0};
	size_t i;
	bool ok;

	for (i = 0; i < to - from; i++)
		part[i] = 0.25 * s->u[i];
	ok = pvec_encrypt(s->key, part, to - from, LR_D_BITS, s->who->threads, &v, e) &&
	     lr_send_vec(s->who, "guest", s->who->guest, "lr_forward", s->key, &v, e) &&
	     lr_recv_vec(s->who, "guest", s->who->guest, "lr_residual", s->key, to - from,
			 lr_d_exp(&s->plan), &d, e);
	for (i = 0; i < to - from; i++)
		part[i] = 0.5 * s->u[i];
	ok = ok && lr_side_backward(s, &d, from, to, part, &grad, &loss, e) &&
	     pvec_add_plain(s->key, &loss, 0, (double)(to - from) * lr_side_penalty(s), e) &&
	     lr_send_vec(s->who, "guest", s->who->guest, "lr_loss_share", s->key, &loss, e) &&
	     lr_side_step(s, &grad, to - from, epoch, e);
	pvec_free(&v);
	pvec_free(&d);
	pvec_free(&grad);
	pvec_free(&loss);
	free(part);
	return ok;
}

bool lr_train_host(const struct lr_party *who, const struct lr_params *p, const struct lr_data *d,
		   struct lr_model *model, struct err *e)
{
	struct lr_side s = {.who = who, .p = p, .d = d};
	bool ok = lr_recv_plan(who, p, d, &s.plan, e) && (s.key = lr_recv_key(who, p, e)) != NULL &&
		  lr_side_begin(&s, model, false, e) && lr_side_train(&s, host_batch, model, e);

	lr_side_end(&s);
	return ok;
}

bool lr_predict_host(const struct lr_party *who, const struct lr_data *d,
		     const struct lr_model *model, struct err *e)
{
	struct buf b = {0};
	double sum;
	size_t i, j;
	bool ok;

	if (model->n != d->m)
		return err_set(e, ERR_COMPONENT_OUTPUT,
			       "the model has %zu coefficients, the data %zu columns", model->n,
			       d->m);
	ok = channel_recv(who->ch, "guest", who->guest, "lr_rows", LR_HASH_BYTES, &b, e);
	if (ok && (b.len != LR_HASH_BYTES || memcmp(b.data, d->ids_hash, LR_HASH_BYTES) != 0))
		ok = err_set(e, ERR_COMPONENT_OUTPUT,
			     "the rows are not those of the guest in the "
			     "same order: run psi first");
	buf_reset(&b);
	for (i = 0; i < d->n && ok; i++) {
		sum = 0;
		for (j = 0; j < d->m; j++)
			sum += d->x[i * d->m + j] * model->w[j];
		wire_put_f64(&b, sum);
	}
	ok = ok && channel_send(who->ch, "guest", who->guest, "lr_part", b.data, b.len, e);
	buf_free(&b);
	return ok;
}
