/* coordinated_lr: train and predict. */
#include "config.h"

#include "component/builtin.h"

#include "base/js.h"
#include "base/mem.h"
#include "component/lr_io.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Everything of one run, released at one place. */
struct run {
	struct norn_task *t;
	struct lr_params p;
	struct lr_party who;
	const char **hosts;
	struct norn_frame *train, *validate;
	struct lr_table table;
	struct lr_model model;
	bool intercept;
	json_t *given; /* the input model */
};

static void run_free(struct run *r)
{
	norn_frame_free(r->train);
	norn_frame_free(r->validate);
	lr_table_free(&r->table);
	lr_model_free(&r->model);
	json_decref(r->given);
	free(r->hosts);
}

static void on_epoch(void *arg, int epoch, double loss)
{
	struct norn_task *t = arg;

	if (isnan(loss)) {
		norn_say(t, "epoch %d done", epoch);
		return;
	}
	norn_say(t, "epoch %d: loss %.6f", epoch, loss);
	norn_metric_step(t, "lr_loss", "loss", "iterations", epoch, loss);
}

static bool run_init(struct run *r, struct norn_task *t, bool train, struct err *e)
{
	size_t i, n = norn_party_count(t, NORN_HOST);

	memset(r, 0, sizeof *r);
	r->t = t;
	r->hosts = mem_array(n + 1, sizeof *r->hosts);
	for (i = 0; i < n; i++)
		r->hosts[i] = norn_party(t, NORN_HOST, i);
	if (norn_party_count(t, NORN_GUEST) != 1 || n == 0)
		return err_set(e, ERR_JOB_PARAMS,
			       "coordinated_lr needs one guest and at least one "
			       "host");
	if (train && norn_party_count(t, NORN_ARBITER) != 1)
		return err_set(e, ERR_JOB_PARAMS, "coordinated_lr needs one arbiter for training");
	r->who = (struct lr_party){
	    .ch = task_channel(t, e),
	    .guest = norn_party(t, NORN_GUEST, 0),
	    .arbiter = norn_party(t, NORN_ARBITER, 0),
	    .hosts = r->hosts,
	    .n_hosts = n,
	    .threads = t->cores,
	    .progress = on_epoch,
	    .arg = t,
	};
	return r->who.ch != NULL && (!train || lr_params_from_task(t, &r->p, e));
}

static bool guest_predict(struct run *r, const struct norn_frame *f, const json_t *header,
			  const double *labels, const char *type, struct norn_frame **out,
			  struct err *e)
{
	double *score = mem_array(f->n_rows + 1, sizeof *score);
	struct lr_table table;
	bool ok = lr_table_from_frame(f, header, false, &table, e) &&
		  lr_predict_guest(&r->who, &table.d, &r->model, r->intercept, score, e);

	if (ok)
		*out = lr_predictions(f, score, labels, r->p.threshold, type);
	lr_table_free(&table);
	free(score);
	return ok;
}

static bool host_predict(struct run *r, const struct norn_frame *f, const json_t *header,
			 struct err *e)
{
	struct lr_table table;
	bool ok = lr_table_from_frame(f, header, false, &table, e) &&
		  lr_predict_host(&r->who, &table.d, &r->model, e);

	lr_table_free(&table);
	return ok;
}

/* Predictions for the training rows and, below them, the validation rows. */
static bool predict_trained(struct run *r, const json_t *header, struct err *e)
{
	struct norn_frame *out = NULL, *more = NULL, *both;
	bool ok;

	if (r->t->role == NORN_HOST)
		return host_predict(r, r->train, header, e) &&
		       (r->validate == NULL || host_predict(r, r->validate, header, e));
	ok = guest_predict(r, r->train, header, r->table.labels, "train_set", &out, e);
	if (ok && r->validate != NULL) {
		ok = guest_predict(r, r->validate, header, r->table.labels, "validate_set", &more,
				   e);
		both = ok ? frame_stack(out, more, e) : NULL;
		norn_frame_free(out);
		norn_frame_free(more);
		out = both;
		ok = both != NULL;
	}
	ok = ok && norn_write_frame(r->t, "train_output_data", out, NULL, NULL, e);
	norn_frame_free(out);
	return ok;
}

