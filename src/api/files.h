/* Files that tasks have left: data artifacts and models, only below the site's data directory. */
#ifndef NORN_API_FILES_H
#define NORN_API_FILES_H

#include "api/archive.h"
#include "store/node.h"
#include <jansson.h>

/* The path of a data artifact's directory from its file:// URI, appended to out. Refuses what lies
 * outside the data directory, links included. */
MUST_CHECK bool files_data_dir(const struct node *n, const char *uri, struct buf *out,
			       struct err *e);
/* Adds <prefix>/<i>.csv and <prefix>/<i>.meta of a data artifact. */
MUST_CHECK bool files_add_table(const struct node *n, struct archive *a, const char *prefix,
				int64_t i, const char *uri, struct err *e);
/* A path below the data directory, as the table of models keeps it. */
MUST_CHECK bool files_model_path(const struct node *n, const char *rel, struct buf *out,
				 struct err *e);

/* Adds one file of a model and, as <file>.meta.yaml, what is known of it (JSON, which is YAML too):
 * a row with the columns path, type_name and metadata of the first statement. */
MUST_CHECK bool files_add_model(const struct node *n, struct archive *a,
				const struct db_result *res, int row, struct err *e);

#endif
