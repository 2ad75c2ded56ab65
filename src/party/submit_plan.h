/* The answer of a dry run: what would run where, and what it would wait for. Internal to submit.c.
 */
#ifndef NORN_PARTY_SUBMIT_PLAN_H
#define NORN_PARTY_SUBMIT_PLAN_H

#include "party/submit_doc.h"

/* parties, tasks; a new object. */
json_t *submit_plan(const struct submit_doc *doc);
/* Adds waits_for, a list of texts, from the answer of api_plan_state (statement 0). */
void submit_plan_waits(json_t *plan, const struct db_result *res);

#endif
