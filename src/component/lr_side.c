/* Training as guest and host have it in common. */
#include "config.h"

#include "component/lr_common.h"

#include "base/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool lr_side_begin(struct lr_side *s, const struct lr_model *model, bool intercept, struct err *e)
{
	s->intercept = intercept;
	s->n_w = s->d->m + intercept;
	s->w = mem_array(s->n_w ? s->n_w : 1, sizeof *s->w);
	s->u = mem_array(s->plan.batch, sizeof *s->u);
	s->matrix = mem_array(s->plan.batch, (s->n_w + 1) * sizeof *s->matrix);
	s->moved = mem_array(s->n_w ? s->n_w : 1, sizeof *s->moved);
	optim_init(&s->optim, &s->p->optim, s->n_w);
	if (model->w == NULL)
		return lr_init_weights(s->p, s->n_w, s->w, e);
	if (model->n != s->n_w)
		return err_set(e, ERR_COMPONENT_OUTPUT,
			       "the warm start model has %zu coefficients instead of %zu", model->n,
			       s->n_w);
	memcpy(s->w, model->w, s->n_w * sizeof *s->w);
	return true;
}

void lr_side_end(struct lr_side *s)
{
	optim_free(&s->optim);
	paillier_pub_free(s->key);
	free(s->w);
	free(s->u);
	free(s->matrix);
	free(s->moved);
}

void lr_side_forward(struct lr_side *s, size_t from, size_t to)
{
	const double *x;
	double sum;
	size_t i, j;

	for (i = from; i < to; i++) {
		x = s->d->x + i * s->d->m;
		sum = s->intercept ? s->w[s->d->m] : 0;
		for (j = 0; j < s->d->m; j++)
			sum += x[j] * s->w[j];
		s->u[i - from] = sum;
	}
}

bool lr_side_backward(struct lr_side *s, const struct pvec *d, size_t from, size_t to,
		      const double *extra, struct pvec *grad, struct pvec *last, struct err *e)
{
	size_t i, cols = s->n_w + 1;
	double *row = s->matrix;
	struct pvec all;

	memset(grad, 0, sizeof *grad);
	memset(last, 0, sizeof *last);
	for (i = from; i < to; i++, row += cols) {
		memcpy(row, s->d->x + i * s->d->m, s->d->m * sizeof *row);
		if (s->intercept)
			row[s->d->m] = 1;
		row[cols - 1] = extra[i - from];
	}
	if (!pvec_matvec(s->key, d, s->matrix, cols, s->plan.x_bits, s->who->threads, &all, e))
		return false;
	if (!pvec_init(last, 1, all.exp, e)) {
		pvec_free(&all);
		return false;
	}
	BN_swap(last->c[0], all.c[cols - 1]);
	BN_free(all.c[cols - 1]);
	all.n--;
	*grad = all;
	return true;
}

/* The arbiter's answer without the masks, as the gradient of the penalised mean loss. */
static bool unmask(struct lr_side *s, const struct buf *b, BIGNUM **mask, size_t rows,
		   double *gradient, struct err *e)
{
	size_t nb = s->key->n_bytes, j;
	BIGNUM *v = BN_new();
	BN_CTX *ctx = BN_CTX_new();
	bool ok = (v != NULL && ctx != NULL) || crypto_failed(e);

	if (ok && b->len != s->n_w * nb)
		ok = err_set(e, ERR_PEER, "the arbiter's answer has a wrong length");
	for (j = 0; j < s->n_w && ok; j++) {
		ok = BN_bin2bn((unsigned char *)b->data + j * nb, (int)nb, v) != NULL &&
		     BN_mod_sub(v, v, mask[j], s->key->n, ctx);
		if (!ok) {
			crypto_failed(e);
			break;
		}
		gradient[j] = fixed_decode(s->key, v, lr_g_exp(&s->plan)) / (double)rows;
		if (s->p->optim.l2 && j < s->d->m)
			gradient[j] += s->p->optim.alpha * s->w[j];
	}
	BN_clear_free(v);
	BN_CTX_free(ctx);
	return ok;
}

