#include "config.h"

#include "component/split.h"

#include "base/mem.h"
#include "component/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool fill_missing(double v[SPLIT_SETS], const struct split_size given[SPLIT_SETS],
			 double total, struct err *e)
{
	static const int order[] = {SPLIT_TRAIN, SPLIT_TEST, SPLIT_VALIDATE};
	double sum = 0;
	size_t i;
	bool filled = false;

	for (i = 0; i < SPLIT_SETS; i++)
		sum += given[i].given ? given[i].value : 0;
	for (i = 0; i < SPLIT_SETS; i++) {
		v[i] = given[i].given ? given[i].value : 0;
	}
	for (i = 0; i < SPLIT_SETS; i++) {
		if (given[order[i]].given || filled)
			continue;
		v[order[i]] = total - sum;
		filled = true;
	}
	for (i = 0, sum = 0; i < SPLIT_SETS; i++) {
		if (v[i] < -1e-9)
			return err_set(e, ERR_JOB_PARAMS,
				       "train_size, validate_size and test_size sum to more than "
				       "%g",
				       total);
		sum += v[i];
	}
	return fabs(sum - total) <= 1e-6 ||
	       err_set(e, ERR_JOB_PARAMS,
		       "train_size, validate_size and test_size sum to %g instead of %g", sum,
		       total);
}

bool split_counts(const struct split_size given[SPLIT_SETS], size_t n, size_t counts[SPLIT_SETS],
		  struct err *e)
{
	static const struct split_size usual[SPLIT_SETS] = {
	    {true, true, 0.8}, {true, true, 0.2}, {true, true, 0}};
	bool any = false, fraction = false;
	double v[SPLIT_SETS], left = (double)n;
	size_t i, last = SPLIT_TRAIN;

	for (i = 0; i < SPLIT_SETS; i++) {
		any |= given[i].given;
		fraction |= given[i].given && given[i].fraction;
	}
	if (!any) {
		given = usual;
		fraction = true;
	}
	if (!fill_missing(v, given, fraction ? 1 : (double)n, e))
		return false;
	/* Rounding must not put rows into a set of size zero: the last set with a size takes the
	 * rest. */
	for (i = 0; i < SPLIT_SETS; i++)
		if (v[i] > 1e-9)
			last = i;
	for (i = 0; i < SPLIT_SETS; i++) {
		v[i] = round(fraction ? v[i] * (double)n : v[i]);
		if (i == last || v[i] > left)
			v[i] = left;
		if (i > last)
			v[i] = 0;
		left -= v[i];
		counts[i] = (size_t)v[i];
	}
	return true;
}

/* Rows in order[0..n-1], already shuffled, to the sets in turn. */
static void deal(const size_t *order, const size_t counts[SPLIT_SETS], unsigned char *set_of)
{
	size_t at = 0, i, s;

	for (s = 0; s < SPLIT_SETS; s++)
		for (i = 0; i < counts[s]; i++)
			set_of[order[at++]] = (unsigned char)s;
}

struct stratum {
	size_t from, n; /* in the sorted order */
	double rest;    /* fraction lost by rounding down */
	size_t take;    /* rows for the set at hand */
	size_t left;
};

struct labelled {
	double label;
	size_t row;
};

static int by_label(const void *a, const void *b)
{
	const struct labelled *x = a, *y = b;

	if (x->label < y->label)
		return -1;
	if (x->label > y->label)
		return 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

/* Row numbers by label into order, and the strata; returns how many. */
static size_t make_strata(const double *label, size_t n, size_t *order, struct stratum *st)
{
	struct labelled *sorted = mem_array(n + 1, sizeof *sorted);
	size_t i, k = 0;

	for (i = 0; i < n; i++)
		sorted[i] = (struct labelled){label[i], i};
	qsort(sorted, n, sizeof *sorted, by_label);
	for (i = 0; i < n; i++) {
		order[i] = sorted[i].row;
		if (i == 0 || sorted[i].label > sorted[i - 1].label)
			st[k++].from = i;
		st[k - 1].n++;
		st[k - 1].left++;
	}
	free(sorted);
	return k;
}

/* How many rows of each stratum go to a set of `want` rows: largest remainder, exact in sum. */
static void share(struct stratum *st, size_t k, size_t total, size_t want)
{
	size_t i, given = 0, best;

	for (i = 0; i < k; i++) {
		double exact = (double)want * (double)st[i].n / (double)total;

		st[i].take = (size_t)exact;
		if (st[i].take > st[i].left)
			st[i].take = st[i].left;
		st[i].rest = exact - (double)st[i].take;
		given += st[i].take;
	}
	while (given < want) {
		for (i = 0, best = k; i < k; i++)
			if (st[i].take < st[i].left && (best == k || st[i].rest > st[best].rest))
				best = i;
		if (best == k)
			return;
		st[best].take++;
		st[best].rest -= 1;
		given++;
	}
}

static void deal_strata(const size_t *order, struct stratum *st, size_t k, size_t n,
			const size_t counts[SPLIT_SETS], unsigned char *set_of)
{
	size_t s, i, j;

	for (s = 0; s < SPLIT_SETS; s++) {
		share(st, k, n, counts[s]);
		for (i = 0; i < k; i++) {
			for (j = 0; j < st[i].take; j++)
				set_of[order[st[i].from + st[i].n - st[i].left + j]] =
				    (unsigned char)s;
			st[i].left -= st[i].take;
		}
	}
}

void split_rows(const double *label, size_t n, const size_t counts[SPLIT_SETS], uint64_t seed,
		unsigned char *set_of)
{
	size_t *order = mem_array(n + 1, sizeof *order), i, k;
	struct stratum *st;
	struct rng r;

	rng_seed(&r, seed);
	if (label == NULL) {
		for (i = 0; i < n; i++)
			order[i] = i;
		rng_shuffle(&r, order, n);
		deal(order, counts, set_of);
		free(order);
		return;
	}
	st = mem_array(n + 1, sizeof *st);
	k = make_strata(label, n, order, st);
	for (i = 0; i < k; i++)
		rng_shuffle(&r, order + st[i].from, st[i].n);
	deal_strata(order, st, k, n, counts, set_of);
	free(st);
	free(order);
}
