#include "api/api.h"

#include "api/requests.h"
#include "api/reply.h"
#include "api/worker.h"
#include "auth/gate.h"
#include "base/str.h"

static int64_t requests;

bool api_admit(struct http_req *r, const struct http_route *route, void *arg)
{
	requests++;
	return gate_admit(r, route) && worker_admit(r, route);
}

bool api_before(struct http_req *r, const struct http_route *route, void *arg)
{
	/* The client meant something that we cannot read: better nothing is done. */
	if (str_eq(http_req_method(r), "POST") && !request_body_ok(r))
		return false;
	return gate_before(r, route);
}

int64_t api_requests(void)
{
	return requests;
}

void api_not_found(struct http_req *r, void *arg)
{
	requests++;
	if (!str_starts(http_req_path(r), "/v2/") && !str_starts(http_req_path(r), "/v1/")) {
		static const char text[] = "not found\n";
		http_reply(r, http_req_path_known(r) ? 405 : 404, "text/plain", text,
			   sizeof(text) - 1);
	} else if (http_req_path_known(r)) {
		refuse(r, ERR_SERVER, "<MethodNotAllowed '405: Method Not Allowed'>");
	} else {
		refuse(r, ERR_SERVER, "<NotFound '404: Not Found'>");
	}
}

/* The tables, in the order in which routes are looked for. */
static const struct {
	const struct http_route *routes;
	const size_t *n;
} tables[] = {
    {api_job_routes, &api_job_n_routes},
    {api_control_routes, &api_control_n_routes},
    {api_lifecycle_routes, &api_lifecycle_n_routes},
    {api_job_view_routes, &api_job_view_n_routes},
    {api_task_routes, &api_task_n_routes},
    {api_worker_routes, &api_worker_n_routes},
    {api_output_routes, &api_output_n_routes},
    {api_data_routes, &api_data_n_routes},
    {api_table_routes, &api_table_n_routes},
    {api_log_routes, &api_log_n_routes},
    {api_site_routes, &api_site_n_routes},
    {api_server_routes, &api_server_n_routes},
    {api_model_routes, &api_model_n_routes},
    {api_joblog_routes, &api_joblog_n_routes},
    {api_registry_routes, &api_registry_n_routes},
    {api_stream_routes, &api_stream_n_routes},
    {api_overview_routes, &api_overview_n_routes},
    {api_app_routes, &api_app_n_routes},
    {api_permission_routes, &api_permission_n_routes},
    {api_openapi_routes, &api_openapi_n_routes},
};

void api_routes(struct http_server *s)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		http_server_routes(s, tables[i].routes, *tables[i].n);
}

void api_each_route(void (*fn)(const struct http_route *route, void *arg), void *arg)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		for (size_t k = 0; k < *tables[i].n; k++)
			fn(&tables[i].routes[k], arg);
	}
}
