/* nornd: a node of a site. Reads its configuration, brings the parts up in order, runs the loop,
 * goes down in order. */
#include "config.h"

#include "api/api.h"
#include "api/openapi.h"
#include "auth/signature.h"
#include "base/log.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "exec/exec.h"
#include "party/channel.h"
#include "party/outbox.h"
#include "party/partner.h"
#include "sched/janitor.h"
#include "sched/sched.h"
#include "store/joblog.h"
#include "store/node.h"
#include "store/offload.h"
#include "store/provider.h"

#include <getopt.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define UPLOAD_FORM_BYTES (1 << 20) /* of an upload, beside its file */

#define EX_OK      0
#define EX_FAILED  1
#define EX_USAGE   2
#define DRAIN_MS   200
#define GO_DOWN_MS 15000

struct options {
	const char *config;
	const char **sets;
	size_t n_sets;
	const char *admin; /* the name of the app to make */
	bool migrate, check, to_stderr;
};

static struct node node;
static struct http_server *client_server, *worker_server, *peer_server;
static struct tls_ctx *client_tls; /* NULL: the client API speaks plain HTTP */
static struct event *drain_timer;
static int64_t drained_ms;
static bool parts_up;

static const char usage[] =
    "usage: nornd --config FILE [--set PATH=VALUE]... [--stderr]\n"
    "       nornd --config FILE --migrate | --check | --create-admin NAME\n"
    "       nornd --help | --help-config | --print-openapi | --version\n"
    "\n"
    "A node of a Norn site: client API, other sites, scheduling, running components.\n"
    "\n"
    "  -c, --config FILE     configuration (norn.yaml(5))\n"
    "  -s, --set PATH=VALUE  overrides one option, for example --set http.listen=127.0.0.1:9390\n"
    "      --migrate         brings the database to this program's schema, then ends\n"
    "      --check           checks configuration, certificates and database, then ends\n"
    "      --create-admin NAME  makes an app that may do everything and prints its id and\n"
    "                        token, then ends\n"
    "      --stderr          logs to standard error instead of <dirs.logs>/norn/nornd.log\n"
    "      --help-config     prints a commented sample of all options\n"
    "      --print-openapi   prints the OpenAPI document of the HTTP API\n"
    "      --version\n"
    "\n"
    "SIGTERM ends it in order, SIGHUP reads the certificates again.\n"
    "Exit status: 0 ended in order, 1 could not start or go on, 2 wrong usage.\n";

/* ---- command line ---- */

static void print_sample(void)
{
	struct buf b = {0};

	conf_print_sample(node_conf_opts, node_conf_n_opts, &b);
	fputs(buf_str(&b), stdout);
	buf_free(&b);
}

static void print_openapi(void)
{
	json_t *all = openapi_document();

	json_dumpf(all, stdout, JSON_INDENT(1) | JSON_SORT_KEYS);
	putchar('\n');
	json_decref(all);
}

static int parse_options(int argc, char **argv, struct options *o)
{
	enum { MIGRATE = 256, CHECK, STDERR, HELP_CONFIG, CREATE_ADMIN, PRINT_OPENAPI };
	static const struct option longs[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"set", required_argument, NULL, 's'},
	    {"migrate", no_argument, NULL, MIGRATE},
	    {"check", no_argument, NULL, CHECK},
	    {"create-admin", required_argument, NULL, CREATE_ADMIN},
	    {"stderr", no_argument, NULL, STDERR},
	    {"help-config", no_argument, NULL, HELP_CONFIG},
	    {"print-openapi", no_argument, NULL, PRINT_OPENAPI},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},
	    {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "c:s:hV", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case 's':
			o->sets = mem_resize(o->sets, o->n_sets + 1, sizeof(*o->sets));
			o->sets[o->n_sets++] = optarg;
			break;
		case MIGRATE:
			o->migrate = true;
			break;
		case CHECK:
			o->check = true;
			break;
		case CREATE_ADMIN:
			o->admin = optarg;
			break;
		case STDERR:
			o->to_stderr = true;
			break;
		case HELP_CONFIG:
			print_sample();
			return EX_OK;
		case PRINT_OPENAPI:
			print_openapi();
			return EX_OK;
		case 'h':
			fputs(usage, stdout);
			return EX_OK;
		case 'V':
			puts("nornd " PACKAGE_VERSION);
			return EX_OK;
		default:
			fputs("Try `nornd --help`.\n", stderr);
			return EX_USAGE;
		}
	}
	if (optind < argc || o->config == NULL) {
		fprintf(stderr, "nornd: %s\nTry `nornd --help`.\n",
			o->config == NULL ? "--config FILE is needed" : "unexpected argument");
		return EX_USAGE;
	}
	return -1;
}

