/* /v2/server/overview and /v2/server/doctor: the site as it is now, and what is wrong with it. */
#include "api/api.h"
#include "api/reply.h"
#include "base/clock.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "db/migrate.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define OVERVIEW_ROWS     20
#define OVERVIEW_ROWS_MAX 200
#define PG_OLDEST         140000 /* server_version_num of the oldest PostgreSQL that is tested */
#define CLOCK_WARN_MS     2000
#define CLOCK_BAD_MS      30000 /* half of what a signature may be off */
#define OUTBOX_WARN_MS    60000
#define CERT_WARN_DAYS    30
#define DAY_MS            86400000LL
#define MIB               (1024ULL * 1024)

/* ---- overview ---- */

/* Three statements, one answer: {.., nodes, engines}. */
static void on_overview(struct db_result *res, void *arg)
{
	struct http_req *r = arg;
	json_t *all;

	if (db_error(res) != NULL) {
		reply_db_err(r, res);
		return;
	}
	all = db_get_json(res, 0, 0, "data");
	json_object_set_new(all, "nodes", db_get_json(res, 1, 0, "data"));
	json_object_set_new(all, "engines", db_get_json(res, 2, 0, "data"));
	reply_ok(r, all);
}

static const struct param overview_params[] = {
    {"limit", P_INT, false, "20", .min = 1, .max = OVERVIEW_ROWS_MAX}};

static void overview(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	int64_t limit = js_int(p, "limit", OVERVIEW_ROWS);
	json_decref(p);
	struct db_batch *b = one_statement(r, Q_API_OVERVIEW);
	db_int(b, limit);
	db_add(b, Q_API_NODES);
	db_add(b, Q_API_RESOURCES);
	db_submit(b, on_overview, r);
}

/* ---- doctor ---- */

enum verdict { V_OK, V_WARNING, V_FAILED };
static const char *const verdict_names[] = {"ok", "warning", "failed"};

/* One check: what was looked at, what was found, and what to do (only told when it is not good). */
static void PRINTF_LIKE(5, 6)
    add(json_t *checks, const char *name, enum verdict v, const char *hint, const char *fmt, ...)
{
	struct buf detail = {0};
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* A text of another program may have been cut in the middle of a character. */
	if (str_is_utf8(text, strlen(text)))
		buf_adds(&detail, text);
	else
		str_vis(&detail, text, strlen(text));
	json_t *c = json_pack("{s:s, s:s, s:s}", "name", name, "status", verdict_names[v], "detail",
			      buf_str(&detail));
	if (v != V_OK)
		json_object_set_new(c, "hint", json_string(hint));
	json_array_append_new(checks, c);
	buf_free(&detail);
}

static void check_database(json_t *checks, struct db_result *res)
{
	int64_t off_ms = db_get_int(res, 0, 0, "now_ms") - clock_wall_ms();
	int64_t migration = db_get_int(res, 0, 0, "migration");

	add(checks, "database", db_get_int(res, 0, 0, "version_num") < PG_OLDEST ? V_WARNING : V_OK,
	    "this version is not tested: use PostgreSQL 14 or newer", "PostgreSQL %s",
	    db_get(res, 0, 0, "server_version"));
	add(checks, "schema",
	    migration == db_migration_count  ? V_OK
	    : migration < db_migration_count ? V_FAILED
					     : V_WARNING,
	    migration < db_migration_count ? "run nornd --migrate"
					   : "this node's program is older than the database: "
					     "update it",
	    "migration %lld, this node's program knows %d", (long long)migration,
	    db_migration_count);
	off_ms = off_ms < 0 ? -off_ms : off_ms;
	add(checks, "clock",
	    off_ms > CLOCK_BAD_MS    ? V_FAILED
	    : off_ms > CLOCK_WARN_MS ? V_WARNING
				     : V_OK,
	    "set both clocks by NTP; signatures of requests and times in logs depend on them",
	    "this node and the database differ by %lld ms", (long long)off_ms);
}

