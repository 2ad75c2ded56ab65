/* coordinated_lr between task and algorithm: parameters, data, models, predictions. */
#ifndef NORN_COMPONENT_LR_IO_H
#define NORN_COMPONENT_LR_IO_H

#include "component/lr.h"
#include "component/frame.h"
#include "component/task.h"

/* Owns copies of what struct lr_data points to. */
struct lr_table {
	struct lr_data d;
	double *x, *y;
	double labels[2]; /* guest: the values that stand for -1 and 1 */
	unsigned char ids_hash[32];
};

/* header: model columns by name, or NULL for the frame's own. with_label: label and weight, too. */
MUST_CHECK bool lr_table_from_frame(const struct norn_frame *f, const json_t *header,
				    bool with_label, struct lr_table *t, struct err *e);
void lr_table_free(struct lr_table *t);

MUST_CHECK bool lr_params_from_task(const struct norn_task *t, struct lr_params *p, struct err *e);

/* {data: {estimator}, meta}; header: names of the m features, NULL at the arbiter. */
json_t *lr_model_to_json(const struct norn_task *t, const struct lr_params *p,
			 const struct lr_model *m, const struct norn_frame *f,
			 const double *labels);
/* The coefficients; intercept tells whether the last one is the intercept. */
MUST_CHECK bool lr_model_from_json(const json_t *v, struct lr_model *m, bool *intercept,
				   struct err *e);
json_t *lr_model_header(const json_t *v); /* borrowed */

/* The guest's predictions as a frame; type is train_set, validate_set or test_set. */
struct norn_frame *lr_predictions(const struct norn_frame *f, const double *score,
				  const double *labels, double threshold, const char *type);

#endif