/* The start of a warm start: the model's columns must be the table's, in the same order. */
static bool warm_start(struct run *r, struct err *e)
{
	const json_t *header;
	bool intercept;
	size_t i;

	r->given = norn_read_model(r->t, "warm_start_model", e);
	if (r->given == NULL || !lr_model_from_json(r->given, &r->model, &intercept, e))
		return false;
	header = lr_model_header(r->given);
	for (i = 0; i < r->train->n_columns; i++)
		if (strcmp(r->train->columns[i].name,
			   json_string_value(json_array_get(header, i))
			       ? json_string_value(json_array_get(header, i))
			       : "") != 0)
			return err_set(e, ERR_COMPONENT_OUTPUT,
				       "the warm start model has other columns than the table");
	return true;
}

static bool read_training_data(struct run *r, struct err *e)
{
	struct norn_task *t = r->t;

	r->train = norn_read_frame(t, "train_data", 0, e);
	if (r->train == NULL)
		return false;
	if (norn_input_count(t, "validate_data") > 0) {
		r->validate = norn_read_frame(t, "validate_data", 0, e);
		if (r->validate == NULL)
			return false;
	}
	if (norn_input_count(t, "warm_start_model") > 0 && !warm_start(r, e))
		return false;
	return lr_table_from_frame(r->train, NULL, t->role == NORN_GUEST, &r->table, e);
}

static bool train_side(struct run *r, struct err *e)
{
	struct norn_task *t = r->t;
	bool guest = t->role == NORN_GUEST, ok;
	json_t *model;

	if (!read_training_data(r, e))
		return false;
	r->intercept = guest && r->p.fit_intercept;
	norn_say(t, "%zu rows, %zu features, %d-bit key, %u threads", r->train->n_rows,
		 r->train->n_columns, r->p.key_bits, t->cores);
	ok = guest ? lr_train_guest(&r->who, &r->p, &r->table.d, &r->model, e)
		   : lr_train_host(&r->who, &r->p, &r->table.d, &r->model, e);
	if (!ok)
		return false;
	norn_say(t, "%s after %d epochs", r->model.converged ? "converged" : "ended",
		 r->model.end_epoch + r->model.converged);
	model = lr_model_to_json(t, &r->p, &r->model, r->train, guest ? r->table.labels : NULL);
	ok = norn_write_model(t, "output_model", model, e) &&
	     predict_trained(r, lr_model_header(model), e);
	json_decref(model);
	return ok;
}

static bool train_arbiter(struct run *r, struct err *e)
{
	json_t *model;
	bool ok;

	norn_say(r->t, "making a %d-bit key", r->p.key_bits);
	if (!lr_train_arbiter(&r->who, &r->p, &r->model, e))
		return false;
	model = lr_model_to_json(r->t, &r->p, &r->model, NULL, NULL);
	ok = norn_write_model(r->t, "output_model", model, e);
	json_decref(model);
	return ok;
}

static bool predict_side(struct run *r, struct err *e)
{
	struct norn_frame *out = NULL;
	const json_t *labels;
	double values[2];
	bool ok;

	r->given = norn_read_model(r->t, "input_model", e);
	if (r->given == NULL || !lr_model_from_json(r->given, &r->model, &r->intercept, e))
		return false;
	r->train = norn_read_frame(r->t, "test_data", 0, e);
	if (r->train == NULL)
		return false;
	if (r->t->role == NORN_HOST)
		return host_predict(r, r->train, lr_model_header(r->given), e);
	labels = js_get(r->given, "meta.labels");
	if (json_array_size(labels) != 2)
		return err_set(e, ERR_COMPONENT_OUTPUT, "the input model is not one of a guest");
	values[0] = json_number_value(json_array_get(labels, 0));
	values[1] = json_number_value(json_array_get(labels, 1));
	r->p.threshold = js_num(js_get(r->given, "meta"), "threshold", 0.5);
	ok = guest_predict(r, r->train, lr_model_header(r->given), values, "test_set", &out, e) &&
	     norn_write_frame(r->t, "test_output_data", out, NULL, NULL, e);
	norn_frame_free(out);
	return ok;
}

