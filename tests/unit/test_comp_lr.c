/*
 * Federated logistic regression against a reference of the same algorithm in the clear (same
 * batches, same approximation of the loss), and against exact logistic regression (Newton).
 */
#include "config.h"
#include "comp_parties.h"

#include "base/mem.h"
#include "component/eval.h"
#include "component/lr_common.h"
#include "component/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BITS 512 /* only here: components refuse less than 2048 */

/* The whole table, and which columns each party has. */
struct world {
	size_t n, m;
	double *x, *y, *weight; /* weight may be NULL */
	size_t n_hosts, cut[4]; /* party k (0: guest) has columns cut[k] .. cut[k + 1] */
	struct lr_params p;
	unsigned char hash[32];
};

static void world_free(struct world *w)
{
	free(w->x);
	free(w->y);
	free(w->weight);
}

static void world_make(struct world *w, size_t n, size_t m, size_t n_hosts, uint64_t seed)
{
	struct rng r;
	double z;
	size_t i, j, k;

	memset(w, 0, sizeof *w);
	w->n = n;
	w->m = m;
	w->n_hosts = n_hosts;
	w->x = mem_array(n * m, sizeof *w->x);
	w->y = mem_array(n, sizeof *w->y);
	rng_seed(&r, seed);
	for (i = 0; i < n; i++) {
		z = -0.3;
		for (j = 0; j < m; j++) {
			w->x[i * m + j] = rng_normal(&r);
			z += w->x[i * m + j] * (j % 2 ? 0.7 : -0.5) / (1 + (double)j / 4);
		}
		w->y[i] = rng_unit(&r) < 1 / (1 + exp(-z)) ? 1 : -1;
	}
	for (k = 0; k <= n_hosts + 1; k++)
		w->cut[k] = m * k / (n_hosts + 1);
	w->p = (struct lr_params){
	    .epochs = 12,
	    .early_stop = LR_STOP_DIFF,
	    .tol = 0,
	    .optim = {.method = OPTIM_SGD, .l2 = true, .alpha = 0.01, .lr = 0.8},
	    .schedule = {.method = SCHEDULE_LINEAR,
			 .start_factor = 1,
			 .end_factor = 1,
			 .total_iters = 1},
	    .init = LR_INIT_UNIFORM,
	    .fit_intercept = true,
	    .seeded = true,
	    .seed = 7,
	    .threshold = 0.5,
	    .x_bits = 23,
	    .key_bits = KEY_BITS,
	};
}

/* ---- the reference in the clear ---- */

/* The coefficients of party k start at column cut[k]; the intercept stands at the end. */
static void reference_start(const struct world *w, double *coef)
{
	double *part = mem_array(w->m + 1, sizeof *part);
	size_t k, n;
	struct err e;

	for (k = 0; k <= w->n_hosts; k++) {
		n = w->cut[k + 1] - w->cut[k];
		ck_assert(lr_init_weights(&w->p, n + (k == 0 && w->p.fit_intercept), part, &e));
		memcpy(coef + w->cut[k], part, n * sizeof *part);
		if (k == 0)
			coef[w->m] = w->p.fit_intercept ? part[n] : 0;
	}
	free(part);
}

static double row_z(const struct world *w, const double *coef, size_t i)
{
	double z = coef[w->m];
	size_t j;

	for (j = 0; j < w->m; j++)
		z += w->x[i * w->m + j] * coef[j];
	return z;
}

/* One batch: gradient of the penalised loss into g; returns the sum of the losses. */
static double reference_batch(const struct world *w, const double *coef, size_t from, size_t to,
			      double *g)
{
	double loss = 0, z, d, s, norm = 0, rows = (double)(to - from);
	size_t i, j;

	memset(g, 0, (w->m + 1) * sizeof *g);
	for (i = from; i < to; i++) {
		z = row_z(w, coef, i);
		s = w->weight ? w->weight[i] : 1;
		d = s * (0.25 * z - 0.5 * w->y[i]);
		loss += s * (log(2) - 0.5 * w->y[i] * z + 0.125 * z * z);
		for (j = 0; j < w->m; j++)
			g[j] += d * w->x[i * w->m + j] / rows;
		g[w->m] += d / rows;
	}
	for (j = 0; j < w->m && w->p.optim.l2; j++) {
		g[j] += w->p.optim.alpha * coef[j];
		norm += coef[j] * coef[j];
	}
	return loss + rows * 0.5 * w->p.optim.alpha * norm;
}

