#include "config.h"

#include "component/optim.h"

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "component/task.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BIG 1e12

static const struct norn_param optim_keys[] = {
    {"method", NORN_P_STR, "\"sgd\"", 0, 0, "sgd|adam|adagrad|rmsprop", 0, NULL},
    {"penalty", NORN_P_STR, "\"l2\"", 0, 0, "l2|none", 0, NULL},
    {"alpha", NORN_P_NUM, "1.0", 0, BIG, NULL, 0, NULL},
    {"optimizer_params", NORN_P_MAP, "null", 0, 0, NULL, 0, NULL},
};

#define LR(def)                                                                                    \
	{                                                                                          \
		"lr", NORN_P_NUM, def, 0, BIG, NULL, 0, NULL                                       \
	}
#define DECAY                                                                                      \
	{                                                                                          \
		"weight_decay", NORN_P_NUM, "0", 0, BIG, NULL, 0, NULL                             \
	}
#define EPS(def)                                                                                   \
	{                                                                                          \
		"eps", NORN_P_NUM, def, 0, 1, NULL, 0, NULL                                        \
	}
static const struct norn_param sgd_keys[] = {
    LR("0.01"),
    DECAY,
    {"momentum", NORN_P_NUM, "0", 0, 1, NULL, 0, NULL},
    {"dampening", NORN_P_NUM, "0", 0, 1, NULL, 0, NULL},
    {"nesterov", NORN_P_BOOL, "false", 0, 0, NULL, 0, NULL},
};
static const struct norn_param adam_keys[] = {
    LR("0.001"),
    DECAY,
    EPS("1e-8"),
    {"betas", NORN_P_LIST, "[0.9, 0.999]", 0, 0, NULL, 0, NULL},
};
static const struct norn_param adagrad_keys[] = {
    LR("0.01"),
    DECAY,
    EPS("1e-10"),
    {"lr_decay", NORN_P_NUM, "0", 0, BIG, NULL, 0, NULL},
    {"initial_accumulator_value", NORN_P_NUM, "0", 0, BIG, NULL, 0, NULL},
};
static const struct norn_param rmsprop_keys[] = {
    LR("0.01"),
    DECAY,
    EPS("1e-8"),
    {"alpha", NORN_P_NUM, "0.99", 0, 1, NULL, 0, NULL},
    {"momentum", NORN_P_NUM, "0", 0, 1, NULL, 0, NULL},
};

static const struct {
	const char *name;
	const struct norn_param *keys;
	size_t n;
} methods[] = {
    [OPTIM_SGD] = {"sgd", sgd_keys, ARRAY_LEN(sgd_keys)},
    [OPTIM_ADAM] = {"adam", adam_keys, ARRAY_LEN(adam_keys)},
    [OPTIM_ADAGRAD] = {"adagrad", adagrad_keys, ARRAY_LEN(adagrad_keys)},
    [OPTIM_RMSPROP] = {"rmsprop", rmsprop_keys, ARRAY_LEN(rmsprop_keys)},
};

static bool fill_optim(struct optim_params *p, const json_t *v, struct err *e)
{
	const json_t *betas = json_object_get(v, "betas");

	if (js_num(v, "weight_decay", 0) > 0)
		return err_set(e, ERR_JOB_PARAMS,
			       "optimizer.optimizer_params.weight_decay is not supported: use "
			       "penalty and alpha");
	p->lr = js_num(v, "lr", 0);
	p->momentum = js_num(v, "momentum", 0);
	p->dampening = js_num(v, "dampening", 0);
	p->nesterov = js_bool(v, "nesterov", false);
	p->eps = js_num(v, "eps", 0);
	p->initial = js_num(v, "initial_accumulator_value", 0);
	p->decay = p->method == OPTIM_RMSPROP ? js_num(v, "alpha", 0) : js_num(v, "lr_decay", 0);
	if (p->nesterov && (p->momentum <= 0 || p->dampening > 0))
		return err_set(e, ERR_JOB_PARAMS,
			       "optimizer.optimizer_params.nesterov needs a "
			       "momentum and no dampening");
	if (betas == NULL)
		return true;
	p->beta1 = json_number_value(json_array_get(betas, 0));
	p->beta2 = json_number_value(json_array_get(betas, 1));
	if (json_array_size(betas) != 2 || p->beta1 < 0 || p->beta1 >= 1 || p->beta2 < 0 ||
	    p->beta2 >= 1)
		return err_set(e, ERR_JOB_PARAMS,
			       "optimizer.optimizer_params.betas must be two "
			       "numbers from 0 to below 1");
	return true;
}