static void check_nodes(json_t *checks, struct db_result *res)
{
	const char *silent = db_get(res, 0, 0, "silent_nodes");
	const char *missing = db_get(res, 0, 0, "missing_duties");
	const char *versions = db_get(res, 0, 0, "versions");

	add(checks, "nodes", silent[0] != '\0' ? V_WARNING : V_OK,
	    "a node went away without ending in order: look at its server log and start it again",
	    "%lld alive%s%s", (long long)db_get_int(res, 0, 0, "nodes"),
	    silent[0] != '\0' ? ", silent: " : "", silent);
	add(checks, "duties", missing[0] != '\0' ? V_WARNING : V_OK,
	    "start a node whose node.duties has it: without it jobs wait for ever", "%s%s",
	    missing[0] != '\0' ? "no node alive does: " : "each of api, peer, sched, exec is done",
	    missing);
	add(checks, "versions", strchr(versions, ',') != NULL ? V_WARNING : V_OK,
	    "bring all nodes to the same version", "%s", versions);
}

static void check_work(json_t *checks, struct db_result *res)
{
	int64_t overdue = db_get_int(res, 0, 0, "overdue_jobs");
	int64_t leases = db_get_int(res, 0, 0, "old_leases");
	int64_t orphans = db_get_int(res, 0, 0, "orphan_runs");
	int64_t outbox = db_get_int(res, 0, 0, "outbox");
	int64_t age_ms = db_get_int(res, 0, 0, "outbox_age_ms");
	const char *errors = db_get(res, 0, 0, "outbox_errors");

	add(checks, "scheduling", overdue + leases > 0 ? V_WARNING : V_OK,
	    "schedulers do not keep up: look at the server logs, the load of the database and the "
	    "duties of the nodes",
	    "%lld jobs overdue for a minute, %lld leases that have passed", (long long)overdue,
	    (long long)leases);
	add(checks, "runs", orphans > 0 ? V_WARNING : V_OK,
	    "a living node takes them over within a few seconds; if they stay, look at the server "
	    "logs",
	    "%lld runs of nodes that are gone", (long long)orphans);
	add(checks, "outbox", outbox > 0 && age_ms > OUTBOX_WARN_MS ? V_WARNING : V_OK,
	    "a site does not answer: norn site check PARTY",
	    "%lld messages not yet answered, the oldest for %lld s%s%s", (long long)outbox,
	    (long long)(age_ms / 1000), errors[0] != '\0' ? "; " : "", errors);
}

static void check_resources(json_t *checks, struct db_result *res)
{
	const char *engines = db_get(res, 0, 0, "engines");
	const char *stale = db_get(res, 0, 0, "stale_reservations");

	add(checks, "capacity",
	    engines[0] == '\0'                        ? V_FAILED
	    : db_get_int(res, 0, 0, "overbooked") > 0 ? V_WARNING
						      : V_OK,
	    "more is reserved than there is: resources.cores or resources.memory_mb was lowered "
	    "while jobs ran; no new job starts until some have ended",
	    "%s", engines[0] != '\0' ? engines : "no node has said what there is");
	add(checks, "reservations", stale[0] != '\0' ? V_FAILED : V_OK,
	    "a job that is over holds resources: this should not happen, please report it", "%s%s",
	    stale[0] != '\0' ? "held by jobs that are over: " : "all of jobs that are not over",
	    stale);
}

static void check_disk(json_t *checks, const char *name, const char *dir)
{
	struct statvfs v;

	if (statvfs(dir, &v) != 0) {
		add(checks, name, V_FAILED, "create it, or correct dirs.* in norn.yaml", "%s: %s",
		    dir, strerror(errno));
		return;
	}
	if (access(dir, W_OK) != 0) {
		add(checks, name, V_FAILED, "give the user of nornd the right to write there",
		    "%s: %s", dir, strerror(errno));
		return;
	}
	unsigned long long free_mb = (unsigned long long)v.f_bavail * v.f_frsize / MIB;
	unsigned long long all_mb = (unsigned long long)v.f_blocks * v.f_frsize / MIB;
	unsigned long long percent = all_mb > 0 ? free_mb * 100 / all_mb : 0;
	bool no_inodes = v.f_files > 0 && v.f_favail < 1000;
	add(checks, name,
	    free_mb < 256 || no_inodes      ? V_FAILED
	    : free_mb < 2048 || percent < 5 ? V_WARNING
					    : V_OK,
	    "make room: norn gc deletes old jobs; retention.jobs_days does it every hour",
	    "%s: %llu of %llu MiB free (%llu %%)%s", dir, free_mb, all_mb, percent,
	    no_inodes ? ", no inodes" : "");
}

