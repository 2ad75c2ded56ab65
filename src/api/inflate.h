/* Decompression of deflate (RFC 1951), as it stands in zip files. Pure. */
#ifndef NORN_API_INFLATE_H
#define NORN_API_INFLATE_H

#include "base/buf.h"
#include "base/err.h"

/* Appends what `data` holds to out, which gets exactly `want` bytes; anything else is ERR_PARSE. */
MUST_CHECK bool inflate_all(const void *data, size_t len, size_t want, struct buf *out,
			    struct err *e);

#endif
