/*
 * Protection of a client API that asks nobody who he is (auth.client off) against web pages: a
 * browser on this machine, or within reach of http.listen, sends what the page of any site tells it
 * to, and a name of that site may be made to lead here (DNS rebinding).
 */
#ifndef NORN_AUTH_BROWSER_H
#define NORN_AUTH_BROWSER_H

#include "net/http.h"

/* For gate_admit(): false when the request was refused, with 5005 (outside /v2 with status 403).
 * The headers Sec-Fetch-Site and Origin are looked at; and Host, as long as http.listen is out of
 * reach of other machines: it must be a name of this machine's loopback interface then. */
MUST_CHECK bool browser_admit(struct http_req *r, const struct http_route *route);

/* Whether Host names the loopback interface: 127.*, localhost or [::1], with or without a port. */
bool browser_host_is_loopback(const char *host);
/* Whether an Origin (scheme://host[:port]) is of the host and port in Host. */
bool browser_origin_is_host(const char *origin, const char *host);

#endif