/* Trains; loss[epoch] gets the mean loss. */
static void reference(const struct world *w, double *coef, double *loss)
{
	size_t batch = w->p.batch_size ? w->p.batch_size : w->n, from, to, j;
	double *g = mem_array(w->m + 1, sizeof *g), *delta = mem_array(w->m + 1, sizeof *delta);
	struct optim o;
	int epoch;

	reference_start(w, coef);
	optim_init(&o, &w->p.optim, w->m + 1);
	for (epoch = 0; epoch < w->p.epochs; epoch++) {
		loss[epoch] = 0;
		for (from = 0; from < w->n; from += batch) {
			to = from + batch < w->n ? from + batch : w->n;
			loss[epoch] += reference_batch(w, coef, from, to, g);
			optim_step(&o, g, schedule_factor(&w->p.schedule, epoch), delta);
			for (j = 0; j < w->m + w->p.fit_intercept; j++)
				coef[j] -= delta[j];
		}
		loss[epoch] /= (double)w->n;
	}
	optim_free(&o);
	free(g);
	free(delta);
}

/* Solve the symmetric positive system a x = b of size n in place (Gauss). */
static void solve(double *a, double *b, size_t n)
{
	size_t i, j, k;
	double f;

	for (i = 0; i < n; i++) {
		for (k = i + 1; k < n; k++) {
			f = a[k * n + i] / a[i * n + i];
			for (j = i; j < n; j++)
				a[k * n + j] -= f * a[i * n + j];
			b[k] -= f * b[i];
		}
	}
	for (i = n; i-- > 0;) {
		for (j = i + 1; j < n; j++)
			b[i] -= a[i * n + j] * b[j];
		b[i] /= a[i * n + i];
	}
}

/* Exact logistic regression with the same penalty, by Newton's method. */
static void exact(const struct world *w, double *coef)
{
	size_t n = w->m + 1, i, j, k;
	double *h = mem_array(n * n, sizeof *h), *g = mem_array(n, sizeof *g), p, xj, xk;
	int round;

	memset(coef, 0, n * sizeof *coef);
	for (round = 0; round < 30; round++) {
		memset(h, 0, n * n * sizeof *h);
		memset(g, 0, n * sizeof *g);
		for (i = 0; i < w->n; i++) {
			p = 1 / (1 + exp(-row_z(w, coef, i)));
			for (j = 0; j < n; j++) {
				xj = j < w->m ? w->x[i * w->m + j] : 1;
				g[j] += (p - (w->y[i] > 0)) * xj / (double)w->n;
				for (k = 0; k < n; k++) {
					xk = k < w->m ? w->x[i * w->m + k] : 1;
					h[j * n + k] += p * (1 - p) * xj * xk / (double)w->n;
				}
			}
		}
		for (j = 0; j < w->m; j++) {
			g[j] += w->p.optim.alpha * coef[j];
			h[j * n + j] += w->p.optim.alpha;
		}
		solve(h, g, n);
		for (j = 0; j < n; j++)
			coef[j] -= g[j];
	}
	free(h);
	free(g);
}

static double auc_of(const struct world *w, const double *coef)
{
	double *z = mem_array(w->n, sizeof *z), auc;
	struct eval_curve c;
	struct err e;
	size_t i;

	for (i = 0; i < w->n; i++)
		z[i] = row_z(w, coef, i);
	ck_assert(eval_curve_make(z, w->y, w->n, &c, &e));
	auc = eval_auc(&c);
	eval_curve_free(&c);
	free(z);
	return auc;
}

/* ---- the federated run ---- */

static const char *const host_names[] = {"h1", "h2"};

struct member {
	const struct world *w;
	size_t k; /* 0: guest, 1..: hosts, beyond: arbiter */
	struct lr_data d;
	double *x;
	struct lr_model model;
	double *score; /* guest */
	double loss[64];
};

