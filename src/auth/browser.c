#include "auth/browser.h"

#include "auth/request.h"
#include "base/log.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 64 /* longer ones are no names of the loopback interface */

bool browser_host_is_loopback(const char *host)
{
	char name[HOST_MAX];
	struct in_addr addr;
	size_t len;

	if (host[0] == '[')
		return str_starts(host, "[::1]") && (host[5] == '\0' || host[5] == ':');
	len = strcspn(host, ":");
	if (len >= sizeof(name))
		return false;
	memcpy(name, host, len);
	name[len] = '\0';
	/* A name such as 127.0.0.1.example.org is anybody's. */
	return strcasecmp(name, "localhost") == 0 ||
	       (str_starts(name, "127.") && inet_pton(AF_INET, name, &addr) == 1);
}

bool browser_origin_is_host(const char *origin, const char *host)
{
	const char *sep = strstr(origin, "://");

	return sep != NULL && strcasecmp(sep + strlen("://"), host) == 0;
}

/* NULL: it may pass. */
static const char *why_not(const struct http_req *r)
{
	const struct node_conf *c = request_node(r)->conf;
	const char *site = http_req_header(r, "Sec-Fetch-Site");
	const char *origin = http_req_header(r, "Origin");
	const char *host = http_req_header(r, "Host");

	if (site != NULL && !str_eq(site, "same-origin") && !str_eq(site, "none"))
		return "a page of another web site asks for this (header Sec-Fetch-Site); with "
		       "auth.client signed requests are taken from anywhere";
	if (origin != NULL && (host == NULL || !browser_origin_is_host(origin, host)))
		return "a page of another web site asks for this (header Origin); with auth.client "
		       "signed requests are taken from anywhere";
	if (host != NULL && !c->http_allow_remote && node_conf_is_loopback(c) &&
	    !str_starts(c->http_listen, "unix:") && !browser_host_is_loopback(host))
		return "the header Host names no address of the loopback interface; use "
		       "127.0.0.1 or localhost in the URL, or set http.allow_remote behind a proxy";
	return NULL;
}

bool browser_admit(struct http_req *r, const struct http_route *route)
{
	const struct log_ctx ctx = {.request_id = http_req_id(r), .attempt = -1};
	const char *why;

	/* Components show tokens, and may reach their node by a name of its own. */
	if ((str_starts(route->path, "/v2/worker/") && request_node(r)->conf->auth_worker) ||
	    str_eq(route->path, "/livez") || str_eq(route->path, "/readyz"))
		return true;
	why = why_not(r);
	if (why == NULL)
		return true;
	log_warn(&ctx, "refused %s %s from %s: %s", http_req_method(r), route->path,
		 http_req_remote(r), why);
	if (str_starts(route->path, "/v2/"))
		reply_code(r, ERR_API_PERMISSION, "No Permission: %s", why);
	else
		http_reply(r, 403, "text/plain", why, strlen(why));
	return false;
}
