/* What a submitted job looks like before it is written: internal to submit.c. */
#ifndef NORN_PARTY_SUBMIT_DOC_H
#define NORN_PARTY_SUBMIT_DOC_H

#include "dag/dag.h"
#include "store/node.h"

struct submit_doc {
	const struct node *node;
	const struct dag *dag;
	json_t *providers;    /* catalog_get() */
	const json_t *routes; /* {party id: url}; NULL when all parties are served here */
	const char *job_id;
	const char *user_name; /* may be NULL */
	const char *key;       /* may be NULL */
	const char *actor;
	json_t **payloads; /* one per party, by submit_doc_prepare() */
};

/* Whether all parties of the job are served by this site. */
bool submit_all_local(const struct node *n, const struct dag *d);

/* Builds the payloads and checks the job against providers, routes and resources. */
MUST_CHECK bool submit_doc_prepare(struct submit_doc *doc, struct err *e);
/* The argument of norn.job_submit, a new object. */
json_t *submit_doc_job(const struct submit_doc *doc);
/* Its parties: [{party_no, role, party_id, local, cores, memory_mb}], a new array. */
json_t *submit_doc_parties(const struct submit_doc *doc);

/* Walks the tasks in order; the payloads hold each party's share of them in the same order. */
struct submit_cursor {
	const struct submit_doc *doc;
	size_t *at; /* by party */
};
const json_t *submit_doc_next_row(struct submit_cursor *c, int party);

void submit_doc_free(struct submit_doc *doc); /* payloads only */

#endif
