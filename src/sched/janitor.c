#include "config.h"

#include "sched/janitor.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "sched/retention.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REGISTER_RETRY_MS 1000
#define HOURLY_MS         3600000
#define RETENTION_LOOK_MS 60000

/* One a process. */
static struct janitor {
	struct node *node;
	struct event *timer;
	void (*ready)(struct node *n);
	void (*lease_lost)(struct node *n);
	void (*done)(struct node *n);
	bool registered;
	bool beating; /* one is on its way */
	int64_t sent_ms;
	int64_t sweep_at_ms;
	int64_t hourly_at_ms;
	int64_t retention_at_ms;
} jan;

static int64_t beat_every_ms(void)
{
	return jan.node->conf->lease_ms / 5;
}

static void sleep_ms(int64_t ms)
{
	const struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	evtimer_add(jan.timer, &tv);
}

/* ---- registering ---- */

static void on_registered(struct db_result *r, void *arg)
{
	struct node *n = jan.node;

	if (db_error(r) != NULL) {
		log_error(LOG_CTX_NONE, "this node cannot register: %s", db_error(r)->msg);
		sleep_ms(REGISTER_RETRY_MS);
		return;
	}
	jan.registered = true;
	/* Not from when it was sent: it may have waited long for a connection. The first beat is
	 * exact again. */
	n->beat_ms = clock_mono_ms();
	log_info(LOG_CTX_NONE, "node %s has registered as %s", n->name, n->id);
	jan.ready(n);
	sleep_ms(beat_every_ms());
}

static char *duties_text(const struct node *n)
{
	struct buf b = {0};
	size_t i;
	json_t *v;

	json_array_foreach (n->conf->node_duties, i, v)
		buf_printf(&b, "%s%s", i > 0 ? "," : "", json_string_value(v));
	return buf_take(&b);
}

static void do_register(void)
{
	struct node *n = jan.node;
	const struct node_conf *c = n->conf;
	const char *address = c->peer_address != NULL ? c->peer_address : c->peer_listen;
	char *url = address == NULL ? mem_strdup("") : mem_printf("https://%s", address);
	char *duties = duties_text(n);
	struct db_batch *b = db_batch_new(n->db);

	str_random_hex(n->id, 16);
	jan.sent_ms = clock_mono_ms();
	db_add(b, Q_NODE_REGISTER);
	db_text(b, n->id);
	db_text(b, n->name);
	db_text(b, duties);
	db_text(b, url);
	db_text(b, PACKAGE_VERSION);
	db_int(b, c->lease_ms);
	if (node_conf_has_duty(c, "exec")) {
		db_add(b, Q_ENGINE_SET);
		db_text(b, c->engine);
		db_int(b, c->cores);
		db_int(b, c->memory_mb);
	}
	db_add(b, Q_EVENT_PARTITIONS);
	db_submit(b, on_registered, NULL);
	free(url);
	free(duties);
}

/* ---- the beat ---- */

static void give_up_lease(const char *why)
{
	log_error(LOG_CTX_NONE,
		  "node %s has lost its lease (%s): it ends its runs and registers anew",
		  jan.node->name, why);
	jan.registered = false;
	jan.lease_lost(jan.node);
	sleep_ms(REGISTER_RETRY_MS);
}

static void on_beat(struct db_result *r, void *arg)
{
	struct node *n = jan.node;

	jan.beating = false;
	if (n->stopping || !jan.registered)
		return;
	if (db_error(r) != NULL) {
		log_warn(LOG_CTX_NONE, "no sign of life could be given: %s", db_error(r)->msg);
		return;
	}
	if (db_get_int(r, 0, 0, "back_ms") > 0)
		log_warn(LOG_CTX_NONE,
			 "the database's clock has gone back by %lld ms: leases and waiting times "
			 "went back "
			 "with it",
			 (long long)db_get_int(r, 0, 0, "back_ms"));
	if (db_rows(r, 1) == 0) {
		give_up_lease("the database had given it up");
		return;
	}
	/* The lease counts from when the beat was sent: the database saw it later than that. */
	n->beat_ms = jan.sent_ms;
}

static void on_dropped(struct db_result *r, void *arg)
{
	if (db_error(r) != NULL)
		log_warn(LOG_CTX_NONE, "removed uploads are still listed: %s", db_error(r)->msg);
}

