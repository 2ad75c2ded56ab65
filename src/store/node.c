#include "store/node.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

#define CHANNEL         "norn"
#define NOTIFY_DELAY_MS 8

static const char letters[WAKE_COUNT + 1] = "sox";

void node_on_wake(struct node *n, enum node_wake what, void (*fn)(void *arg), void *arg)
{
	n->wake[what].fn = fn;
	n->wake[what].arg = arg;
}

static void run_local(evutil_socket_t fd, short what, void *arg)
{
	struct node *n = arg;
	unsigned mask = n->local_mask;

	n->local_mask = 0;
	for (int i = 0; i < WAKE_COUNT; i++) {
		if ((mask & (1U << i)) != 0 && n->wake[i].fn != NULL && !n->stopping)
			n->wake[i].fn(n->wake[i].arg);
	}
}

void node_wake_local(struct node *n, enum node_wake what)
{
	if (n->local_timer == NULL)
		n->local_timer = evtimer_new(n->base, run_local, n);
	if (n->local_mask == 0) {
		const struct timeval now = {0, 0};
		evtimer_add(n->local_timer, &now);
	}
	n->local_mask |= 1U << what;
}

static void send_notify(evutil_socket_t fd, short what, void *arg)
{
	struct node *n = arg;
	char payload[WAKE_COUNT + 1];
	size_t len = 0;

	for (int i = 0; i < WAKE_COUNT; i++) {
		if ((n->notify_mask & (1U << i)) != 0)
			payload[len++] = letters[i];
	}
	payload[len] = '\0';
	n->notify_mask = 0;
	struct db_batch *b = db_batch_new(n->db);
	db_add(b, Q_DB_NOTIFY);
	db_text(b, CHANNEL);
	db_text(b, payload);
	db_submit(b, NULL, NULL);
}

void node_wake(struct node *n, enum node_wake what)
{
	node_wake_local(n, what);
	if (n->notify_timer == NULL)
		n->notify_timer = evtimer_new(n->base, send_notify, n);
	if (n->notify_mask == 0) {
		const struct timeval soon = {0, NOTIFY_DELAY_MS * 1000};
		evtimer_add(n->notify_timer, &soon);
	}
	n->notify_mask |= 1U << what;
}

static void on_notify(const char *payload, void *arg)
{
	struct node *n = arg;

	for (int i = 0; i < WAKE_COUNT; i++) {
		/* NULL: reconnected, anything may have been missed. */
		if (payload == NULL || strchr(payload, letters[i]) != NULL)
			node_wake_local(n, (enum node_wake)i);
	}
}

void node_listen(struct node *n)
{
	db_listen(n->db, CHANNEL, on_notify, n);
}

void node_wakes_free(struct node *n)
{
	if (n->notify_timer != NULL)
		event_free(n->notify_timer);
	if (n->local_timer != NULL)
		event_free(n->local_timer);
	n->notify_timer = n->local_timer = NULL;
}

bool node_serves(const struct node *n, const char *party_id)
{
	return str_eq(party_id, "0") || node_conf_has_party(n->conf, party_id);
}

char *node_worker_address(const struct node *n)
{
	if (n->conf->http_address != NULL)
		return mem_strdup(n->conf->http_address);
	return n->worker_port > 0 ? mem_printf("127.0.0.1:%d", n->worker_port)
				  : mem_strdup(n->conf->http_listen);
}

json_t *node_envelope(enum err_code code, const char *message, json_t *data)
{
	json_t *v = json_object();
	struct buf clean = {0};

	/* A text cut in the middle of a character, or echoed from a request, is no JSON string. */
	if (!str_is_utf8(message, strlen(message))) {
		str_vis(&clean, message, strlen(message));
		message = buf_str(&clean);
	}
	json_object_set_new(v, "code", json_integer(code));
	json_object_set_new(v, "message", json_string(message));
	buf_free(&clean);

	if (data != NULL)
		json_object_set_new(v, "data", data);
	return v;
}
