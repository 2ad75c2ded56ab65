/* Scaling of columns: by mean and deviation, or onto a range. */
#ifndef NORN_COMPONENT_SCALE_H
#define NORN_COMPONENT_SCALE_H

#include "component/frame.h"

enum scale_method { SCALE_STANDARD, SCALE_MIN_MAX };

/* value * scale - shift + low, then within low..high when strict. */
struct scale_column {
	char *name;
	double mean, std;        /* standard */
	double scale, scale_min; /* min_max */
	double low, high;
};

struct scaler {
	enum scale_method method;
	bool strict;
	struct scale_column *columns; /* owned, with their names */
	size_t n;
};

/* low and high of each column (min_max) must be set; the rest is learned from f. */
MUST_CHECK bool scaler_fit(struct scaler *s, const struct norn_frame *f, struct err *e);
/* Changes the columns of f in place; they become float64. */
MUST_CHECK bool scaler_apply(const struct scaler *s, struct norn_frame *f, struct err *e);
json_t *scaler_to_json(const struct scaler *s);
MUST_CHECK bool scaler_from_json(const json_t *v, struct scaler *s, struct err *e);
void scaler_free(struct scaler *s);

#endif