static void note_loss(void *arg, int epoch, double loss)
{
	struct member *m = arg;

	if (!isnan(loss))
		m->loss[epoch] = loss;
}

static bool run_member(struct party *self)
{
	struct member *m = self->arg;
	const struct world *w = m->w;
	struct lr_party who = {.ch = self->ch,
			       .guest = "g",
			       .arbiter = "a",
			       .hosts = host_names,
			       .n_hosts = w->n_hosts,
			       .threads = 2,
			       .progress = note_loss,
			       .arg = m};

	if (m->k > w->n_hosts)
		return lr_train_arbiter(&who, &w->p, &m->model, &self->e);
	if (m->k > 0)
		return lr_train_host(&who, &w->p, &m->d, &m->model, &self->e) &&
		       lr_predict_host(&who, &m->d, &m->model, &self->e);
	m->score = mem_array(w->n, sizeof *m->score);
	return lr_train_guest(&who, &w->p, &m->d, &m->model, &self->e) &&
	       lr_predict_guest(&who, &m->d, &m->model, w->p.fit_intercept, m->score, &self->e);
}

static void member_init(struct member *m, const struct world *w, size_t k)
{
	size_t i, n;

	memset(m, 0, sizeof *m);
	m->w = w;
	m->k = k;
	if (k > w->n_hosts)
		return;
	n = w->cut[k + 1] - w->cut[k];
	m->x = mem_array(w->n * n, sizeof *m->x);
	for (i = 0; i < w->n; i++)
		memcpy(m->x + i * n, w->x + i * w->m + w->cut[k], n * sizeof *m->x);
	m->d = (struct lr_data){.n = w->n, .m = n, .x = m->x, .ids_hash = w->hash};
	if (k == 0) {
		m->d.y = w->y;
		m->d.weight = w->weight;
	}
}

static void member_free(struct member *m)
{
	free(m->x);
	free(m->score);
	lr_model_free(&m->model);
}

/* members: guest, hosts, arbiter. */
static bool federated(const struct world *w, struct member *members, struct err *e)
{
	struct party p[4];
	size_t n = w->n_hosts + 2, k;
	bool ok;

	memset(p, 0, sizeof p);
	for (k = 0; k < n; k++) {
		p[k].role = k == 0 ? "guest" : k + 1 == n ? "arbiter" : "host";
		p[k].id = k == 0 ? "g" : k + 1 == n ? "a" : host_names[k - 1];
		p[k].run = run_member;
		p[k].arg = &members[k];
	}
	ok = parties_run(p, n);
	for (k = 0; k < n && !ok; k++)
		if (!p[k].ok && p[k].e.code != ERR_PEER)
			*e = p[k].e;
	return ok;
}

static void collect(const struct world *w, const struct member *members, double *coef)
{
	size_t k, n;

	for (k = 0; k <= w->n_hosts; k++) {
		n = w->cut[k + 1] - w->cut[k];
		memcpy(coef + w->cut[k], members[k].model.w, n * sizeof *coef);
		if (k == 0)
			coef[w->m] = w->p.fit_intercept ? members[k].model.w[n] : 0;
	}
}

/* Train both ways and compare coefficients, losses and scores. */
static void compare(const struct world *w)
{
	struct member members[4];
	double *want = mem_array(w->m + 1, sizeof *want), *got = mem_array(w->m + 1, sizeof *got);
	double loss[64];
	struct err e = {0};
	size_t k, j, i;
	int epoch;

	for (k = 0; k < w->n_hosts + 2; k++)
		member_init(&members[k], w, k);
	ck_assert_msg(federated(w, members, &e), "%s", e.msg);
	reference(w, want, loss);
	collect(w, members, got);
	for (j = 0; j <= w->m; j++)
		ck_assert_double_eq_tol(got[j], want[j], 1e-5);
	for (epoch = 0; epoch < w->p.epochs; epoch++)
		ck_assert_double_eq_tol(members[w->n_hosts + 1].loss[epoch], loss[epoch], 1e-5);
	ck_assert(loss[w->p.epochs - 1] < loss[0]);
	for (i = 0; i < w->n; i++)
		ck_assert_double_eq_tol(members[0].score[i], 1 / (1 + exp(-row_z(w, got, i))),
					1e-12);
	for (k = 0; k < w->n_hosts + 2; k++) {
		ck_assert_int_eq(members[k].model.end_epoch, w->p.epochs);
		ck_assert(!members[k].model.converged);
		member_free(&members[k]);
	}
	free(want);
	free(got);
}

