/*
 * A party's model as one zip file, as FATE writes it: entries <model
 * id>/<version>/<role>/<party>/<task>/<output key>, each a tar archive of the model's files with a
 * <file>.meta.yaml beside each. Blocking; for offload().
 */
#ifndef NORN_API_MODEL_FILE_H
#define NORN_API_MODEL_FILE_H

#include "base/buf.h"
#include "base/err.h"
#include <jansson.h>
#include <stdbool.h>

#define MODEL_IDS 4 /* model id, version, role, party */

struct model_export {
	const char *data_dir;
	const char *ids[MODEL_IDS];
	char *path; /* of the zip file; its directory is made */
	json_t *
	    rows; /* [{task_name, output_key, index, path, type_name, metadata}], by task and key */
	bool ok;
	struct err error;
};
/* The file appears whole or not at all. */
MUST_CHECK bool model_export(const struct model_export *x, struct err *e);

struct model_import {
	const char *data_dir;
	int body_fd;        /* multipart/form-data: model_id, model_version, file; owned */
	char *content_type; /* owned */
	char *dir;          /* below data_dir, nothing else is in it; owned */
	json_t *rows;       /* made: [{model_id, ..., output_key, index, component, type_name, path,
			       sha256, size_bytes,       metadata}] */
	bool ok;
	struct err error;
};
/* All files go below dir, which is made. After a failure some may be there. */
MUST_CHECK bool model_import(struct model_import *x, struct err *e);
void model_import_free(struct model_import *x);

#endif
