/* LISTEN on a connection of its own. */
#include "db/db_int.h"
#include "base/log.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

/* LISTEN for every channel, again for those that have it already: it costs nothing. */
static void send_listen(struct db_listener *l)
{
	struct listen_channel *ch;
	struct buf sql = {0};
	bool sent;

	l->changed = false;
	SLIST_FOREACH(ch, &l->channels, link)
	{
		char *name = PQescapeIdentifier(l->link.pg, ch->name, strlen(ch->name));

		if (!name) {
			buf_free(&sql);
			link_fail(&l->link, PQerrorMessage(l->link.pg));
			return;
		}
		buf_printf(&sql, "LISTEN %s;", name);
		PQfreemem(name);
	}
	sent = PQsendQuery(l->link.pg, buf_str(&sql)) == 1;
	buf_free(&sql);
	if (!sent) {
		link_fail(&l->link, PQerrorMessage(l->link.pg));
		return;
	}
	l->busy = true;
	if (!link_flush(&l->link))
		return;
}

static void tell_all(struct db_listener *l)
{
	struct listen_channel *ch;

	SLIST_FOREACH(ch, &l->channels, link)
	ch->fn(NULL, ch->arg);
}

/* False: LISTEN failed and the link with it. */
static bool finish_listen(struct db_listener *l)
{
	while (l->busy && !PQisBusy(l->link.pg)) {
		PGresult *res = PQgetResult(l->link.pg);

		if (!res) {
			l->busy = false;
			tell_all(l);
			continue;
		}
		if (PQresultStatus(res) != PGRES_COMMAND_OK) {
			char *why = mem_strdup(PQresultErrorMessage(res));

			PQclear(res);
			link_fail(&l->link, why);
			free(why);
			return false;
		}
		PQclear(res);
	}
	return true;
}

static void listener_readable(struct link *link)
{
	struct db_listener *l = link->owner;
	struct listen_channel *ch;
	PGnotify *n;

	if (!finish_listen(l))
		return;
	while ((n = PQnotifies(link->pg))) {
		SLIST_FOREACH(ch, &l->channels, link)
		if (strcmp(ch->name, n->relname) == 0)
			ch->fn(n->extra, ch->arg);
		PQfreemem(n);
	}
	if (l->changed && !l->busy)
		send_listen(l);
}

static void listener_up(struct link *link)
{
	send_listen(link->owner);
}

static void listener_down(struct link *link, const char *reason)
{
	struct db_listener *l = link->owner;

	l->busy = false;
}

static const struct link_ops listener_ops = {
    .up = listener_up, .readable = listener_readable, .down = listener_down};

void listener_init(struct db_listener *l, struct db *db)
{
	l->db = db;
	SLIST_INIT(&l->channels);
	link_init(&l->link, db->base, &db->target, &listener_ops, l);
}

void listener_close(struct db_listener *l)
{
	struct listen_channel *ch;

	link_close(&l->link);
	while ((ch = SLIST_FIRST(&l->channels))) {
		SLIST_REMOVE_HEAD(&l->channels, link);
		free(ch->name);
		free(ch);
	}
}

void db_listen(struct db *db, const char *channel, void (*fn)(const char *payload, void *arg),
	       void *arg)
{
	struct db_listener *l = &db->listener;
	struct listen_channel *ch = mem_zalloc(sizeof(*ch));

	ch->name = mem_strdup(channel);
	ch->fn = fn;
	ch->arg = arg;
	SLIST_INSERT_HEAD(&l->channels, ch, link);
	if (!l->started) {
		l->started = true;
		link_start(&l->link);
	} else if (l->link.state == LINK_UP) {
		l->changed = true;
		if (!l->busy)
			send_listen(l);
	}
}
