#include "config.h"

#include "store/node_conf.h"

#include "base/fs.h"
#include "base/str.h"

#include <string.h>

#define AT(m) offsetof(struct node_conf, m)
#define TEXT(path, m, def, help)                                                                   \
	{                                                                                          \
		path, CONF_STR, AT(m), def, 0, 0, false, help                                      \
	}
#define FILEPATH(path, m, def, help)                                                               \
	{                                                                                          \
		path, CONF_PATH, AT(m), def, 0, 0, false, help                                     \
	}
#define NUM(path, m, def, lo, hi, help)                                                            \
	{                                                                                          \
		path, CONF_INT, AT(m), def, lo, hi, false, help                                    \
	}
#define BOOL(path, m, def, help)                                                                   \
	{                                                                                          \
		path, CONF_BOOL, AT(m), def, 0, 0, false, help                                     \
	}

const struct conf_opt node_conf_opts[] = {
    TEXT("site.name", site_name, "site", "A name for people; it stands in logs."),
    {"site.parties", CONF_STR_LIST, AT(site_parties), NULL, 0, 0, true,
     "The party ids this site serves. The first one is what clients are told."},
    TEXT("node.name", node_name, NULL, "Name of this node; default: host name and process id."),
    {"node.duties", CONF_STR_LIST, AT(node_duties), "[\"api\", \"peer\", \"sched\", \"exec\"]", 0,
     0, false,
     "What this node does: api (clients), peer (other sites), sched (schedules jobs), exec (runs "
     "components)."},
    FILEPATH("dirs.data", data_dir, "data",
	     "Tables, models and work files. All nodes of a site share it."),
    FILEPATH("dirs.logs", log_dir, "logs",
	     "norn/ for the server, <job id>/ for jobs. All nodes of a site share it."),
    {"dirs.export", CONF_STR_LIST, AT(export_dirs), "[]", 0, 0, false,
     "Absolute paths: clients may write models into these directories and below them, and nowhere "
     "else on the server. Relative paths of clients start at the first. Default: export below "
     "dirs.data."},
    TEXT("log.level", log_level, "info", "error, warn, info or debug."),
    NUM("log.rotate_mb", log_rotate_mb, "64", 1, 100000, "The server log rotates at this size."),
    NUM("log.keep", log_keep, "8", 1, 1000, "How many rotated server logs are kept."),
    {"database.url", CONF_STR, AT(db_url), NULL, 0, 0, true,
     "libpq connection string or URI; several hosts and target_session_attrs are allowed."},
    NUM("database.pool_size", db_pool_size, "4", 1, 100, "Connections of this node."),
    NUM("database.statement_timeout_ms", db_statement_timeout_ms, "30000", 100, 3600000,
	"Longest time of one statement."),
    TEXT("http.listen", http_listen, "127.0.0.1:9380",
	 "Address of the client API. Only on loopback, unless auth.client or http.allow_remote is "
	 "set."),
    TEXT("http.address", http_address, NULL,
	 "host:port by which components on this machine reach this node; default: http.listen, "
	 "or with HTTPS a port of the loopback interface."),
    NUM("http.max_connections", http_max_connections, "16384", 1, 1000000,
	"Connections of clients and of other sites, each."),
    NUM("http.max_body_mb", http_max_body_mb, "16", 1, 1024, "Largest JSON body."),
    NUM("http.upload_max_mb", http_upload_max_mb, "102400", 1, 100000000,
	"Largest uploaded file; it goes to disk, not to memory."),
    NUM("http.header_timeout_ms", http_header_timeout_ms, "10000", 100, 3600000,
	"From the first byte of a request to the end of its headers, and for a TLS handshake."),
    NUM("http.body_timeout_ms", http_body_timeout_ms, "30000", 100, 3600000,
	"For each KiB of a body, or what is left of it: slower clients are cut off."),
    NUM("http.idle_timeout_ms", http_idle_timeout_ms, "75000", 100, 3600000,
	"A connection without a request is kept so long."),
    NUM("http.write_timeout_ms", http_write_timeout_ms, "30000", 100, 3600000,
	"A client that takes nothing of its answer for so long is cut off."),
    BOOL(
	"http.allow_remote", http_allow_remote, "false",
	"Allow http.listen on an address that other machines reach though auth.client is off: only "
	"behind a proxy that knows its clients."),
    FILEPATH("http.tls_cert", http_tls_cert, NULL,
	     "PEM file of a certificate for the host names of this node: the client API speaks "
	     "HTTPS."),
    FILEPATH("http.tls_key", http_tls_key, NULL, "PEM file of its private key."),
    BOOL("auth.client", auth_client, "false",
	 "Clients sign their requests with the token of an app, whose role must allow the route "
	 "(`nornd --create-admin` makes the first app). Use HTTPS beyond this machine."),
    BOOL("auth.permission", auth_permission, "false",
	 "Jobs of other parties use only the components and tables that were granted to them "
	 "(`norn permission allow`)."),
    BOOL("auth.worker", auth_worker, "true",
	 "Components show the token of their task on every call. Off: calls from this machine "
	 "without a token are taken, for programs that cannot send one; not together with "
	 "http.allow_remote."),
    TEXT("peer.listen", peer_listen, NULL,
	 "Address for other sites (mutual TLS). Without it only jobs within this site can run."),
    TEXT("peer.address", peer_address, NULL,
	 "host:port by which other nodes of this site reach this one; default: peer.listen."),
    FILEPATH("peer.ca", peer_ca, NULL, "PEM file of the CA that signs the sites' certificates."),
    FILEPATH("peer.cert", peer_cert, NULL,
	     "PEM file of this site's certificate; it names the party ids as URIs "
	     "urn:norn:party:<id>."),
    FILEPATH("peer.key", peer_key, NULL, "PEM file of its private key."),
    NUM("peer.timeout_ms", peer_timeout_ms, "10000", 100, 600000,
	"Longest time of one call to another site."),
    NUM("peer.gone_s", peer_gone_s, "60", 1, 86400,
	"A task waiting for a message fails when the other site could not be reached for so long, "
	"and one whose party has not reported for so long after its time limit."),
    NUM("peer.channel_mb", channel_mb, "64", 8, 65536,
	"Messages kept in memory for one running component; then its senders wait."),
    TEXT("resources.engine", engine, "standalone", "Name of the computing engine."),
    NUM("resources.cores", cores, "32", 1, 1000000,
	"Cores of the whole site that jobs may reserve (all nodes say the same)."),
    NUM("resources.memory_mb", memory_mb, "0", 0, 1000000000,
	"Memory of the whole site that jobs may reserve, in MiB; 0: not accounted."),
    NUM("resources.job_cores", job_cores, "4", 0, 1000000,
	"Cores of a job at each party when the job does not say (dag.conf.cores)."),
    NUM("resources.task_cores", task_cores, "4", 0, 1000000,
	"Cores of a task when it does not say (engine_run.cores)."),
    NUM("jobs.task_timeout_s", task_timeout_s, "259200", 1, 100000000,
	"Longest run of a task when it does not say (conf.timeout)."),
    NUM("jobs.computing_partitions", computing_partitions, "8", 1, 100000,
	"Partitions of tables when the job does not say."),
    NUM("jobs.auto_retries", auto_retries, "0", 0, 1000,
	"New attempts of a failed task when the job does not say."),
    NUM("jobs.create_timeout_s", create_timeout_s, "30", 1, 86400,
	"How long a new job waits for every party to accept it."),
    NUM("jobs.reserve_ttl_ms", reserve_ttl_ms, "60000", 1000, 3600000,
	"How long a party keeps cores for a job that has not started yet."),
    NUM("jobs.priority_ms", priority_ms, "600000", 0, 86400000,
	"One point of priority counts as having been submitted so much earlier."),
    {"jobs.no_retry_exit_codes", CONF_STR_LIST, AT(no_retry_exit_codes),
     "[\"2\", \"64\", \"65\", \"78\"]", 0, 0, false,
     "Exit codes by which a component says that trying again is useless: wrong use, data or "
     "configuration."},
    NUM("retention.jobs_days", retention_jobs_days, "0", 0, 36500,
	"Jobs that ended longer ago are deleted with their files, hourly; models and named tables "
	"stay. 0: jobs are "
	"kept."),
    NUM("retention.events_days", retention_events_days, "90", 0, 36500,
	"The history and the audit are kept for so many days; 0: for ever."),
    NUM("exec.max_runs", exec_max_runs, "64", 1, 100000,
	"Component processes on this node at once."),
    NUM("exec.grace_ms", exec_grace_ms, "3000", 0, 600000,
	"From SIGTERM to SIGKILL when a component is stopped."),
    NUM("exec.log_mb", exec_log_mb, "256", 1, 1000000,
	"A component's stdout and stderr are cut at this size each."),
    BOOL("exec.share_error_tail", share_error_tail, "true",
	 "Send the last lines of a failed component's stderr to the scheduler's site."),
    BOOL("exec.inprocess_noop", inprocess_noop, "false",
	 "End runs of the component noop that have no parameters without a process, to measure "
	 "scheduling "
	 "alone."),
    NUM("cluster.lease_ms", lease_ms, "5000", 500, 600000,
	"A node not seen for so long is given up and its work taken over."),
    NUM("sched.batch", sched_batch, "64", 1, 1000, "Jobs claimed at once."),
    TEXT("components.default_provider", default_provider, "norn:" PACKAGE_VERSION "@local",
	 "Provider of tasks that name none."),
    BOOL("components.allow_register", allow_register, "false",
	 "Every client may register and delete providers, which are programs that this site runs. "
	 "Off: only an app with the role super_client may, which needs auth.client."),
    FILEPATH("components.norn_component", norn_component, NORN_BINDIR "/norn-component",
	     "The program of the built-in components."),
    FILEPATH("components.norn_run", norn_run, NORN_LIBEXECDIR "/norn-run",
	     "The supervisor between a node and a component."),
};
const size_t node_conf_n_opts = ARRAY_LEN(node_conf_opts);

