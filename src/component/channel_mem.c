/* Channels between threads of one process. */
#include "config.h"

#include "component/channel.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct mem_msg {
	struct mem_msg *next;
	char *from, *to, *tag;
	char *data;
	size_t len;
};

struct channel_hub {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct mem_msg *first, **last;
	int64_t timeout_ms;
	bool aborted;
};

struct mem_channel {
	struct channel base;
	struct channel_hub *hub;
	char *self; /* "role/party" */
};

struct channel_hub *channel_hub_new(int64_t timeout_ms)
{
	struct channel_hub *h = mem_zalloc(sizeof *h);

	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->changed, NULL);
	h->last = &h->first;
	h->timeout_ms = timeout_ms;
	return h;
}

static void msg_free(struct mem_msg *m)
{
	free(m->from);
	free(m->to);
	free(m->tag);
	free(m->data);
	free(m);
}

void channel_hub_free(struct channel_hub *h)
{
	struct mem_msg *m;

	while ((m = h->first) != NULL) {
		h->first = m->next;
		msg_free(m);
	}
	pthread_cond_destroy(&h->changed);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void channel_hub_abort(struct channel_hub *h)
{
	pthread_mutex_lock(&h->lock);
	h->aborted = true;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
}

static bool mem_send(struct channel *ch, const char *role, const char *party, const char *tag,
		     const void *data, size_t len, struct err *e)
{
	struct mem_channel *c = (struct mem_channel *)ch;
	struct mem_msg *m = mem_zalloc(sizeof *m);

	m->from = mem_strdup(c->self);
	m->to = mem_printf("%s/%s", role, party);
	m->tag = mem_strdup(tag);
	m->data = mem_alloc(len ? len : 1);
	if (len > 0)
		memcpy(m->data, data, len);
	m->len = len;
	pthread_mutex_lock(&c->hub->lock);
	*c->hub->last = m;
	c->hub->last = &m->next;
	pthread_cond_broadcast(&c->hub->changed);
	pthread_mutex_unlock(&c->hub->lock);
	return true;
}

/* The first message between the two, taken out of the queue; the hub is locked. */
static struct mem_msg *take(struct channel_hub *h, const char *from, const char *to)
{
	struct mem_msg **p, *m;

	for (p = &h->first; (m = *p) != NULL; p = &m->next) {
		if (strcmp(m->from, from) != 0 || strcmp(m->to, to) != 0)
			continue;
		*p = m->next;
		if (h->last == &m->next)
			h->last = p;
		return m;
	}
	return NULL;
}

static bool mem_recv(struct channel *ch, const char *role, const char *party, const char *tag,
		     size_t max_len, struct buf *out, struct err *e)
{
	struct mem_channel *c = (struct mem_channel *)ch;
	struct channel_hub *h = c->hub;
	char *from = mem_printf("%s/%s", role, party);
	struct mem_msg *m;
	struct timespec until;
	bool ok = true;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)(h->timeout_ms / 1000);
	pthread_mutex_lock(&h->lock);
	while ((m = take(h, from, c->self)) == NULL && !h->aborted && ok)
		ok = pthread_cond_timedwait(&h->changed, &h->lock, &until) != ETIMEDOUT;
	pthread_mutex_unlock(&h->lock);
	free(from);
	if (m == NULL)
		return ok ? err_set(e, ERR_PEER, "the peer is gone")
			  : err_set(e, ERR_TIMEOUT, "nothing came in time");
	if (strcmp(m->tag, tag) != 0)
		ok = err_set(e, ERR_PEER, "the peer sent '%s' instead", m->tag);
	else if (m->len > max_len)
		ok = err_set(e, ERR_LIMIT, "longer than %zu bytes", max_len);
	else
		buf_add(out, m->data, m->len);
	msg_free(m);
	return ok;
}

static void mem_free(struct channel *ch)
{
	struct mem_channel *c = (struct mem_channel *)ch;

	free(c->self);
	free(c);
}

static const struct channel_ops mem_ops = {mem_send, mem_recv, mem_free};

struct channel *channel_mem_new(struct channel_hub *hub, const char *role, const char *party)
{
	struct mem_channel *c = mem_zalloc(sizeof *c);

	c->base.ops = &mem_ops;
	c->hub = hub;
	c->self = mem_printf("%s/%s", role, party);
	return &c->base;
}
