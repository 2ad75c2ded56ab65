/* What a submitted job looks like before it is written: internal to submit.c. */
#ifndef NORN_PARTY_SUBMIT_DOC_H
#define NORN_PARTY_SUBMIT_DOC_H

#include "base/map.h"
#include "dag/dag.h"
#include "store/node.h"

/* A task at one of its parties. */
struct submit_run {
	int task;             /* index in dag->tasks */
	const char *provider; /* at a party of this site the registered one; borrowed */
	int64_t cores;
	int64_t memory_mb;
	int64_t timeout_s;
};

/* One party's share of the job, in the order of the tasks. */
struct submit_part {
	int64_t cores;
	int64_t memory_mb;
	struct submit_run *runs;
	size_t n_runs;
};

struct submit_doc {
	const struct node *node;
	const struct dag *dag;
	json_t *providers;    /* catalog_get() */
	const json_t *routes; /* {party id: url}; NULL when all parties are served here */
	const char *job_id;
	const char *user_name; /* may be NULL */
	const char *key;       /* may be NULL */
	const char *actor;
	/* by submit_doc_prepare(): */
	struct submit_part *parts; /* one per party */
	struct db_array configs;   /* of the runs at this site, by task and party */
	struct map *names;         /* of providers as the definition has them, for runs elsewhere */
};

/* Whether all parties of the job are served by this site. */
bool submit_all_local(const struct node *n, const struct dag *d);

/* Builds the parts and checks the job against providers, routes and resources. To be freed also
 * after a failure. */
MUST_CHECK bool submit_doc_prepare(struct submit_doc *doc, struct err *e);
/* Adds the statement that writes the job; the configurations go with it. */
void submit_doc_bind(struct submit_doc *doc, struct db_batch *b);
/* Its parties: [{role, party_id, local, cores, memory_mb}], a new array. */
json_t *submit_doc_parties(const struct submit_doc *doc);

/* Walks the tasks in order; the parts hold each party's share of them in the same order. */
struct submit_cursor {
	const struct submit_doc *doc;
	size_t *at; /* by party */
};
const struct submit_run *submit_doc_next_run(struct submit_cursor *c, int party);

void submit_doc_free(struct submit_doc *doc); /* what submit_doc_prepare() made */

#endif
