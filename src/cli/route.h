/* Commands that are one route of the API: tables say which parameter comes from where, and which
 * columns people want to see. */
#ifndef NORN_CLI_ROUTE_H
#define NORN_CLI_ROUTE_H

#include "cli/cli.h"

enum route_check {
	ROUTE_TEXT,
	ROUTE_JOB,
	ROUTE_TASK,
	ROUTE_PARTY,
	ROUTE_ROLE,
	ROUTE_STATUS,
	ROUTE_NAMESPACE,
	ROUTE_NAME,
	ROUTE_INT,  /* 0 or more; a number in JSON */
	ROUTE_FLAG, /* true when given */
	ROUTE_WHO,  /* role and party_id, by names_who(): the job is the first argument */
};

#define ROUTE_PARAMS_MAX 12

struct route {
	const char *path;
	bool post; /* parameters as JSON; else as query */
	struct {
		const char *name; /* of the parameter; NULL ends the list */
		const char *from; /* "0" to "7": an argument, when it is given; else an option */
		enum route_check check;
	} params[ROUTE_PARAMS_MAX];
};

/* The parameters, checked; NULL: *e says which is wrong. A new reference. */
MUST_CHECK json_t *route_params(struct cli *c, const struct route *r, struct err *e);
/* The data of the answer: a new reference. */
MUST_CHECK json_t *route_call(struct cli *c, const struct route *r, struct err *e);
/* Downloads it to --out, or to a file of that name in the current directory; --force replaces. */
int route_download(struct cli *c, const struct route *r, const char *fallback, const char *kind);
/* Like route_call(); then prints the line, or the answer with --json. */
int route_do(struct cli *c, const struct route *r, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Like route_call(); then an outline of the data, or JSON. */
int route_outline(struct cli *c, const struct route *r);

enum cell_kind { CELL_TEXT, CELL_INT, CELL_TIME, CELL_ELAPSED, CELL_YES, CELL_PERCENT, CELL_PARTY };
struct column {
	const char *head; /* '>' in front: right-aligned */
	const char *key;  /* CELL_PARTY: of role and party_id of the row, key is not used */
	enum cell_kind kind;
};
#define COLUMNS_MAX 12
/* rows: an array of objects. */
void rows_print(const struct cli *c, const json_t *rows, const struct column *cols, size_t n);
/* Like route_call(); then a table of the data, of its member `data` when it is a page. */
int route_table(struct cli *c, const struct route *r, const struct column *cols, size_t n);

#endif
