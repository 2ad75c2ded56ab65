#include "party/catalog.h"

#include "base/clock.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define FRESH_MS 5000
#define NEAR_MAX 64 /* longer names are not compared */

/* One node a process, so one cache. */
static json_t *cache;
static int64_t cache_until_ms;

struct waiter {
	catalog_cb *cb;
	void *arg;
};

static void on_rows(struct db_result *res, void *arg)
{
	struct waiter *w = arg;

	if (db_error(res) != NULL) {
		w->cb(NULL, db_error(res), w->arg);
		free(w);
		return;
	}
	json_t *all = json_object();
	for (int i = 0; i < db_rows(res, 0); i++) {
		json_t *p =
		    json_pack("{s:s, s:s, s:s}", "name", db_get(res, 0, i, "name"), "version",
			      db_get(res, 0, i, "version"), "device", db_get(res, 0, i, "device"));
		json_object_set_new(p, "metadata", db_get_json(res, 0, i, "metadata"));
		json_object_set_new(p, "components", db_get_json(res, 0, i, "components"));
		json_object_set_new(all, db_get(res, 0, i, "provider_name"), p);
	}
	json_decref(cache);
	cache = all;
	cache_until_ms = clock_mono_ms() + FRESH_MS;
	json_t *held = json_incref(all); /* the callback may make the cache forget */
	w->cb(held, NULL, w->arg);
	json_decref(held);
	free(w);
}

void catalog_get(struct node *n, catalog_cb *cb, void *arg)
{
	if (cache != NULL && clock_mono_ms() < cache_until_ms) {
		json_t *held = json_incref(cache);
		cb(held, NULL, arg);
		json_decref(held);
		return;
	}
	struct waiter *w = mem_zalloc(sizeof(*w));
	w->cb = cb;
	w->arg = arg;
	struct db_batch *b = db_batch_new(n->db);
	db_add(b, Q_PROVIDER_ALL);
	db_submit(b, on_rows, w);
}

void catalog_forget(void)
{
	json_decref(cache);
	cache = NULL;
}

/* ---- names ---- */

/* Whether one part of a provider text, ended by any of `ends`, fits. *text moves behind it. */
static bool part_fits(const char **text, const char *ends, const char *have)
{
	size_t n = strcspn(*text, ends);
	bool fits = n == 0 || (n == 1 && **text == '*') ||
		    (strlen(have) == n && strncmp(*text, have, n) == 0);

	*text += n;
	if (**text != '\0')
		(*text)++;
	return fits;
}

static bool provider_fits(const char *text, const json_t *p)
{
	return part_fits(&text, ":@", js_str(p, "name", "")) &&
	       part_fits(&text, "@", js_str(p, "version", "")) &&
	       part_fits(&text, "", js_str(p, "device", ""));
}

/* "0.10.0" is newer than "0.9.1". */
static int version_cmp(const char *a, const char *b)
{
	while (*a != '\0' || *b != '\0') {
		size_t na = strspn(a, "0123456789");
		size_t nb = strspn(b, "0123456789");
		if (na != nb)
			return na < nb ? -1 : 1;
		int c =
		    na > 0 ? strncmp(a, b, na) : (int)(unsigned char)*a - (int)(unsigned char)*b;
		if (c != 0)
			return c;
		a += na > 0 ? na : 1;
		b += nb > 0 ? nb : 1;
	}
	return 0;
}

static const json_t *find_provider(json_t *providers, const char *text, const char **name)
{
	const json_t *best = NULL;
	const char *key;
	json_t *p;

	json_object_foreach (providers, key, p) {
		if (provider_fits(text, p) &&
		    (best == NULL ||
		     version_cmp(js_str(best, "version", ""), js_str(p, "version", "")) < 0)) {
			best = p;
			*name = key;
		}
	}
	return best;
}

bool catalog_has_provider(json_t *providers, const char *provider)
{
	const char *name;

	return find_provider(providers, provider, &name) != NULL;
}

static void unknown(json_t *among, const char *what, const char *wanted, const char *of,
		    struct err *e)
{
	const char *best = NULL;
	size_t best_distance = 0;
	struct buf known = {0};
	size_t n = 0;
	const char *key;
	json_t *v;

	json_object_foreach (among, key, v) {
		if (n++ < 12)
			buf_printf(&known, "%s%s", known.len > 0 ? ", " : "", key);
		if (strlen(key) > NEAR_MAX || strlen(wanted) > NEAR_MAX)
			continue;
		size_t d = str_distance(key, wanted);
		if (best == NULL || d < best_distance) {
			best = key;
			best_distance = d;
		}
	}
	if (best != NULL && best_distance <= 1 + strlen(wanted) / 3)
		err_set(e, ERR_JOB_PARAMS, "%s '%s' is unknown%s; did you mean '%s'?", what, wanted,
			of, best);
	else
		err_set(e, ERR_JOB_PARAMS, "%s '%s' is unknown%s; known are: %s%s", what, wanted,
			of, buf_str(&known),
			n > 12   ? ", ..."
			: n == 0 ? "none"
				 : "");
	buf_free(&known);
}

const json_t *catalog_component(json_t *providers, const char *provider, const char *component,
				const char **name, struct err *e)
{
	const json_t *p = find_provider(providers, provider, name);

	if (p == NULL) {
		unknown(providers, "provider", provider, " at this site", e);
		return NULL;
	}
	const json_t *desc = json_object_get(json_object_get(p, "components"), component);
	if (desc == NULL) {
		char *of = mem_printf(" to provider %s", *name);
		unknown(json_object_get(p, "components"), "component", component, of, e);
		free(of);
	}
	return desc;
}