/* ---- going down ---- */

static void on_gone(struct node *n)
{
	event_base_loopbreak(n->base);
}

static void on_drain(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval again = {0, DRAIN_MS * 1000};
	int open = client_server == NULL ? 0 : http_server_open_requests(client_server);

	drained_ms += DRAIN_MS;
	if ((exec_running(&node) > 0 || open > 0) && drained_ms < GO_DOWN_MS) {
		evtimer_add(drain_timer, &again);
		return;
	}
	janitor_stop(&node, on_gone);
}

static void go_down(evutil_socket_t sig, short what, void *arg)
{
	static const struct timeval soon = {0, DRAIN_MS * 1000};

	if (node.stopping) {
		event_base_loopbreak(node.base); /* asked twice */
		return;
	}
	log_info(LOG_CTX_NONE, "going down (signal %d)", (int)sig);
	node.stopping = true;
	if (client_server != NULL)
		http_server_drain(client_server);
	if (worker_server != NULL)
		http_server_drain(worker_server);
	if (peer_server != NULL)
		http_server_drain(peer_server);
	sched_stop(&node);
	outbox_stop(&node);
	exec_stop(&node);
	exec_kill_all(&node);
	drain_timer = evtimer_new(node.base, on_drain, NULL);
	evtimer_add(drain_timer, &soon);
}

static void reload(struct tls_ctx *tls, const char *whose)
{
	struct err e = {0};

	if (tls == NULL)
		return;
	if (tls_ctx_reload(tls, &e))
		log_info(LOG_CTX_NONE, "the certificates were read again (%s)", whose);
	else
		log_error(LOG_CTX_NONE, "the certificates could not be read again (%s): %s", whose,
			  e.msg);
}

static void on_hup(evutil_socket_t sig, short what, void *arg)
{
	reload(node.tls, "other sites");
	reload(client_tls, "clients");
}

/* ---- coming up ---- */

static struct http_limits limits_of(const struct node_conf *c)
{
	struct http_limits l = http_limits_default;

	l.max_connections = (int)c->http_max_connections;
	l.header_timeout_ms = (int)c->http_header_timeout_ms;
	l.body_timeout_ms = (int)c->http_body_timeout_ms;
	l.idle_timeout_ms = (int)c->http_idle_timeout_ms;
	l.write_timeout_ms = (int)c->http_write_timeout_ms;
	return l;
}

static void client_opts(struct http_server_opts *opts, const char *spool)
{
	const struct node_conf *c = node.conf;

	*opts = (struct http_server_opts){
	    .listen = c->http_listen,
	    .tls = client_tls,
	    .limits = limits_of(c),
	    .spool_dir = spool,
	    /* The form around the file takes room too; the file itself is measured later. */
	    .max_spool_bytes = ((size_t)c->http_upload_max_mb << 20) + UPLOAD_FORM_BYTES,
	    .arg = &node,
	    .not_found = api_not_found,
	    .before = api_before,
	    .admit = api_admit,
	};
	opts->limits.max_body_bytes = (size_t)c->http_max_body_mb << 20;
}

/* Components speak plain HTTP, and need not leave the machine for it. */
static bool listen_workers(struct http_server_opts *opts, struct err *e)
{
	opts->tls = NULL;
	opts->listen = node.conf->http_address != NULL ? node.conf->http_address : "127.0.0.1:0";
	worker_server = http_server_new(node.base, opts, e);
	if (worker_server == NULL)
		return err_prefix(e, "http.address: components cannot be served at %s",
				  opts->listen);
	http_server_routes(worker_server, channel_worker_routes, channel_worker_n_routes);
	http_server_routes(worker_server, api_worker_routes, api_worker_n_routes);
	node.worker_port = http_server_port(worker_server);
	return true;
}

