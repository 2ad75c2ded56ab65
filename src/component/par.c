#include "config.h"

#include "component/par.h"

#include <pthread.h>
#include <stdatomic.h>

#define PAR_THREADS_MAX 64

struct par {
	size_t n, piece;
	atomic_size_t next;
	atomic_bool failed;
	pthread_mutex_t lock;
	par_fn *fn;
	void *arg;
	struct err *e;
};

static void *work(void *arg)
{
	struct par *p = arg;
	struct err local = {0};
	size_t from, to;

	while (!atomic_load(&p->failed)) {
		from = atomic_fetch_add(&p->next, p->piece);
		if (from >= p->n)
			break;
		to = p->n - from > p->piece ? from + p->piece : p->n;
		if (p->fn(p->arg, from, to, &local))
			continue;
		pthread_mutex_lock(&p->lock);
		if (!atomic_exchange(&p->failed, true))
			err_set(p->e, local.code, "%s", local.msg);
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}

bool par_for(size_t n, unsigned threads, par_fn *fn, void *arg, struct err *e)
{
	struct par p = {.n = n, .fn = fn, .arg = arg, .e = e};
	pthread_t ids[PAR_THREADS_MAX];
	unsigned started = 0, i;

	if (threads < 1)
		threads = 1;
	if (threads > PAR_THREADS_MAX)
		threads = PAR_THREADS_MAX;
	/* A few pieces per thread, so that a slow one does not hold up the end. */
	p.piece = n / ((size_t)threads * 4) + 1;
	pthread_mutex_init(&p.lock, NULL);
	for (i = 1; i < threads && (size_t)i * p.piece < n; i++)
		if (pthread_create(&ids[started], NULL, work, &p) == 0)
			started++;
	work(&p);
	for (i = 0; i < started; i++)
		pthread_join(ids[i], NULL);
	pthread_mutex_destroy(&p.lock);
	return !atomic_load(&p.failed);
}
