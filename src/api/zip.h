/*
 * Zip archives: written with stored entries, read with stored and deflated ones. Blocking; for use
 * away from the event loop. Entries and archives of 4 GiB and more are refused.
 */
#ifndef NORN_API_ZIP_H
#define NORN_API_ZIP_H

#include "base/buf.h"
#include "base/err.h"
#include <stdint.h>

#define ZIP_NAME_MAX    1024
#define ZIP_ENTRIES_MAX 10000

/* ---- writing: begin, add..., end for each entry, then finish ---- */
struct zip_writer {
	int fd; /* owned by the caller */
	uint64_t at;
	uint64_t entry_at;
	uint64_t entry_size;
	uint32_t entry_crc;
	unsigned n;
	char name[ZIP_NAME_MAX + 1];
	struct buf directory;
};

void zip_write_init(struct zip_writer *w, int fd);
void zip_write_free(struct zip_writer *w);
MUST_CHECK bool zip_begin(struct zip_writer *w, const char *name, struct err *e);
MUST_CHECK bool zip_add(struct zip_writer *w, const void *data, size_t len, struct err *e);
MUST_CHECK bool zip_end(struct zip_writer *w, struct err *e);
MUST_CHECK bool zip_finish(struct zip_writer *w, struct err *e);

/* ---- reading ---- */
struct zip_entry {
	char *name; /* as it stands there: the reader judges it */
	uint16_t method;
	uint32_t crc;
	uint32_t packed; /* bytes */
	uint32_t size;
	uint32_t header_at;
};
struct zip_reader {
	int fd;
	struct zip_entry *entries;
	size_t n;
};

MUST_CHECK bool zip_open(struct zip_reader *z, int fd, struct err *e);
void zip_close(struct zip_reader *z); /* fd stays open */
/* The content of an entry of at most max_bytes, checked against its checksum, appended to out. */
MUST_CHECK bool zip_read(const struct zip_reader *z, const struct zip_entry *entry,
			 size_t max_bytes, struct buf *out, struct err *e);

#endif
