/* The HTTP API for clients and for the components of this site: one const route table per resource.
 */
#ifndef NORN_API_API_H
#define NORN_API_API_H

#include "net/http.h"

/* Registers all tables. The server's opts.arg must be the struct node. */
void api_routes(struct http_server *s);
/* Calls fn for every route of the tables. */
void api_each_route(void (*fn)(const struct http_route *route, void *arg), void *arg);

/* For http_server_opts.not_found: the envelope that FATE's clients expect. */
void api_not_found(struct http_req *r, void *arg);

/* For http_server_opts.admit: counts requests for /metrics, then gate_admit(); what comes for the
 * routes of components must bring the token of a task. */
bool api_admit(struct http_req *r, const struct http_route *route, void *arg);
/* For http_server_opts.before: gate_before(). */
bool api_before(struct http_req *r, const struct http_route *route, void *arg);

extern const struct http_route api_job_routes[];
extern const size_t api_job_n_routes;
extern const struct http_route api_control_routes[];
extern const size_t api_control_n_routes;
extern const struct http_route api_lifecycle_routes[];
extern const size_t api_lifecycle_n_routes;
extern const struct http_route api_job_view_routes[];
extern const size_t api_job_view_n_routes;
extern const struct http_route api_task_routes[];
extern const size_t api_task_n_routes;
extern const struct http_route api_worker_routes[];
extern const size_t api_worker_n_routes;
extern const struct http_route api_output_routes[];
extern const size_t api_output_n_routes;
extern const struct http_route api_data_routes[];
extern const size_t api_data_n_routes;
extern const struct http_route api_table_routes[];
extern const size_t api_table_n_routes;
extern const struct http_route api_log_routes[];
extern const size_t api_log_n_routes;
extern const struct http_route api_site_routes[];
extern const size_t api_site_n_routes;
extern const struct http_route api_model_routes[];
extern const size_t api_model_n_routes;
extern const struct http_route api_joblog_routes[];
extern const size_t api_joblog_n_routes;
extern const struct http_route api_registry_routes[];
extern const size_t api_registry_n_routes;
extern const struct http_route api_stream_routes[];
extern const size_t api_stream_n_routes;
extern const struct http_route api_server_routes[];
extern const size_t api_server_n_routes;
extern const struct http_route api_overview_routes[];
extern const size_t api_overview_n_routes;
extern const struct http_route api_app_routes[];
extern const size_t api_app_n_routes;
extern const struct http_route api_openapi_routes[];
extern const size_t api_openapi_n_routes;
extern const struct http_route api_permission_routes[];
extern const size_t api_permission_n_routes;

#endif