bool optim_parse(const json_t *given, struct optim_params *p, struct err *e)
{
	json_t *v = params_check_map(optim_keys, ARRAY_LEN(optim_keys), given, "optimizer", e);
	json_t *inner = NULL;
	size_t i;
	bool ok;

	memset(p, 0, sizeof *p);
	if (v == NULL)
		return false;
	for (i = 0; i < ARRAY_LEN(methods); i++)
		if (str_eq(methods[i].name, js_str(v, "method", "")))
			p->method = (enum optim_method)i;
	p->l2 = str_eq(js_str(v, "penalty", ""), "l2");
	p->alpha = js_num(v, "alpha", 1);
	inner = params_check_map(methods[p->method].keys, methods[p->method].n,
				 json_object_get(v, "optimizer_params"),
				 "optimizer.optimizer_params", e);
	ok = inner != NULL && fill_optim(p, inner, e);
	json_decref(inner);
	json_decref(v);
	return ok;
}

static const struct norn_param schedule_keys[] = {
    {"method", NORN_P_STR, "\"linear\"", 0, 0, "constant|linear|step", 0, NULL},
    {"scheduler_params", NORN_P_MAP, "null", 0, 0, NULL, 0, NULL},
};
static const struct norn_param constant_keys[] = {
    {"factor", NORN_P_NUM, "0.3333333333333333", 0, 1, NULL, 0, NULL},
    {"total_iters", NORN_P_INT, "5", 0, 1e6, NULL, 0, NULL},
};
static const struct norn_param linear_keys[] = {
    {"start_factor", NORN_P_NUM, "0.3333333333333333", 0, 1, NULL, 0, NULL},
    {"end_factor", NORN_P_NUM, "1.0", 0, 1, NULL, 0, NULL},
    {"total_iters", NORN_P_INT, "5", 1, 1e6, NULL, 0, NULL},
};
static const struct norn_param step_keys[] = {
    {"step_size", NORN_P_INT, NULL, 1, 1e6, NULL, 0, NULL},
    {"gamma", NORN_P_NUM, "0.1", 0, 1e6, NULL, 0, NULL},
};

bool schedule_parse(const json_t *given, struct schedule_params *p, struct err *e)
{
	static const char *const where = "learning_rate_scheduler.scheduler_params";
	json_t *v, *params, *inner;
	const char *method;

	memset(p, 0, sizeof *p);
	if (given == NULL || json_is_null(given)) {
		p->method = SCHEDULE_LINEAR;
		p->start_factor = p->end_factor = 1;
		p->total_iters = 1;
		return true;
	}
	v = params_check_map(schedule_keys, ARRAY_LEN(schedule_keys), given,
			     "learning_rate_scheduler", e);
	if (v == NULL)
		return false;
	method = js_str(v, "method", "");
	params = json_object_get(v, "scheduler_params");
	if (str_eq(method, "constant")) {
		p->method = SCHEDULE_CONSTANT;
		inner = params_check_map(constant_keys, ARRAY_LEN(constant_keys), params, where, e);
	} else if (str_eq(method, "step")) {
		p->method = SCHEDULE_STEP;
		inner = params_check_map(step_keys, ARRAY_LEN(step_keys), params, where, e);
	} else {
		p->method = SCHEDULE_LINEAR;
		inner = params_check_map(linear_keys, ARRAY_LEN(linear_keys), params, where, e);
	}
	json_decref(v);
	if (inner == NULL)
		return false;
	p->factor = js_num(inner, "factor", 0);
	p->start_factor = js_num(inner, "start_factor", 0);
	p->end_factor = js_num(inner, "end_factor", 0);
	p->total_iters = (int)js_int(inner, "total_iters", 0);
	p->step_size = (int)js_int(inner, "step_size", 1);
	p->gamma = js_num(inner, "gamma", 0);
	json_decref(inner);
	return true;
}