static bool run_lr(struct norn_task *t, struct err *e)
{
	bool train = t->stage == NORN_TRAIN, ok;
	struct run r;

	if (!train && t->role == NORN_ARBITER)
		return true; /* prediction needs no arbiter */
	ok = run_init(&r, t, train, e);
	if (ok)
		ok = !train                    ? predict_side(&r, e)
		     : t->role == NORN_ARBITER ? train_arbiter(&r, e)
					       : train_side(&r, e);
	run_free(&r);
	return ok;
}

static const struct norn_param params[] = {
    {"epochs", NORN_P_INT, "20", 1, 100000, NULL, NORN_TRAIN, "most passes over the rows"},
    {"batch_size", NORN_P_INT, "null", 10, 1e9, NULL, NORN_TRAIN, "rows of a step; null: all"},
    {"optimizer", NORN_P_MAP, "null", 0, 0, NULL, NORN_TRAIN,
     "{method: sgd|adam|adagrad|rmsprop, penalty: l2|none, alpha, optimizer_params: {lr, ...}}"},
    {"learning_rate_scheduler", NORN_P_MAP, "null", 0, 0, NULL, NORN_TRAIN,
     "{method: constant|linear|step, scheduler_params: {...}}, as in torch"},
    {"floating_point_precision", NORN_P_INT, "23", 10, 40, NULL, NORN_TRAIN,
     "fractional bits of encoded features"},
    {"tol", NORN_P_NUM, "0.0001", 0, 1e9, NULL, NORN_TRAIN, "when training has converged"},
    {"early_stop", NORN_P_STR, "\"diff\"", 0, 0, "weight_diff|diff|abs", NORN_TRAIN,
     "what tol is compared with: length of the step, change of the loss, or the loss"},
    {"he_param", NORN_P_MAP, "null", 0, 0, NULL, NORN_TRAIN,
     "{kind: paillier, key_length: 2048 or more}"},
    {"init_param", NORN_P_MAP, "null", 0, 0, NULL, NORN_TRAIN,
     "{method: zeros|ones|consts|random|random_uniform, fill_val, fit_intercept, random_state}"},
    {"threshold", NORN_P_NUM, "0.5", 0, 1, NULL, NORN_TRAIN, "score above which the label is 1"},
    {"output_cv_data", NORN_P_BOOL, "true", 0, 0, NULL, NORN_TRAIN,
     "FATE's clients always send it; it is about cross-validation, which is not built in"},
};
#define SIDES (NORN_GUEST | NORN_HOST)
static const struct norn_artifact artifacts[] = {
    {"train_data", NORN_IN, NORN_DATAFRAME, false, false, NORN_TRAIN, SIDES, "rows to learn from"},
    {"validate_data", NORN_IN, NORN_DATAFRAME, false, true, NORN_TRAIN, SIDES,
     "rows to predict after training"},
    {"warm_start_model", NORN_IN, NORN_JSON_MODEL, false, true, NORN_TRAIN, 0,
     "coefficients to start from"},
    {"train_output_data", NORN_OUT, NORN_DATAFRAME, false, true, NORN_TRAIN, SIDES,
     "the guest's predictions"},
    {"output_model", NORN_OUT, NORN_JSON_MODEL, false, false, NORN_TRAIN, 0, "own coefficients"},
    {"test_data", NORN_IN, NORN_DATAFRAME, false, false, NORN_PREDICT, SIDES, "rows to predict"},
    {"input_model", NORN_IN, NORN_JSON_MODEL, false, false, NORN_PREDICT, SIDES,
     "own coefficients"},
    {"test_output_data", NORN_OUT, NORN_DATAFRAME, false, true, NORN_PREDICT, SIDES,
     "the guest's predictions"},
};
const struct norn_component comp_coordinated_lr = {
    "coordinated_lr",
    BUILTIN_VERSION,
    "logistic regression over the columns of guest and hosts, with an arbiter",
    NORN_GUEST | NORN_HOST | NORN_ARBITER,
    NORN_TRAIN | NORN_PREDICT,
    params,
    ARRAY_LEN(params),
    artifacts,
    ARRAY_LEN(artifacts),
    run_lr,
};
