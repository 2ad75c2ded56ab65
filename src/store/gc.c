#include "store/gc.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/tree.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A job of 10,000 tasks takes a second: as many at once as stay well below the limit of a
 * statement. */
#define FIRST_DELETE    4
#define JOBS_PER_DELETE 128
#define QUICK_MS        500
#define SLOW_MS         2000
#define DIRS_PER_LOOK   200
#define HISTORY_ROWS    10000

static const char *const roots[] = {"work", "logs", "tables"}; /* of each job */

/* One clean-up on its way. */
struct gc {
	struct node *node;
	struct gc_opts opts;
	gc_cb *cb; /* NULL: nobody is told */
	void *arg;
	struct gc_result result;
	size_t at; /* index into jobs, or into dirs */
	size_t per_delete;
	int64_t delete_ms; /* when the delete under way was sent */
	size_t root;       /* dry run: index into roots */
	json_t *dirs;      /* rows of gc_dirs: [root, name, used] */
	struct db_array done_roots, done_names, failed_roots, failed_names;
	size_t n_done, n_failed;
};

/* The one that runs, so that there are never two, and nothing is lost sight of at the end of the
 * process. */
static struct gc *current;

void gc_data_uri(const struct node *n, struct buf *out)
{
	buf_printf(out, "file://%s/", n->conf->data_dir);
}

static void finish(struct gc *g)
{
	current = NULL;
	if (g->cb != NULL)
		g->cb(&g->result, g->arg);
	else if (g->result.error.code != ERR_OK && g->result.error.code != ERR_CONFLICT)
		log_warn(LOG_CTX_NONE, "clean-up: %s", g->result.error.msg);
	json_decref(g->result.jobs);
	json_decref(g->result.partitions);
	json_decref(g->dirs);
	free(g);
}

static void fail(struct gc *g, const struct err *e)
{
	if (g->result.error.code == ERR_OK)
		g->result.error = *e;
	finish(g);
}

static void bind_data_uri(struct gc *g, struct db_batch *b)
{
	struct buf uri = {0};

	gc_data_uri(g->node, &uri);
	db_text(b, uri.data);
	buf_free(&uri);
}

/* Where a marked directory is; false: that is none of ours. */
static bool path_of(const struct node *n, const char *root, const char *name, struct buf *out)
{
	struct err e;

	if (strcmp(root, "model") == 0)
		return str_starts(name, "models/") && fs_join(n->conf->data_dir, name, out, &e);
	if (!str_is_name(name, 64))
		return false;
	if (strcmp(root, "logs") == 0) {
		buf_printf(out, "%s/%s", n->conf->log_dir, name);
		return strcmp(name, "norn") != 0; /* the log of the server itself */
	}
	buf_printf(out, "%s/%s/%s", n->conf->data_dir, root, name);
	return true;
}

/* ---- the history, which comes last ---- */

static void trim_history(struct gc *g);

static void on_trimmed(struct db_result *res, void *arg)
{
	struct gc *g = arg;

	if (db_error(res) != NULL)
		fail(g, db_error(res));
	else if (db_get_bool(res, 0, 0, "more"))
		trim_history(g);
	else
		finish(g);
}

static void trim_history(struct gc *g)
{
	struct db_batch *b = db_batch_new(g->node->db);

	db_add(b, Q_GC_HISTORY);
	db_int(b, g->opts.events_days);
	db_int(b, HISTORY_ROWS);
	db_submit(b, on_trimmed, g);
}

static void on_events(struct db_result *res, void *arg)
{
	struct gc *g = arg;

	if (db_error(res) != NULL) {
		fail(g, db_error(res));
		return;
	}
	for (int i = 0; i < db_rows(res, 0); i++)
		json_array_append_new(g->result.partitions, json_string(db_get(res, 0, i, "name")));
	if (g->opts.dry_run)
		finish(g);
	else
		trim_history(g);
}

static void drop_events(struct gc *g)
{
	struct db_batch *b;

	if (g->opts.events_days <= 0) {
		finish(g);
		return;
	}
	b = db_batch_new(g->node->db);
	db_add(b, Q_GC_EVENTS);
	db_int(b, g->opts.events_days);
	db_bool(b, g->opts.dry_run);
	db_submit(b, on_events, g);
}

/* ---- marked directories ---- */

static void look(struct gc *g);
static void next_dir(struct gc *g);

static void on_settled(struct db_result *res, void *arg)
{
	struct gc *g = arg;
	bool again = g->n_done > 0;

	g->n_done = g->n_failed = 0;
	if (db_error(res) != NULL)
		fail(g, db_error(res));
	else if (again)
		look(g);
	else
		drop_events(g);
}

