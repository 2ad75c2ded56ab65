/* The measures themselves. */
#include "config.h"

#include "component/eval.h"

#include "base/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct scored {
	double score;
	bool positive;
};

static int by_score(const void *a, const void *b)
{
	double x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;

	return x < y ? 1 : x > y ? -1 : 0;
}

bool eval_curve_make(const double *score, const double *label, size_t n, struct eval_curve *c,
		     struct err *e)
{
	struct scored *v = mem_array(n + 1, sizeof *v);
	size_t i, tp = 0, fp = 0;

	memset(c, 0, sizeof *c);
	for (i = 0; i < n; i++) {
		v[i].score = score[i];
		v[i].positive = fabs(label[i] - 1) < 1e-9;
		c->pos += v[i].positive;
	}
	c->neg = n - c->pos;
	if (c->pos == 0 || c->neg == 0) {
		free(v);
		return err_set(e, ERR_COMPONENT_OUTPUT,
			       "binary metrics need rows of both labels: there are %zu with label "
			       "1 and %zu others",
			       c->pos, c->neg);
	}
	qsort(v, n, sizeof *v, by_score);
	c->at = mem_array(n, sizeof *c->at);
	for (i = 0; i < n; i++) {
		tp += v[i].positive;
		fp += !v[i].positive;
		if (i + 1 == n || v[i + 1].score < v[i].score)
			c->at[c->n++] = (struct eval_step){v[i].score, tp, fp};
	}
	free(v);
	return true;
}

void eval_curve_free(struct eval_curve *c)
{
	free(c->at);
	memset(c, 0, sizeof *c);
}

double eval_auc(const struct eval_curve *c)
{
	double area = 0, tp = 0, fp = 0;
	size_t i;

	/* Trapezia: a step with positives and negatives at once is a tie. */
	for (i = 0; i < c->n; i++) {
		area += ((double)c->at[i].fp - fp) * ((double)c->at[i].tp + tp) / 2;
		tp = (double)c->at[i].tp;
		fp = (double)c->at[i].fp;
	}
	return area / ((double)c->pos * (double)c->neg);
}

static double tpr(const struct eval_curve *c, size_t i)
{
	return (double)c->at[i].tp / (double)c->pos;
}

static double fpr(const struct eval_curve *c, size_t i)
{
	return (double)c->at[i].fp / (double)c->neg;
}

double eval_ks(const struct eval_curve *c)
{
	double best = 0;
	size_t i;

	for (i = 0; i < c->n; i++)
		best = fmax(best, tpr(c, i) - fpr(c, i));
	return best;
}

struct eval_counts eval_count(const struct eval_curve *c, double threshold)
{
	struct eval_counts k = {0};
	size_t low = 0, high = c->n, mid;

	/* the number of distinct scores above the threshold */
	while (low < high) {
		mid = (low + high) / 2;
		if (c->at[mid].score > threshold)
			low = mid + 1;
		else
			high = mid;
	}
	if (low > 0) {
		k.tp = c->at[low - 1].tp;
		k.fp = c->at[low - 1].fp;
	}
	k.fn = c->pos - k.tp;
	k.tn = c->neg - k.fp;
	return k;
}

static double ratio(size_t a, size_t b)
{
	return b == 0 ? 0 : (double)a / (double)b;
}

double eval_accuracy(const struct eval_counts *k)
{
	return ratio(k->tp + k->tn, k->tp + k->tn + k->fp + k->fn);
}

double eval_precision(const struct eval_counts *k)
{
	return ratio(k->tp, k->tp + k->fp);
}

double eval_recall(const struct eval_counts *k)
{
	return ratio(k->tp, k->tp + k->fn);
}

double eval_f1(const struct eval_counts *k)
{
	return ratio(2 * k->tp, 2 * k->tp + k->fp + k->fn);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Where v stands among the sorted distinct classes. */
static size_t class_of(const double *classes, size_t k, double v)
{
	const double *hit = bsearch(&v, classes, k, sizeof *classes, by_value);

	return hit ? (size_t)(hit - classes) : 0;
}

void eval_multi(const double *predict, const double *label, size_t n, struct eval_multi *out)
{
	double *classes = mem_array(2 * n + 1, sizeof *classes);
	size_t *right, *said, *is, i, k = 0, all_right = 0;

	memset(out, 0, sizeof *out);
	for (i = 0; i < n; i++) {
		classes[2 * i] = predict[i];
		classes[2 * i + 1] = label[i];
	}
	qsort(classes, 2 * n, sizeof *classes, by_value);
	for (i = 0; i < 2 * n; i++)
		if (k == 0 || classes[i] > classes[k - 1])
			classes[k++] = classes[i];
	right = mem_array(k + 1, sizeof *right);
	said = mem_array(k + 1, sizeof *said);
	is = mem_array(k + 1, sizeof *is);
	for (i = 0; i < n; i++) {
		size_t p = class_of(classes, k, predict[i]), l = class_of(classes, k, label[i]);

		said[p]++;
		is[l]++;
		right[p] += p == l;
		all_right += p == l;
	}
	for (i = 0; i < k; i++) {
		out->precision += ratio(right[i], said[i]) / (double)k;
		out->recall += ratio(right[i], is[i]) / (double)k;
	}
	out->accuracy = ratio(all_right, n);
	free(classes);
	free(right);
	free(said);
	free(is);
}

void eval_regression(const double *predict, const double *label, size_t n,
		     struct eval_regression *out)
{
	double mean = 0, squares = 0, total = 0, absolute = 0, d;
	size_t i;

	for (i = 0; i < n; i++)
		mean += label[i] / (double)n;
	for (i = 0; i < n; i++) {
		d = predict[i] - label[i];
		squares += d * d;
		absolute += fabs(d);
		total += (label[i] - mean) * (label[i] - mean);
	}
	out->mse = squares / (double)n;
	out->rmse = sqrt(out->mse);
	out->mae = absolute / (double)n;
	out->r2 = total > 0 ? 1 - squares / total : 0;
}
