#include "dag/dag_impl.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define CYCLE_SHOWN 12

/* A min-heap of task numbers: the ready task that comes first in the DAG is next. */
struct heap {
	int *v;
	size_t n;
};

static void heap_push(struct heap *h, int x)
{
	size_t i = h->n++;

	while (i > 0 && h->v[(i - 1) / 2] > x) {
		h->v[i] = h->v[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	h->v[i] = x;
}

static int heap_pop(struct heap *h)
{
	int top = h->v[0], x = h->v[--h->n];
	size_t i = 0;

	for (;;) {
		size_t k = 2 * i + 1;

		if (k >= h->n)
			break;
		if (k + 1 < h->n && h->v[k + 1] < h->v[k])
			k++;
		if (h->v[k] >= x)
			break;
		h->v[i] = h->v[k];
		i = k;
	}
	h->v[i] = x;
	return top;
}

/* Tasks by number in DAG order. */
struct graph {
	size_t n;
	size_t *start; /* children of task i are children[start[i] .. start[i + 1]) */
	int *children;
	size_t *waiting; /* producers not yet placed */
	int *order;
	size_t n_order;
};

static void graph_free(struct graph *g)
{
	free(g->start);
	free(g->children);
	free(g->waiting);
	free(g->order);
}

static struct graph graph_make(const struct dag *d)
{
	struct graph g = {.n = d->n_tasks};
	size_t *fill, edges = 0;

	g.start = mem_array(g.n + 1, sizeof(*g.start));
	g.waiting = mem_array(g.n, sizeof(*g.waiting));
	g.order = mem_array(g.n, sizeof(*g.order));
	for (size_t i = 0; i < g.n; i++) {
		g.waiting[i] = d->tasks[i].n_deps;
		edges += d->tasks[i].n_deps;
		for (size_t k = 0; k < d->tasks[i].n_deps; k++)
			g.start[d->tasks[i].deps[k] + 1]++;
	}
	for (size_t i = 0; i < g.n; i++)
		g.start[i + 1] += g.start[i];
	g.children = mem_array(edges + 1, sizeof(*g.children));
	fill = mem_array(g.n, sizeof(*fill));
	for (size_t i = 0; i < g.n; i++)
		for (size_t k = 0; k < d->tasks[i].n_deps; k++) {
			int from = d->tasks[i].deps[k];

			g.children[g.start[from] + fill[from]++] = (int)i;
		}
	free(fill);
	return g;
}

static void graph_order(struct graph *g)
{
	struct heap h = {mem_array(g->n, sizeof(*h.v)), 0};

	for (size_t i = 0; i < g->n; i++)
		if (g->waiting[i] == 0)
			heap_push(&h, (int)i);
	while (h.n > 0) {
		int t = heap_pop(&h);

		g->order[g->n_order++] = t;
		for (size_t k = g->start[t]; k < g->start[t + 1]; k++)
			if (--g->waiting[g->children[k]] == 0)
				heap_push(&h, g->children[k]);
	}
	free(h.v);
}

/* A task that was never placed waits for another such one, so going up must meet a circle. */
static int waiting_producer(const struct dag *d, const struct graph *g, int t)
{
	for (size_t k = 0; k < d->tasks[t].n_deps; k++)
		if (g->waiting[d->tasks[t].deps[k]])
			return d->tasks[t].deps[k];
	return t;
}

static bool cycle_error(const struct dag *d, const struct graph *g, struct err *e)
{
	const struct dag_at *at = DAG_KEY(DAG_KEY(NULL, "dag"), "tasks");
	bool *met = mem_array(g->n, sizeof(*met));
	struct buf b = {0};
	size_t len = 0;
	int t = 0, first;

	while (g->waiting[t] == 0)
		t++;
	for (; !met[t]; t = waiting_producer(d, g, t))
		met[t] = true;
	first = t;
	do {
		if (len < CYCLE_SHOWN)
			buf_printf(&b, "%s <- ", d->tasks[t].name);
		len++;
		t = waiting_producer(d, g, t);
	} while (t != first);
	if (len > CYCLE_SHOWN)
		buf_printf(&b, "... (%zu tasks) <- ", len);
	buf_adds(&b, d->tasks[first].name);
	dag_bad(e, ERR_JOB_CREATE, DAG_KEY(DAG_KEY(at, d->tasks[first].name), "inputs"),
		len == 1
		    ? "the task takes its own output as input: %s"
		    : "the tasks wait for each other in a circle: %s; take one of these inputs "
		      "away",
		buf_str(&b));
	buf_free(&b);
	free(met);
	return false;
}

static int cmp_int(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

/* Puts the tasks in the order found; numbers in deps and children become those of the new order. */
static void renumber(struct dag_full *f, const struct graph *g)
{
	struct dag *d = &f->pub;
	struct dag_task *sorted = mem_array(g->n, sizeof(*sorted));
	int *rank = mem_array(g->n, sizeof(*rank));

	for (size_t i = 0; i < g->n; i++)
		rank[g->order[i]] = (int)i;
	for (size_t i = 0; i < g->n; i++) {
		int old = g->order[i];
		const int *children = g->children + g->start[old];
		struct dag_task *t = &sorted[i];

		*t = d->tasks[old];
		for (size_t k = 0; k < t->n_deps; k++)
			t->deps[k] = rank[t->deps[k]];
		if (t->n_deps)
			qsort(t->deps, t->n_deps, sizeof(*t->deps), cmp_int);
		t->n_children = g->start[old + 1] - g->start[old];
		if (t->n_children) {
			t->children = mem_array(t->n_children, sizeof(*t->children));
			for (size_t k = 0; k < t->n_children; k++)
				t->children[k] = rank[children[k]];
			qsort(t->children, t->n_children, sizeof(*t->children), cmp_int);
		}
		map_set(f->task_index, t->name, (void *)(intptr_t)(i + 1));
	}
	free(d->tasks);
	d->tasks = sorted;
	free(rank);
}

bool dag_sort_tasks(struct dag_full *f, struct err *e)
{
	struct graph g = graph_make(&f->pub);
	bool ok;

	graph_order(&g);
	ok = g.n_order == g.n || cycle_error(&f->pub, &g, e);
	if (ok)
		renumber(f, &g);
	graph_free(&g);
	return ok;
}
