#include "config.h"

#include "store/offload.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

struct piece {
	STAILQ_ENTRY(piece) link;
	struct event_base *base;
	enum offload_kind kind;
	void (*work)(void *arg);
	void (*done)(void *arg);
	void *arg;
	pthread_t thread;
	bool threaded;
	int fds[2]; /* closing the second wakes the loop */
	struct event *event;
};

STAILQ_HEAD(pieces, piece);

static struct lane {
	int max, running;
	struct pieces waiting;
} lanes[OFFLOAD_N_KINDS] = {
    [OFFLOAD_LOGS] = {4, 0, STAILQ_HEAD_INITIALIZER(lanes[OFFLOAD_LOGS].waiting)},
    [OFFLOAD_EXPORTS] = {2, 0, STAILQ_HEAD_INITIALIZER(lanes[OFFLOAD_EXPORTS].waiting)},
    [OFFLOAD_IMPORTS] = {1, 0, STAILQ_HEAD_INITIALIZER(lanes[OFFLOAD_IMPORTS].waiting)},
};

static void *run(void *arg)
{
	struct piece *p = arg;

	p->work(p->arg);
	close(p->fds[1]);
	return NULL;
}

static void start(struct piece *p);

static void on_done(evutil_socket_t fd, short what, void *arg)
{
	struct piece *p = arg;
	struct lane *l = &lanes[p->kind];

	if (p->threaded) {
		pthread_join(p->thread, NULL);
		close(p->fds[0]);
	}
	event_free(p->event);
	l->running--;
	if (!STAILQ_EMPTY(&l->waiting)) {
		struct piece *next = STAILQ_FIRST(&l->waiting);
		STAILQ_REMOVE_HEAD(&l->waiting, link);
		start(next);
	}
	p->done(p->arg);
	free(p);
}

/* Signals belong to the loop. */
static bool make_thread(struct piece *p)
{
	sigset_t all;
	sigset_t old;

	if (pipe2(p->fds, O_CLOEXEC | O_NONBLOCK) != 0)
		return false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int failed = pthread_create(&p->thread, NULL, run, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (failed != 0) {
		close(p->fds[0]);
		close(p->fds[1]);
		errno = failed;
	}
	return failed == 0;
}

static void start(struct piece *p)
{
	static const struct timeval now = {0, 0};

	lanes[p->kind].running++;
	p->threaded = make_thread(p);
	if (p->threaded) {
		p->event = event_new(p->base, p->fds[0], EV_READ, on_done, p);
		event_add(p->event, NULL);
		return;
	}
	log_warn(LOG_CTX_NONE, "no thread can be made (%s): files are read on the event loop",
		 strerror(errno));
	p->work(p->arg);
	p->event = event_new(p->base, -1, 0, on_done, p);
	event_add(p->event, &now);
}

void offload(struct event_base *base, enum offload_kind kind, void (*work)(void *arg),
	     void (*done)(void *arg), void *arg)
{
	struct piece *p = mem_zalloc(sizeof(*p));

	p->base = base;
	p->kind = kind;
	p->work = work;
	p->done = done;
	p->arg = arg;
	if (lanes[kind].running < lanes[kind].max)
		start(p);
	else
		STAILQ_INSERT_TAIL(&lanes[kind].waiting, p, link);
}

int offload_running(void)
{
	int running = 0;

	for (int i = 0; i < OFFLOAD_N_KINDS; i++)
		running += lanes[i].running;
	return running;
}