START_TEST(full_batch_as_in_the_clear)
{
	struct world w;

	world_make(&w, 60, 6, 1, 1);
	compare(&w);
	world_free(&w);
}
END_TEST

START_TEST(mini_batches_as_in_the_clear)
{
	struct world w;

	world_make(&w, 53, 5, 1, 2);
	w.p.batch_size = 20; /* the last batch is short */
	w.p.epochs = 5;
	compare(&w);
	world_free(&w);
}
END_TEST

START_TEST(two_hosts_as_in_the_clear)
{
	struct world w;

	world_make(&w, 40, 7, 2, 3);
	w.p.epochs = 6;
	w.p.fit_intercept = false;
	w.p.optim.l2 = false;
	compare(&w);
	world_free(&w);
}
END_TEST

START_TEST(weights_and_adam_as_in_the_clear)
{
	struct world w;
	size_t i;

	world_make(&w, 40, 4, 1, 4);
	w.weight = mem_array(w.n, sizeof *w.weight);
	for (i = 0; i < w.n; i++)
		w.weight[i] = (double)(i % 5) / 2;
	w.p.optim = (struct optim_params){.method = OPTIM_ADAM,
					  .l2 = true,
					  .alpha = 0.05,
					  .lr = 0.1,
					  .beta1 = 0.9,
					  .beta2 = 0.999,
					  .eps = 1e-8};
	w.p.schedule =
	    (struct schedule_params){.method = SCHEDULE_STEP, .step_size = 2, .gamma = 0.5};
	w.p.epochs = 6;
	w.p.init = LR_INIT_ZEROS;
	compare(&w);
	world_free(&w);
}
END_TEST

START_TEST(as_good_as_exact_regression)
{
	struct world w;
	struct member members[3];
	double *got, *want;
	struct err e = {0};
	size_t k;

	world_make(&w, 300, 8, 1, 5);
	w.p.epochs = 40;
	w.p.optim.lr = 2;
	got = mem_array(w.m + 1, sizeof *got);
	want = mem_array(w.m + 1, sizeof *want);
	for (k = 0; k < 3; k++)
		member_init(&members[k], &w, k);
	ck_assert_msg(federated(&w, members, &e), "%s", e.msg);
	collect(&w, members, got);
	exact(&w, want);
	ck_assert_double_ge(auc_of(&w, want), 0.65);
	ck_assert_double_eq_tol(auc_of(&w, got), auc_of(&w, want), 0.005);
	for (k = 0; k < 3; k++)
		member_free(&members[k]);
	free(got);
	free(want);
	world_free(&w);
}
END_TEST

/* The first epoch in which training would stop by the reference's losses. */
START_TEST(stops_when_the_loss_settles)
{
	struct world w;
	struct member members[3];
	double *coef, loss[64];
	struct err e = {0};
	int epoch;
	size_t k;

	world_make(&w, 50, 4, 1, 6);
	w.p.epochs = 30;
	coef = mem_array(w.m + 1, sizeof *coef);
	reference(&w, coef, loss);
	w.p.tol = 0.002;
	for (epoch = 1; epoch < 30 && fabs(loss[epoch] - loss[epoch - 1]) >= w.p.tol; epoch++)
		;
	ck_assert_int_gt(epoch, 1);
	ck_assert_int_lt(epoch, 30);
	for (k = 0; k < 3; k++)
		member_init(&members[k], &w, k);
	ck_assert_msg(federated(&w, members, &e), "%s", e.msg);
	for (k = 0; k < 3; k++) {
		ck_assert(members[k].model.converged);
		ck_assert_int_eq(members[k].model.end_epoch, epoch);
		member_free(&members[k]);
	}
	free(coef);
	world_free(&w);
}
END_TEST

