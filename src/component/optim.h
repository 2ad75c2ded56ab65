/*
 * Optimizers and learning-rate schedules with the names, parameters and formulas of torch.optim, as
 * FATE uses them. All work element by element, so every party steps its own coefficients.
 */
#ifndef NORN_COMPONENT_OPTIM_H
#define NORN_COMPONENT_OPTIM_H

#include "base/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum optim_method { OPTIM_SGD, OPTIM_ADAM, OPTIM_ADAGRAD, OPTIM_RMSPROP };

struct optim_params {
	enum optim_method method;
	bool l2;
	double alpha; /* strength of the L2 penalty */
	double lr;
	double momentum, dampening; /* sgd; momentum also rmsprop */
	bool nesterov;              /* sgd */
	double beta1, beta2;        /* adam */
	double decay;               /* adagrad lr_decay; rmsprop alpha */
	double initial;             /* adagrad initial_accumulator_value */
	double eps;
};

enum schedule_method { SCHEDULE_CONSTANT, SCHEDULE_LINEAR, SCHEDULE_STEP };

struct schedule_params {
	enum schedule_method method;
	double factor;                   /* constant */
	double start_factor, end_factor; /* linear */
	int total_iters;                 /* constant, linear: epochs */
	int step_size;                   /* step: epochs */
	double gamma;
};

/* From the parameters `optimizer` and `learning_rate_scheduler`, which may be null (defaults). */
MUST_CHECK bool optim_parse(const json_t *v, struct optim_params *p, struct err *e);
MUST_CHECK bool schedule_parse(const json_t *v, struct schedule_params *p, struct err *e);

/* What the learning rate is multiplied with in an epoch (from 0). */
double schedule_factor(const struct schedule_params *p, int epoch);

struct optim {
	struct optim_params p;
	size_t n;
	double *a, *b; /* running averages, by method */
	long steps;
};

void optim_init(struct optim *o, const struct optim_params *p, size_t n);
void optim_free(struct optim *o);
/* delta[i]: what to subtract from coefficient i. factor: schedule_factor(). */
void optim_step(struct optim *o, const double *gradient, double factor, double *delta);

#endif
