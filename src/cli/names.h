/* Names given on the command line, checked before anything is sent; and the defaults of role and
 * party. */
#ifndef NORN_CLI_NAMES_H
#define NORN_CLI_NAMES_H

#include "cli/cli.h"
#include "dag/dag.h"

#define NAMES_JOB_MAX   64
#define NAMES_TABLE_MAX 200

MUST_CHECK bool names_job(const char *s, struct err *e);
MUST_CHECK bool names_task(const char *s, struct err *e);
MUST_CHECK bool names_party(const char *s, struct err *e);
MUST_CHECK bool names_role(const char *s, struct err *e);
/* what: "name" or "namespace". */
MUST_CHECK bool names_table(const char *what, const char *s, struct err *e);

/* One side of a job. */
struct who {
	char role[16];
	char party[DAG_PARTY_ID_MAX + 1];
};
/* --role and --party of the command; what is not given is taken from the job's rows at this site,
 * the guest's first. */
MUST_CHECK bool names_who(struct cli *c, const char *job, struct who *out, struct err *e);
/* The party id of the node's site. */
MUST_CHECK bool names_own_party(struct cli *c, char *out, size_t size, struct err *e);

#endif