static bool listen_clients(struct err *e)
{
	const struct node_conf *c = node.conf;
	char *spool = mem_printf("%s/spool", c->data_dir);
	struct http_server_opts opts;

	client_opts(&opts, spool);
	bool ok = fs_mkdirs(spool, 0700, e);
	client_server = ok ? http_server_new(node.base, &opts, e) : NULL;
	if (client_server == NULL) {
		free(spool);
		return err_prefix(e, "http.listen %s", c->http_listen);
	}
	/* Components need their node's own API too, so a node that runs some always has it. */
	http_server_routes(client_server, channel_worker_routes, channel_worker_n_routes);
	if (node_conf_has_duty(c, "api") || node_conf_has_duty(c, "exec"))
		api_routes(client_server);
	node.http_port = http_server_port(client_server);
	if (client_tls != NULL && node_conf_has_duty(c, "exec"))
		ok = listen_workers(&opts, e);
	free(spool);
	return ok;
}

static bool listen_peers(struct err *e)
{
	const struct node_conf *c = node.conf;
	struct http_server_opts opts = {
	    .listen = c->peer_listen,
	    .tls = node.tls,
	    .limits = limits_of(c),
	    .arg = &node,
	    .not_found = api_not_found,
	};

	if (c->peer_listen == NULL || !node_conf_has_duty(c, "peer"))
		return true;
	peer_server = http_server_new(node.base, &opts, e);
	if (peer_server == NULL)
		return err_prefix(e, "peer.listen %s", c->peer_listen);
	http_server_routes(peer_server, partner_routes, partner_n_routes);
	http_server_routes(peer_server, scheduler_routes, scheduler_n_routes);
	return true;
}

/* After each registration: the first one brings the parts up. */
static void on_ready(struct node *n)
{
	if (parts_up)
		return;
	parts_up = true;
	if (node_conf_has_duty(n->conf, "sched"))
		sched_start(n);
	if (node_conf_has_duty(n->conf, "sched") || node_conf_has_duty(n->conf, "peer"))
		outbox_start(n);
	if (node_conf_has_duty(n->conf, "exec"))
		exec_start(n);
	node_listen(n);
	if (n->conf->auth_client && client_tls == NULL && !node_conf_is_loopback(n->conf))
		log_warn(LOG_CTX_NONE,
			 "http.listen is reached by other machines without HTTPS (http.tls_cert): "
			 "signatures keep strangers out, but do not protect what is sent");
	log_info(LOG_CTX_NONE, "ready: client API on %s, other sites on %s", n->conf->http_listen,
		 peer_server == NULL ? "-" : n->conf->peer_listen);
}

static bool set_up(struct err *e)
{
	const struct node_conf *c = node.conf;
	const struct db_opts db = {
	    .conninfo = c->db_url,
	    .pool_size = (int)c->db_pool_size,
	    .statement_timeout_ms = (int)c->db_statement_timeout_ms,
	    .queue_timeout_ms = 10000,
	    .max_queued = 10000,
	    .application_name = "nornd",
	};

	node.base = event_base_new();
	if (node.base == NULL)
		return err_set(e, ERR_INTERNAL, "libevent cannot make an event loop");
	if (c->peer_ca != NULL && c->peer_cert != NULL && c->peer_key != NULL) {
		node.tls = tls_ctx_new(c->peer_ca, c->peer_cert, c->peer_key, e);
		if (node.tls == NULL)
			return false;
	}
	if (c->http_tls_cert != NULL) {
		client_tls = tls_ctx_new_server(c->http_tls_cert, c->http_tls_key, e);
		if (client_tls == NULL)
			return false;
	}
	node.db = db_open(node.base, &db, e);
	if (node.db == NULL)
		return false;
	node.http = http_client_new(node.base, node.tls, 8, e);
	if (node.http == NULL)
		return false;
	channel_start(&node);
	return listen_clients(e) && listen_peers(e) && provider_register(&node, e);
}

