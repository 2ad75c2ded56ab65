/* Sends a tar or tar.gz archive of files and texts as an answer, piece by piece, as fast as the
 * client reads. */
#ifndef NORN_API_ARCHIVE_H
#define NORN_API_ARCHIVE_H

#include "base/buf.h"
#include "base/err.h"
#include "net/http.h"

struct archive;

struct archive *archive_new(bool gzip);
void archive_free(struct archive *a); /* only when not sent */
/* Opens the file now, so that it can go on when the file is replaced meanwhile. Names as in
 * tar_header(). */
MUST_CHECK bool archive_add_file(struct archive *a, const char *name, const char *path,
				 struct err *e);
/* The same, but opened when its turn comes, so that there may be many; one that is gone by then is
 * left out. */
MUST_CHECK bool archive_add_later(struct archive *a, const char *name, const char *path,
				  struct err *e);
/* Takes the buffer's content. */
MUST_CHECK bool archive_add_text(struct archive *a, const char *name, struct buf *text,
				 struct err *e);
/* Answers r with an attachment of that name, and frees a. A read error cuts the archive short,
 * which clients notice. */
void archive_send(struct archive *a, struct http_req *r, const char *file_name);

#endif
