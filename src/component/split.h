/* Splitting rows into train, validate and test sets, repeatably for one random state. */
#ifndef NORN_COMPONENT_SPLIT_H
#define NORN_COMPONENT_SPLIT_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum split_set { SPLIT_TRAIN, SPLIT_VALIDATE, SPLIT_TEST, SPLIT_SETS };

/* A size as the user gives it. */
struct split_size {
	bool given;
	bool fraction; /* else a row count */
	double value;
};

/*
 * Row counts of the three sets, which sum to n. Nothing given: 0.8, 0.2, 0. A size that is not
 * given takes what the others leave (train first, then test, then validate). An error when the
 * sizes do not sum to 1 or to n.
 */
MUST_CHECK bool split_counts(const struct split_size given[SPLIT_SETS], size_t n,
			     size_t counts[SPLIT_SETS], struct err *e);

/*
 * set_of[row] for every row. label NULL: any rows; else each set gets its share of every label
 * value (exact up to one row).
 */
void split_rows(const double *label, size_t n, const size_t counts[SPLIT_SETS], uint64_t seed,
		unsigned char *set_of);

#endif