static void tear_down(void)
{
	/* First what others wait for: open calls and statements end with an error while who waits
	 * is still there, and the end of a call may ask the database. */
	if (node.http != NULL)
		http_client_free(node.http);
	if (node.db != NULL)
		db_close(node.db);
	node.db = NULL;
	sched_free(&node);
	exec_free(&node);
	outbox_free(&node);
	channel_free(&node);
	if (client_server != NULL)
		http_server_free(client_server);
	if (worker_server != NULL)
		http_server_free(worker_server);
	if (peer_server != NULL)
		http_server_free(peer_server);
	node_wakes_free(&node);
	janitor_free();
	if (drain_timer != NULL)
		event_free(drain_timer);
	tls_ctx_free(node.tls);
	tls_ctx_free(client_tls);
	if (node.base != NULL)
		event_base_free(node.base);
}

static int run(struct err *e)
{
	struct event *signals[3];
	int status = EX_OK;

	if (!set_up(e)) {
		log_error(LOG_CTX_NONE, "cannot start: %s", e->msg);
		fprintf(stderr, "nornd: %s\n", e->msg);
		tear_down();
		return EX_FAILED;
	}
	signals[0] = evsignal_new(node.base, SIGTERM, go_down, NULL);
	signals[1] = evsignal_new(node.base, SIGINT, go_down, NULL);
	signals[2] = evsignal_new(node.base, SIGHUP, on_hup, NULL);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		evsignal_add(signals[i], NULL);
	janitor_start(&node, on_ready, exec_lease_lost);
	if (event_base_dispatch(node.base) < 0)
		status = EX_FAILED;
	log_info(LOG_CTX_NONE, "down");
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		event_free(signals[i]);
	tear_down();
	return status;
}

static bool open_log(const struct node_conf *c, bool to_stderr, struct err *e)
{
	enum log_level level;

	if (!log_level_parse(c->log_level, &level))
		return err_set(e, ERR_CONFIG, "log.level: '%s' is not error, warn, info or debug",
			       c->log_level);
	if (to_stderr)
		return log_open(NULL, level, 0, 0, e);
	char *dir = mem_printf("%s/norn", c->log_dir);
	char *file = mem_printf("%s/nornd.log", dir);
	bool ok = fs_mkdirs(dir, 0700, e) &&
		  log_open(file, level, c->log_rotate_mb << 20, (int)c->log_keep, e);
	free(dir);
	free(file);
	return ok;
}

static void name_node(const struct node_conf *c)
{
	char host[64] = "host";

	if (c->node_name != NULL) {
		str_copy(node.name, sizeof(node.name), c->node_name);
	} else {
		gethostname(host, sizeof(host) - 1);
		snprintf(node.name, sizeof(node.name), "%s-%ld", host, (long)getpid());
	}
	log_set_node(node.name);
}

/* Many idle connections need as many descriptors. */
static void raise_limits(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	signal(SIGPIPE, SIG_IGN);
	/* Whoever starts us may ignore it, and then ended children would leave no status. */
	signal(SIGCHLD, SIG_DFL);
	umask(077);
}

static int migrate(const struct node_conf *c, struct err *e)
{
	int applied = 0;

	if (!db_migrate(c->db_url, &applied, e)) {
		fprintf(stderr, "nornd: database: %s\n", e->msg);
		return EX_FAILED;
	}
	printf("database: %d migration%s applied\n", applied, applied == 1 ? "" : "s");
	return EX_OK;
}

static int check(const struct node_conf *c, struct err *e)
{
	if (c->peer_cert != NULL) {
		struct tls_ctx *t = tls_ctx_new(c->peer_ca, c->peer_cert, c->peer_key, e);
		if (t == NULL) {
			fprintf(stderr, "nornd: %s\n", e->msg);
			return EX_FAILED;
		}
		tls_ctx_free(t);
	}
	if (c->http_tls_cert != NULL) {
		struct tls_ctx *t = tls_ctx_new_server(c->http_tls_cert, c->http_tls_key, e);
		if (t == NULL) {
			fprintf(stderr, "nornd: %s\n", e->msg);
			return EX_FAILED;
		}
		tls_ctx_free(t);
	}
	if (!db_check_schema(c->db_url, e)) {
		fprintf(stderr, "nornd: database: %s\n", e->msg);
		return EX_FAILED;
	}
	puts("configuration, certificates and database are good");
	return EX_OK;
}

