/* One libpq connection on the event loop. */
#include "db/db_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_MIN_MS     100
#define BACKOFF_MAX_MS     5000
#define CONNECT_TIMEOUT_MS 5000

/* Keep-alives that notice a vanished host in about ten seconds instead of the system's two hours.
 */
static const char *const keepalive_defaults[][2] = {{"keepalives_idle", "5"},
						    {"keepalives_interval", "2"},
						    {"keepalives_count", "3"},
						    {"tcp_user_timeout", "10000"}};

/* The planner settings: every statement finds its rows by index, but plans are made once and kept,
 * perhaps when the tables were still empty and reading them whole looked cheap. What is read lies
 * in memory: pages cost next to nothing, rows do. */
static const char setup_sql[] =
    "SELECT set_config('statement_timeout', $1, false),"
    " set_config('idle_in_transaction_session_timeout', '60000', false),"
    " set_config('TimeZone', 'UTC', false),"
    " set_config('DateStyle', 'ISO, YMD', false),"
    " set_config('search_path', 'norn, public', false),"
    " set_config('enable_seqscan', 'off', false),"
    " set_config('seq_page_cost', '0.01', false),"
    " set_config('random_page_cost', '0.01', false),"
    " set_config('enable_hashjoin', 'off', false),"
    " set_config('enable_mergejoin', 'off', false),"
    " set_config('plan_cache_mode', 'force_generic_plan', false),"
    " set_config('jit', 'off', false)";

static int list_length(const char *list)
{
	int n = 1;

	for (; list && *list; list++)
		n += *list == ',';
	return n;
}

static void target_add(struct link_target *t, const char *keyword, const char *value)
{
	t->keywords = mem_resize(t->keywords, (size_t)t->n + 2, sizeof(*t->keywords));
	t->values = mem_resize(t->values, (size_t)t->n + 2, sizeof(*t->values));
	t->keywords[t->n] = mem_strdup(keyword);
	t->values[t->n++] = mem_strdup(value);
	t->keywords[t->n] = NULL;
	t->values[t->n] = NULL;
}

static const char *target_get(const struct link_target *t, const char *keyword)
{
	for (int i = 0; i < t->n; i++)
		if (strcmp(t->keywords[i], keyword) == 0)
			return t->values[i];
	return NULL;
}

bool link_target_parse(struct link_target *t, const char *conninfo, const char *application_name,
		       struct err *e)
{
	char *why = NULL;
	char text[256] = "";
	int64_t seconds;

	memset(t, 0, sizeof(*t));
	PQconninfoOption *options = PQconninfoParse(conninfo, &why);

	if (!options) {
		/* libpq's words quote the text, in which a password may stand */
		if (!strstr(conninfo, "pass") && !strchr(conninfo, '@'))
			db_error_text(why, text, sizeof(text));
		PQfreemem(why);
		return err_set(e, ERR_CONFIG, "the database connection string cannot be read%s%s",
			       *text ? ": " : "", text);
	}
	for (const PQconninfoOption *o = options; o->keyword; o++)
		if (o->val)
			target_add(t, o->keyword, o->val);
	PQconninfoFree(options);

	for (size_t i = 0; i < ARRAY_LEN(keepalive_defaults); i++)
		if (!target_get(t, keepalive_defaults[i][0]))
			target_add(t, keepalive_defaults[i][0], keepalive_defaults[i][1]);
	if (application_name && !target_get(t, "application_name"))
		target_add(t, "fallback_application_name", application_name);
	/* the last of two equal keywords counts */
	target_add(t, "client_encoding", "UTF8");

	t->n_hosts = list_length(target_get(t, "host"));
	if (list_length(target_get(t, "hostaddr")) > t->n_hosts)
		t->n_hosts = list_length(target_get(t, "hostaddr"));
	t->connect_timeout_ms = CONNECT_TIMEOUT_MS;
	if (str_to_i64(target_get(t, "connect_timeout") ? target_get(t, "connect_timeout") : "",
		       &seconds) &&
	    seconds > 0 && seconds < 3600)
		t->connect_timeout_ms = (int)seconds * 1000;
	return true;
}