static void settle(struct gc *g)
{
	struct db_batch *b = db_batch_new(g->node->db);

	db_add(b, Q_GC_DIRS_DONE);
	db_array(b, &g->done_roots);
	db_array(b, &g->done_names);
	if (g->n_failed > 0) {
		db_add(b, Q_GC_DIRS_LATER);
		db_array(b, &g->failed_roots);
		db_array(b, &g->failed_names);
	}
	db_submit(b, on_settled, g);
}

static void dir_done(struct gc *g, bool gone)
{
	const json_t *row = json_array_get(g->dirs, g->at++);

	db_array_text(gone ? &g->done_roots : &g->failed_roots,
		      json_string_value(json_array_get(row, 0)));
	db_array_text(gone ? &g->done_names : &g->failed_names,
		      json_string_value(json_array_get(row, 1)));
	if (gone)
		g->n_done++;
	else
		g->n_failed++;
}

/* Directories that held only this file, up to the models' own. */
static void remove_parents(const struct node *n, const char *rel)
{
	char *path = mem_strdup(rel);
	char *slash;

	while ((slash = strrchr(path, '/')) != NULL && slash != strchr(path, '/')) {
		*slash = '\0';
		char *full = mem_printf("%s/%s", n->conf->data_dir, path);
		bool empty = rmdir(full) == 0;
		free(full);
		if (!empty)
			break;
	}
	free(path);
}

static void on_removed(int64_t bytes, const struct err *e, void *arg)
{
	struct gc *g = arg;
	const json_t *row = json_array_get(g->dirs, g->at);

	if (e == NULL)
		g->result.bytes += bytes;
	else
		log_warn(LOG_CTX_NONE, "clean-up: %s", e->msg);
	if (e == NULL && strcmp(json_string_value(json_array_get(row, 0)), "model") == 0)
		remove_parents(g->node, json_string_value(json_array_get(row, 1)));
	dir_done(g, e == NULL);
	next_dir(g);
}

static void next_dir(struct gc *g)
{
	while (g->at < json_array_size(g->dirs)) {
		const json_t *row = json_array_get(g->dirs, g->at);
		struct buf path = {0};
		bool ours = !json_is_true(json_array_get(row, 2)) &&
			    path_of(g->node, json_string_value(json_array_get(row, 0)),
				    json_string_value(json_array_get(row, 1)), &path);
		if (ours)
			tree_walk(g->node->base, path.data, true, on_removed, g);
		buf_free(&path);
		if (ours)
			return;
		dir_done(
		    g, true); /* somebody else's now: it goes with the last row that points there */
	}
	settle(g);
}

static void on_dirs(struct db_result *res, void *arg)
{
	struct gc *g = arg;

	if (db_error(res) != NULL) {
		fail(g, db_error(res));
		return;
	}
	if (db_rows(res, 0) == 0) {
		drop_events(g);
		return;
	}
	json_decref(g->dirs);
	g->dirs = json_array();
	g->at = 0;
	for (int i = 0; i < db_rows(res, 0); i++)
		json_array_append_new(g->dirs, json_pack("[s, s, b]", db_get(res, 0, i, "root"),
							 db_get(res, 0, i, "name"),
							 (int)db_get_bool(res, 0, i, "used")));
	next_dir(g);
}

static void look(struct gc *g)
{
	struct db_batch *b = db_batch_new(g->node->db);

	db_add(b, Q_GC_DIRS);
	bind_data_uri(g, b);
	db_int(b, DIRS_PER_LOOK);
	db_submit(b, on_dirs, g);
}

/* ---- rows of jobs ---- */

static void delete_some(struct gc *g);

static void on_deleted(struct db_result *res, void *arg)
{
	struct gc *g = arg;

	if (db_error(res) != NULL) {
		fail(g, db_error(res));
		return;
	}
	g->result.n_jobs += db_rows(res, 0);
	int64_t took_ms = clock_mono_ms() - g->delete_ms;
	if (took_ms < QUICK_MS && g->per_delete < JOBS_PER_DELETE)
		g->per_delete *= 2;
	else if (took_ms > SLOW_MS && g->per_delete > 1)
		g->per_delete /= 2;
	delete_some(g);
}

static void delete_some(struct gc *g)
{
	size_t n = json_array_size(g->result.jobs);
	struct db_array ids = {0};
	struct db_batch *b;

	if (g->at >= n) {
		look(g);
		return;
	}
	g->delete_ms = clock_mono_ms();
	for (size_t i = 0; i < g->per_delete && g->at < n; i++)
		db_array_text(&ids, js_str(json_array_get(g->result.jobs, g->at++), "job_id", ""));
	b = db_batch_new(g->node->db);
	db_add(b, Q_GC_JOBS);
	db_array(b, &ids);
	bind_data_uri(g, b);
	db_submit(b, on_deleted, g);
}

/* ---- a dry run adds up what there is ---- */