static const char *const duties[] = {"api", "peer", "sched", "exec"};

static bool check_parties(const struct node_conf *c, struct err *e)
{
	size_t i;
	json_t *v;

	if (json_array_size(c->site_parties) == 0)
		return err_set(e, ERR_CONFIG, "site.parties: name at least one party id");
	json_array_foreach (c->site_parties, i, v) {
		if (!str_is_name(json_string_value(v), 50) || str_eq(json_string_value(v), "0"))
			return err_set(
			    e, ERR_CONFIG,
			    "site.parties: '%s' is not a party id (1-50 letters, digits, '_', "
			    "'.', '-'; not \"0\")",
			    json_string_value(v));
	}
	return true;
}

static bool check_duties(const struct node_conf *c, struct err *e)
{
	size_t i;
	json_t *v;

	json_array_foreach (c->node_duties, i, v) {
		bool known = false;
		for (size_t k = 0; k < ARRAY_LEN(duties); k++)
			known |= strcmp(duties[k], json_string_value(v)) == 0;
		if (!known)
			return err_set(
			    e, ERR_CONFIG,
			    "node.duties: '%s' is unknown; duties are api, peer, sched, exec",
			    json_string_value(v));
	}
	return true;
}

static bool check_export_dirs(const struct node_conf *c, struct err *e)
{
	size_t i;
	json_t *v;

	json_array_foreach (c->export_dirs, i, v) {
		const char *dir = json_string_value(v);
		if (dir[0] != '/' || !fs_path_is_plain(dir))
			return err_set(e, ERR_CONFIG,
				       "dirs.export: '%s' is not an absolute path without \"..\"",
				       dir);
	}
	return true;
}

