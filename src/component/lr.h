/*
 * Coordinated (vertical, with an arbiter) logistic regression: one guest, who has the label and
 * some features, any number of hosts with other features of the same rows, and an arbiter, who
 * holds the Paillier key and sees no data.
 *
 * The loss is FATE's second-order approximation for y in {-1, 1} and z = x w, per row
 *
 *	log 2 - y z / 2 + z^2 / 8	with the derivative d = z / 4 - y / 2 in z.
 *
 * One batch of n rows; [v] is an encryption, u_p party p's part of z, w_i the row weights (or 1):
 *
 *	host -> guest		[u_h / 4]
 *	guest -> hosts		[d], d = w_i (sum of u / 4 - y / 2), with fresh randomness
 *	host -> guest		[u_h d / 2 + n penalty_h]: its share of the loss
 *	party -> arbiter	[sum x d + mask], mask uniform modulo the key
 *	guest -> arbiter	[loss] = [sum over parties of u d / 2 - y d + w (log 2 - 1/2) +
 *penalties] arbiter -> party	sum x d + mask, from which the party takes its mask
 *
 * and each party steps its own coefficients with its gradient (sum x d) / n + alpha w. (The loss
 * follows from z^2 / 8 - y z / 2 = z d / 2 - y z / 4 and z = 4 d + 2 y.) At the end of an epoch
 * the parties send the arbiter the squared length of their step, and the arbiter tells whether
 * training has converged.
 *
 * Against parties that follow the protocol: the arbiter learns the loss of each batch and the
 * length of the steps; of the gradients it sees only values masked uniformly. Guest and hosts learn
 * their own gradients, and in prediction the guest learns each host's part of z, as in FATE. The
 * guest adds fresh randomness to [d]: without it a host could divide its own ciphertext out
 * and read the guest's residuals.
 */
#ifndef NORN_COMPONENT_LR_H
#define NORN_COMPONENT_LR_H

#include "component/channel.h"
#include "component/optim.h"

enum lr_stop { LR_STOP_WEIGHT_DIFF, LR_STOP_DIFF, LR_STOP_ABS };
enum lr_init { LR_INIT_ZEROS, LR_INIT_ONES, LR_INIT_CONSTS, LR_INIT_RANDOM, LR_INIT_UNIFORM };

struct lr_params {
	int epochs;
	size_t batch_size; /* rows; 0: all */
	enum lr_stop early_stop;
	double tol;
	struct optim_params optim;
	struct schedule_params schedule;
	enum lr_init init;
	double fill_val;
	bool fit_intercept;
	bool seeded;
	uint64_t seed;
	double threshold; /* of predict_result */
	int x_bits;       /* fractional bits of features (floating_point_precision) */
	int key_bits;
};

/* Who talks to whom, and who watches. */
struct lr_party {
	struct channel *ch;
	const char *guest, *arbiter;
	const char *const *hosts;
	size_t n_hosts;
	unsigned threads;
	/* Called after each epoch; loss is NaN except at the arbiter. May be NULL. */
	void (*progress)(void *arg, int epoch, double loss);
	void *arg;
};

/* One party's part of the rows. */
struct lr_data {
	size_t n, m;                   /* rows, own features */
	const double *x;               /* n * m, row after row */
	const double *y;               /* guest: -1 or 1 */
	const double *weight;          /* guest: row weights, or NULL */
	const unsigned char *ids_hash; /* 32 bytes over the sample ids: rows must be aligned */
};

/* What training gives. w holds m coefficients and, when fit_intercept, the intercept last. */
struct lr_model {
	double *w; /* NULL before: initial values are drawn; else they are the start (warm start) */
	size_t n;
	int end_epoch;
	bool converged;
};

MUST_CHECK bool lr_train_guest(const struct lr_party *who, const struct lr_params *p,
			       const struct lr_data *d, struct lr_model *model, struct err *e);
MUST_CHECK bool lr_train_host(const struct lr_party *who, const struct lr_params *p,
			      const struct lr_data *d, struct lr_model *model, struct err *e);
MUST_CHECK bool lr_train_arbiter(const struct lr_party *who, const struct lr_params *p,
				 struct lr_model *model, struct err *e);

/* score[i]: probability of y = 1. The model includes the intercept as in training. */
MUST_CHECK bool lr_predict_guest(const struct lr_party *who, const struct lr_data *d,
				 const struct lr_model *model, bool intercept, double *score,
				 struct err *e);
MUST_CHECK bool lr_predict_host(const struct lr_party *who, const struct lr_data *d,
				const struct lr_model *model, struct err *e);

/* First coefficients; n counts the intercept. */
MUST_CHECK bool lr_init_weights(const struct lr_params *p, size_t n, double *w, struct err *e);
void lr_model_free(struct lr_model *m);

#endif
