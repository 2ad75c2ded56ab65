#include "config.h"
#include "net/http_resolve.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define THREADS_MAX  32
#define THREAD_STACK (256 * 1024)

/* Shared with the threads; the last of them and of the resolver frees it. */
struct shared {
	pthread_mutex_t lock;
	int refs;
	int event_fd;
	struct lookup *done; /* in no order */
};

struct resolver {
	struct shared *shared;
	struct event *event;
	int n_running;
};

struct lookup {
	struct resolver *resolver; /* event loop only */
	struct shared *shared;
	struct lookup *next;
	char *host;
	char *port;
	resolve_cb *cb; /* event loop only; NULL: cancelled */
	void *arg;
	int rc; /* of getaddrinfo() */
	struct addrinfo *list;
};

static void lookup_free(struct lookup *l)
{
	if (l->list != NULL)
		freeaddrinfo(l->list);
	free(l->host);
	free(l->port);
	free(l);
}

/* Call with the lock held; releases it. */
static void shared_unref(struct shared *s)
{
	bool last = --s->refs == 0;

	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	while (s->done != NULL) {
		struct lookup *l = s->done;
		s->done = l->next;
		lookup_free(l);
	}
	close(s->event_fd);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void *run_lookup(void *arg)
{
	struct lookup *l = arg;
	struct shared *s = l->shared;
	struct addrinfo hints = {.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG,
				 .ai_socktype = SOCK_STREAM};

	l->rc = getaddrinfo(l->host, l->port, &hints, &l->list);
	if (l->rc != 0)
		l->list = NULL;
	pthread_mutex_lock(&s->lock);
	l->next = s->done;
	s->done = l;
	eventfd_write(s->event_fd, 1);
	shared_unref(s);
	return NULL;
}

static void finish(struct lookup *l)
{
	struct err e;

	l->resolver->n_running--;
	if (l->cb == NULL) {
		lookup_free(l);
		return;
	}
	struct addrinfo *list = l->list;
	l->list = NULL;
	if (list == NULL)
		err_set(&e, ERR_CONNECT, "cannot find the host %s: %s", l->host,
			gai_strerror(l->rc));
	l->cb(list, list != NULL ? NULL : &e, l->arg);
	lookup_free(l);
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
	struct resolver *r = arg;
	struct shared *s = r->shared;
	eventfd_t n;

	eventfd_read((int)fd, &n);
	pthread_mutex_lock(&s->lock);
	struct lookup *l = s->done;
	/* One at a time: the callback may free the resolver. */
	if (l != NULL) {
		s->done = l->next;
		if (s->done != NULL)
			eventfd_write(s->event_fd, 1);
	}
	pthread_mutex_unlock(&s->lock);
	if (l != NULL)
		finish(l);
}

struct resolver *resolver_new(struct event_base *base, struct err *e)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0) {
		err_set(e, ERR_IO, "cannot make an eventfd: %s", strerror(errno));
		return NULL;
	}
	struct resolver *r = mem_zalloc(sizeof(*r));
	r->shared = mem_zalloc(sizeof(*r->shared));
	r->shared->refs = 1;
	r->shared->event_fd = fd;
	pthread_mutex_init(&r->shared->lock, NULL);
	r->event = event_new(base, fd, EV_READ | EV_PERSIST, on_done, r);
	if (r->event == NULL || event_add(r->event, NULL) != 0) {
		err_set(e, ERR_IO, "out of memory for a resolver");
		resolver_free(r);
		return NULL;
	}
	return r;
}

void resolver_free(struct resolver *r)
{
	if (r == NULL)
		return;
	if (r->event != NULL)
		event_free(r->event);
	pthread_mutex_lock(&r->shared->lock);
	shared_unref(r->shared);
	free(r);
}

struct addrinfo *resolver_numeric(const char *host, const char *port)
{
	struct addrinfo *list = NULL;
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				 .ai_socktype = SOCK_STREAM};

	return getaddrinfo(host, port, &hints, &list) == 0 ? list : NULL;
}

/* Signals are for the event loop's thread. */
static int start_thread(struct lookup *l)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t thread;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(&thread, &attr, run_lookup, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return rc;
}

struct lookup *resolver_start(struct resolver *r, const char *host, const char *port,
			      resolve_cb *cb, void *arg, struct err *e)
{
	if (r->n_running >= THREADS_MAX) {
		err_set(e, ERR_CONNECT, "cannot find the host %s: too many look-ups are under way",
			host);
		return NULL;
	}
	struct lookup *l = mem_zalloc(sizeof(*l));
	l->resolver = r;
	l->shared = r->shared;
	l->host = mem_strdup(host);
	l->port = mem_strdup(port);
	l->cb = cb;
	l->arg = arg;
	pthread_mutex_lock(&r->shared->lock);
	r->shared->refs++;
	pthread_mutex_unlock(&r->shared->lock);
	int rc = start_thread(l);
	if (rc != 0) {
		pthread_mutex_lock(&r->shared->lock);
		shared_unref(r->shared);
		lookup_free(l);
		err_set(e, ERR_CONNECT, "cannot find the host %s: %s", host, strerror(rc));
		return NULL;
	}
	r->n_running++;
	return l;
}

void resolver_cancel(struct lookup *l)
{
	l->cb = NULL;
}