static bool check_exit_codes(const struct node_conf *c, struct err *e)
{
	size_t i;
	json_t *v;
	int64_t code;

	json_array_foreach (c->no_retry_exit_codes, i, v) {
		if (!str_to_i64(json_string_value(v), &code) || code < 1 || code > 255)
			return err_set(
			    e, ERR_CONFIG,
			    "jobs.no_retry_exit_codes: '%s' is not an exit code from 1 to 255",
			    json_string_value(v));
	}
	return true;
}

bool node_conf_is_loopback(const struct node_conf *c)
{
	const char *l = c->http_listen;

	return str_starts(l, "127.") || str_starts(l, "localhost:") || str_starts(l, "[::1]:") ||
	       str_starts(l, "unix:");
}

static bool check_listen(const struct node_conf *c, struct err *e)
{
	const char *l = c->http_listen;

	if (c->http_allow_remote || c->auth_client || node_conf_is_loopback(c))
		return true;
	return err_set(e, ERR_CONFIG,
		       "http.listen: %s can be reached by other machines, and nobody would have to "
		       "say who he is: use 127.0.0.1:PORT, set auth.client, or set "
		       "http.allow_remote behind a proxy that knows its clients",
		       l);
}

/* A proxy on this machine makes every call look as if it came from a component. */
static bool check_workers(const struct node_conf *c, struct err *e)
{
	if (c->auth_worker || !c->http_allow_remote)
		return true;
	return err_set(
	    e, ERR_CONFIG,
	    "auth.worker: it cannot be off together with http.allow_remote: whoever the proxy "
	    "lets through would pass for a component of this machine");
}