static void measure(struct gc *g);

static void on_measured(int64_t bytes, const struct err *e, void *arg)
{
	struct gc *g = arg;
	json_t *job = json_array_get(g->result.jobs, g->at);

	g->result.bytes += bytes;
	json_object_set_new(job, "bytes", json_integer(js_int(job, "bytes", 0) + bytes));
	if (++g->root == ARRAY_LEN(roots)) {
		g->root = 0;
		g->at++;
	}
	measure(g);
}

static void measure(struct gc *g)
{
	while (g->at < json_array_size(g->result.jobs)) {
		json_t *job = json_array_get(g->result.jobs, g->at);
		struct buf path = {0};
		bool kept = g->root == 2 && js_bool(job, "tables_kept", false);
		if (!kept && path_of(g->node, roots[g->root], js_str(job, "job_id", ""), &path)) {
			tree_walk(g->node->base, path.data, false, on_measured, g);
			buf_free(&path);
			return;
		}
		buf_free(&path);
		if (++g->root == ARRAY_LEN(roots)) {
			g->root = 0;
			g->at++;
		}
	}
	drop_events(g);
}

static void on_used(struct db_result *res, void *arg)
{
	struct gc *g = arg;
	size_t k;
	json_t *job;

	if (db_error(res) != NULL) {
		fail(g, db_error(res));
		return;
	}
	json_array_foreach (g->result.jobs, k, job) {
		bool kept = false;
		for (int i = 0; i < db_rows(res, 0); i++)
			kept |= str_eq(db_get(res, 0, i, "job_id"), js_str(job, "job_id", ""));
		json_object_set_new(job, "tables_kept", json_boolean(kept));
	}
	g->result.n_jobs = (int64_t)json_array_size(g->result.jobs);
	measure(g);
}

static void ask_used(struct gc *g)
{
	struct db_batch *b = db_batch_new(g->node->db);
	struct db_array ids = {0};
	size_t k;
	json_t *job;

	json_array_foreach (g->result.jobs, k, job)
		db_array_text(&ids, js_str(job, "job_id", ""));
	db_add(b, Q_GC_TABLES_USED);
	db_array(b, &ids);
	bind_data_uri(g, b);
	db_submit(b, on_used, g);
}

/* ---- the start ---- */

static void on_candidates(struct db_result *res, void *arg)
{
	struct gc *g = arg;

	if (db_error(res) != NULL) {
		fail(g, db_error(res));
		return;
	}
	g->result.more = db_rows(res, 0) > g->opts.limit;
	for (int i = 0; i < db_rows(res, 0) && i < g->opts.limit; i++)
		json_array_append_new(g->result.jobs,
				      json_pack("{s:s, s:I}", "job_id", db_get(res, 0, i, "job_id"),
						"end_ms",
						(json_int_t)db_get_int(res, 0, i, "end_ms")));
	if (g->opts.dry_run)
		ask_used(g);
	else
		delete_some(g);
}

static void begin(struct gc *g)
{
	struct db_batch *b;

	if (g->opts.keep_days < 0) {
		if (g->opts.dry_run)
			drop_events(g);
		else
			look(g);
		return;
	}
	b = db_batch_new(g->node->db);
	db_add(b, Q_GC_CANDIDATES);
	db_int(b, g->opts.keep_days);
	db_int(b, g->opts.limit + 1);
	db_submit(b, on_candidates, g);
}

static struct gc *gc_new(struct node *n, const struct gc_opts *opts, gc_cb *cb, void *arg)
{
	struct gc *g = mem_zalloc(sizeof(*g));

	g->node = n;
	g->opts = *opts;
	g->cb = cb;
	g->arg = arg;
	g->per_delete = FIRST_DELETE;
	g->result.jobs = json_array();
	g->result.partitions = json_array();
	return g;
}

static void on_begin(evutil_socket_t fd, short what, void *arg)
{
	struct gc *g = arg;

	if (current != NULL) {
		struct gc *first = current;
		err_set(&g->result.error, ERR_CONFLICT,
			"a clean-up is running at this node: try again when it is over");
		finish(g);
		current = first;
		return;
	}
	current = g;
	begin(g);
}

void gc_run(struct node *n, const struct gc_opts *opts, gc_cb *cb, void *arg)
{
	static const struct timeval now = {0, 0};

	event_base_once(n->base, -1, EV_TIMEOUT, on_begin, gc_new(n, opts, cb, arg), &now);
}

void gc_sweep(struct node *n)
{
	static const struct timeval now = {0, 0};
	static const struct gc_opts only_dirs = {.keep_days = -1};

	if (current == NULL)
		event_base_once(n->base, -1, EV_TIMEOUT, on_begin,
				gc_new(n, &only_dirs, NULL, NULL), &now);
}
