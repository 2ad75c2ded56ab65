/* The configuration of a node: etc/norn.yaml, one table of options (node_conf.c). */
#ifndef NORN_STORE_NODE_CONF_H
#define NORN_STORE_NODE_CONF_H

#include "base/conf.h"
#include <stdbool.h>
#include <stdint.h>

struct node_conf {
	char *site_name;
	json_t *site_parties; /* array of strings; the first is the site's own id towards clients */
	char *node_name;      /* NULL: host name and process id */
	json_t *node_duties;
	char *data_dir;
	char *log_dir;
	json_t *export_dirs; /* array of absolute paths; empty: <data_dir>/export */
	char *log_level;
	int64_t log_rotate_mb;
	int64_t log_keep;
	char *db_url;
	int64_t db_pool_size;
	int64_t db_statement_timeout_ms;
	char *http_listen;
	char *http_address; /* what components of this node call; default: http_listen */
	int64_t http_max_connections;
	int64_t http_max_body_mb;
	int64_t http_upload_max_mb;
	int64_t http_header_timeout_ms;
	int64_t http_body_timeout_ms;
	int64_t http_idle_timeout_ms;
	int64_t http_write_timeout_ms;
	bool http_allow_remote;
	char *http_tls_cert; /* with http_tls_key: the client API speaks HTTPS; both or none */
	char *http_tls_key;
	bool auth_client;     /* clients sign their requests */
	bool auth_permission; /* other parties use what was granted to them */
	bool auth_worker;     /* components show the token of their task on every call */
	char *peer_listen;    /* NULL: no other sites */
	char *peer_address;   /* host:port for this site's other nodes; default: peer_listen */
	char *peer_ca;
	char *peer_cert;
	char *peer_key;
	int64_t peer_timeout_ms;
	int64_t peer_gone_s; /* a peer not reached for so long fails the task that waits for it */
	int64_t channel_mb;  /* frames kept for one receiver */
	char *engine;
	int64_t cores;
	int64_t memory_mb;
	int64_t job_cores;
	int64_t task_cores;
	int64_t task_timeout_s;
	int64_t computing_partitions;
	int64_t auto_retries;
	int64_t exec_max_runs;
	int64_t exec_grace_ms;
	int64_t exec_log_mb;
	bool share_error_tail;
	bool inprocess_noop;
	int64_t lease_ms;
	int64_t sched_batch;
	int64_t create_timeout_s;
	int64_t reserve_ttl_ms;
	int64_t priority_ms;           /* how much earlier one point of priority makes a job */
	json_t *no_retry_exit_codes;   /* array of strings, each a number from 1 to 255 */
	int64_t retention_jobs_days;   /* 0: jobs are kept */
	int64_t retention_events_days; /* 0: the history is kept */
	char *default_provider;
	bool allow_register; /* every client may register and delete providers */
	char *norn_component;
	char *norn_run;
};

extern const struct conf_opt node_conf_opts[];
extern const size_t node_conf_n_opts;

/* Loads and checks what the table cannot say (party ids, duties, TLS files when peer.listen is
 * set). */
MUST_CHECK bool node_conf_load(const char *file, const char *const *overrides, size_t n_overrides,
			       struct node_conf *out, struct err *e);
void node_conf_free(struct node_conf *c);
bool node_conf_has_party(const struct node_conf *c, const char *party_id);
const char *node_conf_own_party(const struct node_conf *c);
bool node_conf_has_duty(const struct node_conf *c, const char *duty);
/* Whether http.listen is out of reach of other machines. */
bool node_conf_is_loopback(const struct node_conf *c);
/* Whether a component that ended with this code is never tried again. */
bool node_conf_no_retry(const struct node_conf *c, int64_t exit_code);

#endif