double schedule_factor(const struct schedule_params *p, int epoch)
{
	double part;

	switch (p->method) {
	case SCHEDULE_CONSTANT:
		return epoch < p->total_iters ? p->factor : 1;
	case SCHEDULE_STEP:
		return pow(p->gamma, epoch / p->step_size);
	case SCHEDULE_LINEAR:
		break;
	}
	part = epoch < p->total_iters ? (double)epoch / p->total_iters : 1;
	return p->start_factor + (p->end_factor - p->start_factor) * part;
}

void optim_init(struct optim *o, const struct optim_params *p, size_t n)
{
	size_t i;

	memset(o, 0, sizeof *o);
	o->p = *p;
	o->n = n;
	o->a = mem_array(n ? n : 1, sizeof *o->a);
	o->b = mem_array(n ? n : 1, sizeof *o->b);
	for (i = 0; i < n && p->method == OPTIM_ADAGRAD; i++)
		o->a[i] = p->initial;
}

void optim_free(struct optim *o)
{
	free(o->a);
	free(o->b);
	memset(o, 0, sizeof *o);
}

static double sgd(struct optim *o, size_t i, double g)
{
	const struct optim_params *p = &o->p;

	if (p->momentum <= 0)
		return g;
	o->a[i] = o->steps == 1 ? g : p->momentum * o->a[i] + (1 - p->dampening) * g;
	return p->nesterov ? g + p->momentum * o->a[i] : o->a[i];
}

static double adam(struct optim *o, size_t i, double g)
{
	const struct optim_params *p = &o->p;
	double n = (double)o->steps, m, v;

	o->a[i] = p->beta1 * o->a[i] + (1 - p->beta1) * g;
	o->b[i] = p->beta2 * o->b[i] + (1 - p->beta2) * g * g;
	m = o->a[i] / (1 - pow(p->beta1, n));
	v = o->b[i] / (1 - pow(p->beta2, n));
	return m / (sqrt(v) + p->eps);
}

static double adagrad(struct optim *o, size_t i, double g)
{
	o->a[i] += g * g;
	return g / (sqrt(o->a[i]) + o->p.eps) / (1 + (double)(o->steps - 1) * o->p.decay);
}

static double rmsprop(struct optim *o, size_t i, double g)
{
	const struct optim_params *p = &o->p;
	double step;

	o->a[i] = p->decay * o->a[i] + (1 - p->decay) * g * g;
	step = g / (sqrt(o->a[i]) + p->eps);
	if (p->momentum <= 0)
		return step;
	o->b[i] = p->momentum * o->b[i] + step;
	return o->b[i];
}

void optim_step(struct optim *o, const double *gradient, double factor, double *delta)
{
	static double (*const fn[])(struct optim *, size_t, double) = {
	    [OPTIM_SGD] = sgd,
	    [OPTIM_ADAM] = adam,
	    [OPTIM_ADAGRAD] = adagrad,
	    [OPTIM_RMSPROP] = rmsprop,
	};
	size_t i;

	o->steps++;
	for (i = 0; i < o->n; i++)
		delta[i] = o->p.lr * factor * fn[o->p.method](o, i, gradient[i]);
}
