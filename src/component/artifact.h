/*
 * Where artifacts stand. A data artifact is a directory named by a file:// URI:
 *
 *	data.csv	header line and rows, RFC 4180, comma, LF
 *	table.json	{"schema": {...}, "count": ROWS, "bytes": SIZE, "sha256": HEX of data.csv}
 *
 * table.json is written last, so a directory with it is complete. A model is one JSON file.
 */
#ifndef NORN_COMPONENT_ARTIFACT_H
#define NORN_COMPONENT_ARTIFACT_H

#include "base/buf.h"
#include "base/err.h"
#include "component/frame.h"
#include <stdio.h>

#define ARTIFACT_SAMPLES 100 /* rows shown in the overview of a table */

/* The path of a file:// URI, in *path (caller frees). Refuses other schemes, remote hosts, "..". */
MUST_CHECK bool artifact_path(const char *uri, char **path, struct err *e);

/* Writing: rows go to `out`, then artifact_finish() seals the directory. */
struct artifact_writer {
	char *dir;
	FILE *out;
};
MUST_CHECK bool artifact_begin(struct artifact_writer *w, const char *uri, struct err *e);
MUST_CHECK bool artifact_finish(struct artifact_writer *w, const json_t *schema, size_t count,
				struct err *e);
void artifact_abandon(struct artifact_writer *w); /* removes what was written; safe after finish */

/* Reading: the description is checked against the data, which is open at its start. */
struct artifact_reader {
	FILE *in;
	json_t *info;         /* table.json */
	const json_t *schema; /* borrowed from info */
	size_t count, bytes;
};
MUST_CHECK bool artifact_open(struct artifact_reader *r, const char *uri, struct err *e);
void artifact_close(struct artifact_reader *r);

MUST_CHECK struct norn_frame *artifact_read_frame(const char *uri, struct err *e);
MUST_CHECK bool artifact_write_frame(const char *uri, const struct norn_frame *f, struct err *e);

#endif