/* ---- the first app ---- */

static void on_admin(struct db_result *res, void *arg)
{
	int *status = arg;

	if (db_error(res) != NULL) {
		fprintf(stderr, "nornd: database: %s\n", db_error(res)->msg);
	} else {
		printf("app id:    %s\napp token: %s\n", db_get(res, 0, 0, "app_id"),
		       db_get(res, 0, 0, "app_token"));
		*status = EX_OK;
	}
	event_base_loopbreak(node.base);
}

/* Whoever can read the configuration can reach the database anyway. */
static int create_admin(const char *name, struct err *e)
{
	const struct db_opts db = {.conninfo = node.conf->db_url,
				   .pool_size = 1,
				   .statement_timeout_ms = 10000,
				   .queue_timeout_ms = 10000,
				   .application_name = "nornd"};
	char token[33];
	int status = EX_FAILED;

	if (name[0] == '\0' || strlen(name) > 100 || !str_is_utf8(name, strlen(name))) {
		fputs("nornd: --create-admin: a name of 1 to 100 bytes is needed\n", stderr);
		return EX_USAGE;
	}
	if (!db_check_schema(node.conf->db_url, e)) {
		fprintf(stderr, "nornd: database: %s\n", e->msg);
		return EX_FAILED;
	}
	node.base = event_base_new();
	node.db = node.base != NULL ? db_open(node.base, &db, e) : NULL;
	if (node.db != NULL) {
		struct db_batch *b = db_batch_new(node.db);
		signature_random(token, sizeof(token) - 1);
		db_add(b, Q_APP_CREATE);
		db_text(b, name);
		db_text(b, "admin");
		db_text(b, token);
		db_text(b, "super_client");
		db_submit(b, on_admin, &status);
		event_base_dispatch(node.base);
		db_close(node.db);
	} else {
		fprintf(stderr, "nornd: database: %s\n", e->msg);
	}
	if (node.base != NULL)
		event_base_free(node.base);
	return status;
}

/* A database that is not up yet is waited for; one with another schema is not. */
static bool wait_for_database(const struct node_conf *c, struct err *e)
{
	int tries = 0;

	while (!db_check_schema(c->db_url, e)) {
		if (e->code != ERR_DB_UNAVAILABLE && e->code != ERR_DB_LOST)
			return false;
		if (tries++ % 10 == 0)
			log_warn(LOG_CTX_NONE, "waiting for the database: %s", e->msg);
		sleep(1);
	}
	return true;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	struct node_conf conf;
	struct err e = {0};
	int status = parse_options(argc, argv, &o);

	if (status >= 0)
		return status;
	if (!node_conf_load(o.config, o.sets, o.n_sets, &conf, &e)) {
		fprintf(stderr, "nornd: %s: %s\n", o.config, e.msg);
		free(o.sets);
		return EX_FAILED;
	}
	free(o.sets);
	node.conf = &conf;
	raise_limits();
	if (o.migrate) {
		status = migrate(&conf, &e);
	} else if (o.check) {
		status = check(&conf, &e);
	} else if (o.admin != NULL) {
		status = create_admin(o.admin, &e);
	} else if (!open_log(&conf, o.to_stderr, &e) || !fs_mkdirs(conf.data_dir, 0700, &e) ||
		   !wait_for_database(&conf, &e)) {
		log_error(LOG_CTX_NONE, "cannot start: %s", e.msg);
		fprintf(stderr, "nornd: %s\n", e.msg);
		status = EX_FAILED;
	} else {
		name_node(&conf);
		joblog_start(conf.log_dir);
		status = run(&e);
	}
	log_close();
	/* A thread that reads or writes files ends with the process; till then it uses what would
	 * be freed here and by what runs at exit. */
	if (offload_running() > 0)
		_exit(status);
	node_conf_free(&conf);
	return status;
}