START_TEST(stops_when_the_steps_are_short)
{
	struct world w;
	struct member members[3];
	struct err e = {0};
	size_t k;

	world_make(&w, 30, 4, 1, 8);
	w.p.early_stop = LR_STOP_WEIGHT_DIFF;
	w.p.tol = 1e6; /* any step is short enough */
	for (k = 0; k < 3; k++)
		member_init(&members[k], &w, k);
	ck_assert_msg(federated(&w, members, &e), "%s", e.msg);
	for (k = 0; k < 3; k++) {
		ck_assert(members[k].model.converged);
		ck_assert_int_eq(members[k].model.end_epoch, 0);
		member_free(&members[k]);
	}
	world_free(&w);
}
END_TEST

/* Each of these must end with an error at every party, and the one with the words. */
static void check_fails(struct world *w, struct member *members, const char *words)
{
	struct err e = {0};
	size_t k;

	ck_assert(!federated(w, members, &e));
	ck_assert_msg(strstr(e.msg, words) != NULL, "got: %s", e.msg);
	for (k = 0; k < w->n_hosts + 2; k++)
		member_free(&members[k]);
	world_free(w);
}

START_TEST(rows_must_be_aligned)
{
	static const unsigned char other[32] = {1};
	struct world w;
	struct member members[3];
	size_t k;

	world_make(&w, 20, 4, 1, 9);
	for (k = 0; k < 3; k++)
		member_init(&members[k], &w, k);
	members[1].d.ids_hash = other;
	check_fails(&w, members, "run psi first");
}
END_TEST

START_TEST(row_counts_must_agree)
{
	struct world w;
	struct member members[3];
	size_t k;

	world_make(&w, 20, 4, 1, 9);
	for (k = 0; k < 3; k++)
		member_init(&members[k], &w, k);
	members[1].d.n = 19;
	check_fails(&w, members, "run psi first");
}
END_TEST

START_TEST(parameters_must_agree)
{
	struct world w, v;
	struct member members[3];
	size_t k;

	world_make(&w, 20, 4, 1, 9);
	v = w;
	v.p.epochs = 3;
	for (k = 0; k < 3; k++)
		member_init(&members[k], k == 1 ? &v : &w, k);
	check_fails(&w, members, "different values for epochs");
}
END_TEST

START_TEST(divergence_is_said)
{
	struct world w;
	struct member members[3];
	size_t k;

	world_make(&w, 20, 4, 1, 9);
	w.p.optim.lr = 1e12;
	for (k = 0; k < 3; k++)
		member_init(&members[k], &w, k);
	check_fails(&w, members, "diverges");
}
END_TEST

/* ---- optimizers and schedules ---- */

static void check_steps(const struct optim_params *p, const double *gradients, size_t n,
			const double *want)
{
	struct optim o;
	double delta;
	size_t i;

	optim_init(&o, p, 1);
	for (i = 0; i < n; i++) {
		optim_step(&o, &gradients[i], 1, &delta);
		ck_assert_double_eq_tol(delta, want[i], 1e-9);
	}
	optim_free(&o);
}

START_TEST(optimizers_by_hand)
{
	static const double g[] = {1, -2};
	static const double sgd[] = {0.1, -0.2}, momentum[] = {0.1, -0.11},
			    nesterov[] = {0.19, -0.299};
	/* adam: m = 0.1, v = 0.001 after the first; -0.11, 0.004999 after the second step */
	const double adam[] = {0.1, 0.1 * (-0.11 / 0.19) / sqrt(0.004999 / 0.001999)};
	const double adagrad[] = {0.1, 0.1 * -2 / sqrt(5)};
	const double rmsprop[] = {0.1 / sqrt(0.01), 0.1 * -2 / sqrt(0.0499)};

	check_steps(&(struct optim_params){.method = OPTIM_SGD, .lr = 0.1}, g, 2, sgd);
	check_steps(&(struct optim_params){.method = OPTIM_SGD, .lr = 0.1, .momentum = 0.9}, g, 2,
		    momentum);
	check_steps(
	    &(struct optim_params){
		.method = OPTIM_SGD, .lr = 0.1, .momentum = 0.9, .nesterov = true},
	    g, 2, nesterov);
	check_steps(
	    &(struct optim_params){.method = OPTIM_ADAM, .lr = 0.1, .beta1 = 0.9, .beta2 = 0.999},
	    g, 2, adam);
	check_steps(&(struct optim_params){.method = OPTIM_ADAGRAD, .lr = 0.1}, g, 2, adagrad);
	check_steps(&(struct optim_params){.method = OPTIM_RMSPROP, .lr = 0.1, .decay = 0.99}, g, 2,
		    rmsprop);
}
END_TEST

