/*
 * FATE's signature of a request: MD5 over who calls and when, and over that together with the app's
 * token. It covers neither path nor body; MD5 is what the clients of FATE compute. Pure.
 */
#ifndef NORN_AUTH_SIGNATURE_H
#define NORN_AUTH_SIGNATURE_H

#include "base/err.h"
#include <stdbool.h>

#define SIGNATURE_LEN       32 /* lower-case hex digits */
#define SIGNATURE_NONCE_LEN 4
#define SIGNATURE_WINDOW_MS 60000 /* a timestamp may be so far from the clock, on either side */

/* user: userName of a client, initiatorPartyId of a site; may be "". timestamp: ms since 1970 as
 * decimal text. Fails only when the system's OpenSSL has no MD5. */
MUST_CHECK bool signature_make(const char *app_id, const char *user, const char *nonce,
			       const char *timestamp, const char *token,
			       char out[SIGNATURE_LEN + 1], struct err *e);
/* In time that does not depend on where the two differ. */
bool signature_same(const char *given, const char *want);

/* n letters and digits, evenly distributed, from the kernel's random numbers; out has n + 1 bytes.
 */
void signature_random(char *out, size_t n);

#endif