void link_target_free(struct link_target *t)
{
	for (int i = 0; i < t->n; i++) {
		free(t->keywords[i]);
		free(t->values[i]);
	}
	free(t->keywords);
	free(t->values);
	memset(t, 0, sizeof(*t));
}

/* "a,b,c" shifted by 1 is "b,c,a"; a list of another length (one port for all hosts) stays. */
static char *rotate(const char *list, int n, int shift)
{
	const char *cut = list;
	struct buf out = {0};

	if (shift == 0 || list_length(list) != n)
		return mem_strdup(list);
	for (int i = 0; i < shift; i++)
		cut = strchr(cut, ',') + 1;
	buf_adds(&out, cut);
	buf_addc(&out, ',');
	buf_add(&out, list, (size_t)(cut - list) - 1);
	return buf_take(&out);
}

/*
 * PQconnectPoll has no time limit per host: an attempt that runs out of time would be stuck on the
 * same silent host for ever. So the next attempt starts its round with the next host.
 */
static PGconn *start_connection(const struct link_target *t, int timeouts)
{
	int shift = timeouts % t->n_hosts;
	const char **values = mem_array((size_t)t->n + 1, sizeof(*values));
	const char **keywords = mem_array((size_t)t->n + 1, sizeof(*keywords));
	char **rotated = mem_array((size_t)t->n + 1, sizeof(*rotated));

	for (int i = 0; i < t->n; i++) {
		keywords[i] = t->keywords[i];
		values[i] = t->values[i];
		if (str_eq(keywords[i], "host") || str_eq(keywords[i], "hostaddr") ||
		    str_eq(keywords[i], "port"))
			values[i] = rotated[i] = rotate(t->values[i], t->n_hosts, shift);
	}
	PGconn *pg = PQconnectStartParams(keywords, values, 0);

	for (int i = 0; i < t->n; i++)
		free(rotated[i]);
	free(rotated);
	free(keywords);
	free(values);
	return pg;
}

static void stop_events(struct link *l)
{
	if (l->rd)
		event_free(l->rd);
	if (l->wr)
		event_free(l->wr);
	l->rd = l->wr = NULL;
}

static void set_timer(struct link *l, int ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	event_add(l->timer, &tv);
}

static void set_error(struct link *l, const char *text)
{
	char line[ERR_MSG_MAX];

	line[0] = '\0';
	if (*text)
		db_connection_error_text(text, line, sizeof(line));
	free(l->last_error);
	l->last_error = mem_strdup(line);
}

static void disconnect(struct link *l)
{
	stop_events(l);
	if (l->pg)
		PQfinish(l->pg);
	l->pg = NULL;
}

void link_fail(struct link *l, const char *reason)
{
	bool was_up = l->state == LINK_UP;
	unsigned char random[2];

	set_error(l, reason);
	stop_events(l);
	l->state = LINK_WAITING;
	if (was_up)
		l->ops->down(l, l->last_error);
	disconnect(l);

	int pause = BACKOFF_MIN_MS << (l->failures < 6 ? l->failures : 6);

	if (pause > BACKOFF_MAX_MS)
		pause = BACKOFF_MAX_MS;
	evutil_secure_rng_get_bytes(random, sizeof(random));
	pause = pause / 2 + (random[0] << 8 | random[1]) % (pause / 2 + 1);
	log_at(l->failures == 0 ? LOG_WARN : LOG_DEBUG, LOG_CTX_NONE,
	       "a database connection is down, trying again in %d ms: %s", pause, l->last_error);
	if (l->failures < 1000)
		l->failures++;
	set_timer(l, pause);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct link *l = arg;

	if (!link_flush(l))
		return;
}

bool link_flush(struct link *l)
{
	int left = PQflush(l->pg);

	if (left < 0) {
		link_fail(l, PQerrorMessage(l->pg));
		return false;
	}
	if (left > 0)
		event_add(l->wr, NULL);
	return true;
}