static bool check_https(const struct node_conf *c, struct err *e)
{
	if ((c->http_tls_cert == NULL) != (c->http_tls_key == NULL))
		return err_set(e, ERR_CONFIG, "%s is set without %s: HTTPS needs both",
			       c->http_tls_cert != NULL ? "http.tls_cert" : "http.tls_key",
			       c->http_tls_cert != NULL ? "http.tls_key" : "http.tls_cert");
	return true;
}

bool node_conf_load(const char *file, const char *const *overrides, size_t n_overrides,
		    struct node_conf *out, struct err *e)
{
	memset(out, 0, sizeof(*out));
	if (!conf_load(file, node_conf_opts, node_conf_n_opts, overrides, n_overrides, out, e))
		return false;
	bool ok = check_parties(out, e) && check_duties(out, e) && check_exit_codes(out, e) &&
		  check_export_dirs(out, e) && check_listen(out, e) && check_workers(out, e) &&
		  check_https(out, e);
	if (ok && out->peer_listen != NULL &&
	    (out->peer_ca == NULL || out->peer_cert == NULL || out->peer_key == NULL))
		ok = err_set(
		    e, ERR_CONFIG,
		    "peer.listen needs peer.ca, peer.cert and peer.key (`norn site ca` and `norn "
		    "site cert` make some)");
	if (!ok)
		node_conf_free(out);
	return ok;
}

void node_conf_free(struct node_conf *c)
{
	conf_free(node_conf_opts, node_conf_n_opts, c);
}

static bool list_has(const json_t *list, const char *s)
{
	size_t i;
	json_t *v;

	json_array_foreach (list, i, v) {
		if (str_eq(json_string_value(v), s))
			return true;
	}
	return false;
}

bool node_conf_has_party(const struct node_conf *c, const char *party_id)
{
	return list_has(c->site_parties, party_id);
}

const char *node_conf_own_party(const struct node_conf *c)
{
	return json_string_value(json_array_get(c->site_parties, 0));
}

bool node_conf_has_duty(const struct node_conf *c, const char *duty)
{
	return list_has(c->node_duties, duty);
}

bool node_conf_no_retry(const struct node_conf *c, int64_t exit_code)
{
	size_t i;
	json_t *v;
	int64_t code;

	json_array_foreach (c->no_retry_exit_codes, i, v) {
		if (str_to_i64(json_string_value(v), &code) && code == exit_code)
			return true;
	}
	return false;
}
