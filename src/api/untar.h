/* Reading a tar archive that is in memory. Pure. */
#ifndef NORN_API_UNTAR_H
#define NORN_API_UNTAR_H

#include "base/err.h"
#include <stddef.h>

struct untar {
	const char *data;
	size_t len;
	size_t at;
};

struct untar_file {
	char name[257]; /* as it stands there: whoever uses it judges it */
	const char *data;
	size_t len;
};

/* 1: the next regular file; 0: the end; -1: damaged, e says how. Directories and extended headers
 * are passed over, links and devices are refused. */
MUST_CHECK int untar_next(struct untar *t, struct untar_file *f, struct err *e);

#endif