static void setup_readable(struct link *l)
{
	PGresult *res;
	bool ok = true;

	while (!PQisBusy(l->pg)) {
		res = PQgetResult(l->pg);
		if (!res) {
			event_del(l->timer);
			l->state = LINK_UP;
			l->failures = 0;
			l->timeouts = 0;
			set_error(l, "");
			l->ops->up(l);
			return;
		}
		ok = PQresultStatus(res) == PGRES_TUPLES_OK;
		if (!ok)
			set_error(l, PQresultErrorMessage(res));
		PQclear(res);
		if (!ok) {
			char *reason = mem_strdup(l->last_error);

			link_fail(l, reason);
			free(reason);
			return;
		}
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct link *l = arg;

	if (!PQconsumeInput(l->pg)) {
		link_fail(l, PQerrorMessage(l->pg));
		return;
	}
	if (l->state == LINK_SETUP)
		setup_readable(l);
	else
		l->ops->readable(l);
}

static void begin_setup(struct link *l)
{
	char timeout[16];
	const char *values[] = {timeout};
	evutil_socket_t fd = PQsocket(l->pg);

	snprintf(timeout, sizeof(timeout), "%d", l->target->statement_timeout_ms);
	PQsetNoticeReceiver(l->pg, db_notice, NULL);
	l->state = LINK_SETUP;
	l->rd = event_new(l->base, fd, EV_READ | EV_PERSIST, on_readable, l);
	l->wr = event_new(l->base, fd, EV_WRITE, on_writable, l);
	if (!l->rd || !l->wr || event_add(l->rd, NULL) < 0) {
		link_fail(l, "the event loop takes no more descriptors");
		return;
	}
	if (PQsetnonblocking(l->pg, 1) != 0 ||
	    !PQsendQueryParams(l->pg, setup_sql, 1, NULL, values, NULL, NULL, 0)) {
		link_fail(l, PQerrorMessage(l->pg));
		return;
	}
	if (!link_flush(l))
		return;
}

static void on_connecting(evutil_socket_t fd, short what, void *arg);

static void wait_connecting(struct link *l, short what)
{
	l->rd = event_new(l->base, PQsocket(l->pg), what, on_connecting, l);
	if (!l->rd || event_add(l->rd, NULL) < 0)
		link_fail(l, "the event loop takes no more descriptors");
}

static void on_connecting(evutil_socket_t fd, short what, void *arg)
{
	struct link *l = arg;

	/* libpq may close this socket and open another: forget it before, not after */
	stop_events(l);
	switch (PQconnectPoll(l->pg)) {
	case PGRES_POLLING_READING:
		wait_connecting(l, EV_READ);
		break;
	case PGRES_POLLING_WRITING:
		wait_connecting(l, EV_WRITE);
		break;
	case PGRES_POLLING_OK:
		begin_setup(l);
		break;
	default:
		link_fail(l, PQerrorMessage(l->pg));
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct link *l = arg;

	if (l->state != LINK_WAITING) {
		l->timeouts = l->timeouts < 1000 ? l->timeouts + 1 : 0;
		link_fail(l, "no connection within the time limit (connect_timeout)");
		return;
	}
	l->state = LINK_CONNECTING;
	l->pg = start_connection(l->target, l->timeouts);
	if (!l->pg || PQstatus(l->pg) == CONNECTION_BAD) {
		link_fail(l, l->pg ? PQerrorMessage(l->pg) : "out of memory");
		return;
	}
	set_timer(l, l->target->connect_timeout_ms);
	wait_connecting(l, EV_WRITE);
}

void link_init(struct link *l, struct event_base *base, const struct link_target *t,
	       const struct link_ops *ops, void *owner)
{
	*l = (struct link){.base = base, .target = t, .ops = ops, .owner = owner};
	l->last_error = mem_strdup("not connected yet");
	l->timer = evtimer_new(base, on_timer, l);
	if (!l->timer)
		log_die(70, "out of memory");
}

void link_start(struct link *l)
{
	l->state = LINK_WAITING;
	set_timer(l, 0);
}

void link_close(struct link *l)
{
	l->state = LINK_CLOSED;
	disconnect(l);
	event_free(l->timer);
	free(l->last_error);
	l->timer = NULL;
	l->last_error = NULL;
}