START_TEST(schedules_by_hand)
{
	struct schedule_params p = {
	    .method = SCHEDULE_LINEAR, .start_factor = 0.5, .end_factor = 1, .total_iters = 4};

	ck_assert_double_eq(schedule_factor(&p, 0), 0.5);
	ck_assert_double_eq(schedule_factor(&p, 2), 0.75);
	ck_assert_double_eq(schedule_factor(&p, 4), 1);
	ck_assert_double_eq(schedule_factor(&p, 400), 1);
	p = (struct schedule_params){.method = SCHEDULE_CONSTANT, .factor = 0.25, .total_iters = 2};
	ck_assert_double_eq(schedule_factor(&p, 1), 0.25);
	ck_assert_double_eq(schedule_factor(&p, 2), 1);
	p = (struct schedule_params){.method = SCHEDULE_STEP, .step_size = 2, .gamma = 0.5};
	ck_assert_double_eq(schedule_factor(&p, 1), 1);
	ck_assert_double_eq(schedule_factor(&p, 5), 0.25);
}
END_TEST

static bool optim_text(const char *text, struct optim_params *p, struct err *e)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
	bool ok;

	ck_assert_ptr_nonnull(v);
	ok = optim_parse(v, p, e);
	json_decref(v);
	return ok;
}

START_TEST(optimizer_parameters)
{
	static const char *const bad[] = {
	    "{\"method\":\"rprop\"}",
	    "{\"penalty\":\"l1\"}",
	    "{\"alpha\":-1}",
	    "{\"speed\":1}",
	    "{\"optimizer_params\":{\"lr\":\"fast\"}}",
	    "{\"optimizer_params\":{\"weight_decay\":0.1}}",
	    "{\"optimizer_params\":{\"betas\":[0.9,0.9]}}",
	    "{\"method\":\"adam\",\"optimizer_params\":{\"betas\":[0.9]}}",
	    "{\"method\":\"adam\",\"optimizer_params\":{\"betas\":[0.9,1]}}",
	    "{\"optimizer_params\":{\"nesterov\":true}}",
	    "[]",
	};
	struct optim_params p;
	struct err e;
	size_t i;

	ck_assert(optim_text("null", &p, &e));
	ck_assert(p.method == OPTIM_SGD && p.l2);
	ck_assert_double_eq(p.lr, 0.01);
	ck_assert(optim_text("{\"method\":\"SGD\",\"penalty\":\"None\",\"optimizer_params\":"
			     "{\"lr\":0.5,\"weight_decay\":0}}",
			     &p, &e));
	ck_assert(!p.l2);
	ck_assert_double_eq(p.lr, 0.5);
	ck_assert(optim_text("{\"method\":\"adam\"}", &p, &e));
	ck_assert_double_eq(p.beta2, 0.999);
	for (i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!optim_text(bad[i], &p, &e), "%s", bad[i]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("comp_lr");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 300);
	tcase_add_test(t, full_batch_as_in_the_clear);
	tcase_add_test(t, mini_batches_as_in_the_clear);
	tcase_add_test(t, two_hosts_as_in_the_clear);
	tcase_add_test(t, weights_and_adam_as_in_the_clear);
	tcase_add_test(t, as_good_as_exact_regression);
	tcase_add_test(t, stops_when_the_loss_settles);
	tcase_add_test(t, stops_when_the_steps_are_short);
	tcase_add_test(t, rows_must_be_aligned);
	tcase_add_test(t, row_counts_must_agree);
	tcase_add_test(t, parameters_must_agree);
	tcase_add_test(t, divergence_is_said);
	tcase_add_test(t, optimizers_by_hand);
	tcase_add_test(t, schedules_by_hand);
	tcase_add_test(t, optimizer_parameters);
	suite_add_tcase(s, t);
	return run_suite(s);
}
