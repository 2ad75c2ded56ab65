/* What the three roles of coordinated_lr share. */
#ifndef NORN_COMPONENT_LR_COMMON_H
#define NORN_COMPONENT_LR_COMMON_H

#include "component/lr.h"
#include "component/pvec.h"

#define LR_HASH_BYTES  32
#define LR_D_BITS      40  /* fractional bits of residuals */
#define LR_WEIGHT_BITS 20  /* fractional bits of row weights */
#define LR_W_MAX       1e8 /* larger coefficients mean divergence */

/* How the rows are cut; made by the guest, the same at all parties. */
struct lr_plan {
	size_t n, batch;
	bool weighted;
	int epochs, x_bits, key_bits;
	double tol;
	enum lr_stop early_stop;
	unsigned char ids_hash[LR_HASH_BYTES];
};

size_t lr_batches(const struct lr_plan *plan);
void lr_batch_range(const struct lr_plan *plan, size_t b, size_t *from, size_t *to);
/* Scale of residuals, and of products of residuals and features. */
int lr_d_exp(const struct lr_plan *plan);
int lr_g_exp(const struct lr_plan *plan);

MUST_CHECK bool lr_send_plan(const struct lr_party *who, const char *role, const char *party,
			     const struct lr_plan *plan, struct err *e);
/* Receives the guest's plan and compares it with this party's parameters and rows (d may be NULL).
 */
MUST_CHECK bool lr_recv_plan(const struct lr_party *who, const struct lr_params *p,
			     const struct lr_data *d, struct lr_plan *plan, struct err *e);

MUST_CHECK bool lr_send_key(const struct lr_party *who, const char *role, const char *party,
			    const struct paillier_pub *k, struct err *e);
MUST_CHECK struct paillier_pub *lr_recv_key(const struct lr_party *who, const struct lr_params *p,
					    struct err *e);

MUST_CHECK bool lr_send_vec(const struct lr_party *who, const char *role, const char *party,
			    const char *tag, const struct paillier_pub *k, const struct pvec *v,
			    struct err *e);
MUST_CHECK bool lr_recv_vec(const struct lr_party *who, const char *role, const char *party,
			    const char *tag, const struct paillier_pub *k, size_t n, int exp,
			    struct pvec *v, struct err *e);

/* The state of a guest or host during training. */
struct lr_side {
	const struct lr_party *who;
	const struct lr_params *p;
	const struct lr_data *d;
	struct lr_plan plan;
	struct paillier_pub *key;
	struct optim optim;
	double *w;  /* d->m, plus the intercept */
	size_t n_w; /* coefficients including the intercept */
	bool intercept;
	double *u;      /* x w of the rows of the batch */
	double *matrix; /* features of the batch, the intercept's ones, and one more column */
	double *moved;  /* sum of the steps of the epoch */
};

MUST_CHECK bool lr_side_begin(struct lr_side *s, const struct lr_model *model, bool intercept,
			      struct err *e);
void lr_side_end(struct lr_side *s);
/* u of rows from..to */
void lr_side_forward(struct lr_side *s, size_t from, size_t to);
/*
 * [x d] and [extra d] with extra[i] for each row: fills grad (n_w numbers) and last (one).
 */
MUST_CHECK bool lr_side_backward(struct lr_side *s, const struct pvec *d, size_t from, size_t to,
				 const double *extra, struct pvec *grad, struct pvec *last,
				 struct err *e);
/* Exchange the masked gradient with the arbiter and step the coefficients. Frees grad. */
MUST_CHECK bool lr_side_step(struct lr_side *s, struct pvec *grad, size_t rows, int epoch,
			     struct err *e);
/* alpha / 2 |w|^2 without the intercept */
double lr_side_penalty(const struct lr_side *s);
/* End of epoch: report the step, learn whether to stop. */
MUST_CHECK bool lr_side_epoch(struct lr_side *s, bool *converged, struct err *e);
/* Runs the epochs with the given batch function and fills the model. */
typedef bool lr_batch_fn(struct lr_side *s, size_t from, size_t to, int epoch, struct err *e);
MUST_CHECK bool lr_side_train(struct lr_side *s, lr_batch_fn *fn, struct lr_model *model,
			      struct err *e);

#endif
