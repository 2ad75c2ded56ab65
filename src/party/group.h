/*
 * Several messages of one site in one request: POST /v2/partner/messages. They are carried out in
 * their order, in one transaction or two when none is refused, and each is answered. One that was
 * not carried out for a reason that may pass is the last that is answered: those behind it were not
 * looked at.
 */
#ifndef NORN_PARTY_GROUP_H
#define NORN_PARTY_GROUP_H

#include "net/http.h"

#define GROUP_BODY_MAX (8 << 20)

http_handler group_handle;
extern const struct http_doc group_doc;

#endif