static bool step(struct lr_side *s, const double *gradient, int epoch, struct err *e)
{
	double *delta = mem_array(s->n_w ? s->n_w : 1, sizeof *delta);
	size_t j;
	bool ok = true;

	optim_step(&s->optim, gradient, schedule_factor(&s->p->schedule, epoch), delta);
	for (j = 0; j < s->n_w; j++) {
		s->w[j] -= delta[j];
		s->moved[j] += delta[j];
		if (!(fabs(s->w[j]) <= LR_W_MAX))
			ok = err_set(e, ERR_COMPONENT_OUTPUT,
				     "the training diverges: a coefficient is larger than %g; "
				     "scale the features or use a smaller learning rate",
				     LR_W_MAX);
	}
	free(delta);
	return ok;
}

bool lr_side_step(struct lr_side *s, struct pvec *grad, size_t rows, int epoch, struct err *e)
{
	BIGNUM **mask = mem_array(s->n_w ? s->n_w : 1, sizeof *mask);
	double *gradient = mem_array(s->n_w ? s->n_w : 1, sizeof *gradient);
	struct buf b = {0};
	bool ok = pvec_mask(s->key, grad, mask, e) &&
		  lr_send_vec(s->who, "arbiter", s->who->arbiter, "lr_gradient", s->key, grad, e) &&
		  channel_recv(s->who->ch, "arbiter", s->who->arbiter, "lr_masked",
			       s->n_w * s->key->n_bytes, &b, e) &&
		  unmask(s, &b, mask, rows, gradient, e) && step(s, gradient, epoch, e);

	buf_free(&b);
	numbers_free(mask, s->n_w);
	free(gradient);
	pvec_free(grad);
	return ok;
}

double lr_side_penalty(const struct lr_side *s)
{
	double sum = 0;
	size_t j;

	for (j = 0; s->p->optim.l2 && j < s->d->m; j++)
		sum += s->w[j] * s->w[j];
	return 0.5 * s->p->optim.alpha * sum;
}

bool lr_side_epoch(struct lr_side *s, bool *converged, struct err *e)
{
	struct buf b = {0};
	double sum = 0;
	size_t j;
	bool ok;

	for (j = 0; j < s->n_w; j++) {
		sum += s->moved[j] * s->moved[j];
		s->moved[j] = 0;
	}
	wire_put_f64(&b, sum);
	ok = channel_send(s->who->ch, "arbiter", s->who->arbiter, "lr_moved", b.data, b.len, e) &&
	     channel_recv(s->who->ch, "arbiter", s->who->arbiter, "lr_converged", 1, &b, e);
	if (ok && b.len != 1)
		ok = err_set(e, ERR_PEER, "the arbiter's answer has a wrong length");
	*converged = ok && b.data[0] == 1;
	buf_free(&b);
	return ok;
}

bool lr_side_train(struct lr_side *s, lr_batch_fn *fn, struct lr_model *model, struct err *e)
{
	size_t batches = lr_batches(&s->plan), b, from, to;
	bool converged = false;
	int epoch;

	for (epoch = 0; epoch < s->plan.epochs && !converged; epoch++) {
		for (b = 0; b < batches; b++) {
			lr_batch_range(&s->plan, b, &from, &to);
			lr_side_forward(s, from, to);
			if (!fn(s, from, to, epoch, e))
				return false;
		}
		if (!lr_side_epoch(s, &converged, e))
			return false;
		if (s->who->progress != NULL)
			s->who->progress(s->who->arg, epoch, NAN);
	}
	free(model->w);
	model->w = s->w;
	model->n = s->n_w;
	s->w = NULL;
	model->converged = converged;
	model->end_epoch = converged ? epoch - 1 : epoch;
	return true;
}