static void check_certificate(json_t *checks, const char *name, const char *file)
{
	int64_t end_ms = 0;
	struct err e = {0};

	if (file == NULL)
		return;
	if (!tls_cert_file_end(file, &end_ms, &e)) {
		add(checks, name, V_FAILED, "put the certificate where norn.yaml says", "%s",
		    e.msg);
		return;
	}
	int64_t days = (end_ms - clock_wall_ms()) / DAY_MS;
	add(checks, name,
	    end_ms < clock_wall_ms() ? V_FAILED
	    : days < CERT_WARN_DAYS  ? V_WARNING
				     : V_OK,
	    "get a new one (norn site cert makes one with a CA of your own), replace the files and "
	    "send nornd SIGHUP",
	    end_ms < clock_wall_ms() ? "%s ended %lld days ago" : "%s is good for %lld days", file,
	    (long long)(days < 0 ? -days : days));
}

/* What a provider's metadata names must be there, on this node at least. */
static void check_provider(json_t *checks, const json_t *p)
{
	static const char *const keys[] = {"program", "venv"};
	const json_t *m = json_object_get(p, "metadata");
	const char *provider = js_str(p, "provider_name", "?");

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const char *path = js_str(m, keys[i], NULL);
		if (path == NULL || path[0] != '/' || access(path, X_OK) == 0)
			continue;
		add(checks, "provider", V_FAILED,
		    "install it on every node with the duty exec, or norn provider delete",
		    "%s: %s %s: %s", provider, keys[i], path, strerror(errno));
		return;
	}
	add(checks, "provider", V_OK, "", "%s", provider);
}

static void on_doctor(struct db_result *res, void *arg)
{
	struct http_req *r = arg;
	const struct node *n = request_node(r);
	json_t *checks, *providers, *p;
	size_t i;

	if (db_error(res) != NULL) {
		reply_db_err(r, res);
		return;
	}
	checks = json_array();
	check_database(checks, res);
	check_nodes(checks, res);
	check_work(checks, res);
	check_resources(checks, res);
	check_disk(checks, "data directory", n->conf->data_dir);
	check_disk(checks, "log directory", n->conf->log_dir);
	check_certificate(checks, "certificate of the site", n->conf->peer_cert);
	check_certificate(checks, "certificate of the API", n->conf->http_tls_cert);
	providers = db_get_json(res, 1, 0, "data");
	json_array_foreach (providers, i, p)
		check_provider(checks, p);
	json_decref(providers);
	reply_ok(r, json_pack("{s:s, s:s, s:I, s:o}", "node_id", n->id, "name", n->name, "now_ms",
			      (json_int_t)clock_wall_ms(), "checks", checks));
}

static void doctor(struct http_req *r, void *arg)
{
	struct db_batch *b = one_statement(r, Q_API_DOCTOR);

	db_add(b, Q_API_PROVIDERS);
	for (int i = 0; i < 4; i++)
		db_null(b);
	db_submit(b, on_doctor, r);
}

const struct http_route api_overview_routes[] = {
    {"GET", "/v2/server/overview", overview, 0, 0, "Nodes, resources and jobs as they are now",
     DOC(TAKES_QUERY(overview_params), .data = "Overview")},
    {"GET", "/v2/server/doctor", doctor, 0, 0, "What this node finds right and wrong",
     DOC(.data = "Findings")},
};
const size_t api_overview_n_routes = ARRAY_LEN(api_overview_routes);