/* Uploaded files whose job is over: most have been read and removed by it. */
static void drop_uploads(const struct db_result *r, int stmt)
{
	struct db_array names = {0};
	struct db_batch *b;

	if (db_rows(r, stmt) == 0)
		return;
	for (int i = 0; i < db_rows(r, stmt); i++) {
		const char *name = db_get(r, stmt, i, "name");
		char *path = mem_printf("%s/uploads/%s", jan.node->conf->data_dir, name);
		if (str_is_name(name, 64) && unlink(path) != 0 && errno != ENOENT)
			log_warn(LOG_CTX_NONE, "the uploaded file %s stays: %s", path,
				 strerror(errno));
		db_array_text(&names, name);
		free(path);
	}
	b = db_batch_new(jan.node->db);
	db_add(b, Q_UPLOAD_DROP);
	db_array(b, &names);
	db_submit(b, on_dropped, NULL);
}

/* The statements of a sweep. Grants first: they are locked before rows of job_work everywhere. */
enum { S_EXPIRE, S_RUNS, S_OVERDUE, S_UPLOADS };

static void on_swept(struct db_result *r, void *arg)
{
	int64_t lost, overdue;

	if (db_error(r) != NULL)
		return;
	drop_uploads(r, S_UPLOADS);
	lost = db_get_int(r, S_RUNS, 0, "n");
	overdue = db_get_int(r, S_OVERDUE, 0, "n");
	if (lost > 0)
		log_warn(LOG_CTX_NONE, "%lld runs of dead nodes were given up", (long long)lost);
	if (overdue > 0)
		log_warn(LOG_CTX_NONE, "%lld runs at parties that do not answer were given up",
			 (long long)overdue);
	if (lost + overdue > 0) {
		node_wake(jan.node, WAKE_SCHED);
		node_wake(jan.node, WAKE_OUTBOX);
	}
}

static void sweep(int64_t now_ms)
{
	struct db_batch *b = db_batch_new(jan.node->db);
	char *actor = mem_printf("node %s", jan.node->name);

	jan.sweep_at_ms = now_ms + jan.node->conf->lease_ms / 2;
	db_add(b, Q_SCHED_EXPIRE);
	db_add(b, Q_RUNS_OF_DEAD_NODES);
	db_text(b, actor);
	db_add(b, Q_SCHED_OVERDUE);
	db_int(b, jan.node->conf->peer_gone_s);
	db_add(b, Q_UPLOADS_OVER);
	if (now_ms >= jan.hourly_at_ms) {
		jan.hourly_at_ms = now_ms + HOURLY_MS;
		db_add(b, Q_EVENT_PARTITIONS);
		db_add(b, Q_NODE_FORGET);
	}
	db_submit(b, on_swept, NULL);
	free(actor);
	if (now_ms >= jan.retention_at_ms) {
		jan.retention_at_ms = now_ms + RETENTION_LOOK_MS;
		retention_look(jan.node);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct node *n = jan.node;
	int64_t now_ms = clock_mono_ms();

	if (n->stopping)
		return;
	if (!jan.registered) {
		do_register();
		return;
	}
	if (now_ms - n->beat_ms > n->conf->lease_ms) {
		give_up_lease("the database could not be reached in time");
		return;
	}
	if (!jan.beating) {
		struct db_batch *b = db_batch_new(n->db);
		jan.beating = true;
		jan.sent_ms = now_ms;
		db_add(b, Q_CLOCK_CHECK);
		db_add(b, Q_NODE_BEAT);
		db_text(b, n->id);
		db_submit(b, on_beat, NULL);
	}
	if (now_ms >= jan.sweep_at_ms)
		sweep(now_ms);
	sleep_ms(beat_every_ms());
}

void janitor_start(struct node *n, void (*ready)(struct node *n),
		   void (*lease_lost)(struct node *n))
{
	jan.node = n;
	jan.ready = ready;
	jan.lease_lost = lease_lost;
	jan.timer = evtimer_new(n->base, on_timer, NULL);
	jan.hourly_at_ms = clock_mono_ms() + HOURLY_MS;
	do_register();
}

static void on_stopped(struct db_result *r, void *arg)
{
	jan.done(jan.node);
}

void janitor_stop(struct node *n, void (*done)(struct node *n))
{
	struct db_batch *b;

	jan.done = done;
	evtimer_del(jan.timer);
	if (!jan.registered) {
		done(n);
		return;
	}
	b = db_batch_new(n->db);
	db_add(b, Q_NODE_STOP);
	db_text(b, n->id);
	db_submit(b, on_stopped, NULL);
}

void janitor_free(void)
{
	if (jan.timer != NULL)
		event_free(jan.timer);
	jan.timer = NULL;
}
