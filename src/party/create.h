/*
 * A job as one of its parties keeps it, built from the compiled definition: by the scheduler's site
 * for its own parties (submit_doc.h), by every other site for its own, from the same definition.
 */
#ifndef NORN_PARTY_CREATE_H
#define NORN_PARTY_CREATE_H

#include "dag/dag.h"
#include "store/node_conf.h"
#include <jansson.h>

/* What this site fills in where a definition says nothing. Borrows from conf. */
struct dag_defaults party_dag_defaults(const struct node_conf *conf);

/* What a party keeps of a task, and its component gets: dag_party_task() and besides "parties",
 * [{role, party_id: [id]}], and "computing_partitions". A new object. */
MUST_CHECK json_t *party_task_config(const struct dag *d, int task, int party,
				     const struct dag_defaults *def, struct err *e);

/*
 * The argument of norn.party_job_create. party indexes d->parties. A new object: job_id, role,
 * party_id, dag, initiator_party_id, scheduler_party_id, model_id, model_version, user_name
 * (empty), cores, memory_mb, tasks:
 * [{task_name, task_no, party_no, component, provider, config, cores, memory_mb, timeout_s}] in
 * topological order, and inherit {job_id, task_list} when the job takes tasks over from another.
 */
MUST_CHECK json_t *party_create_payload(const struct dag *d, int party, const char *job_id,
					const struct dag_defaults *def, struct err *e);

/*
 * What needs to know the site: sets the computing engine, replaces the provider of each task by the
 * registered one
 * ("norn:*@local" names a family), and refuses a component that its provider does not have.
 * providers comes from catalog_get().
 */
MUST_CHECK bool party_create_settle(json_t *payload, const struct node_conf *conf,
				    json_t *providers, struct err *e);

/* Body of POST /v2/partner/job/create for one party. */
json_t *party_create_body(const struct dag *d, int party, const char *job_id,
			  const char *user_name);

/* The model of a job that names none is called like the job, version "0". */
const char *party_model_id(const struct dag *d, const char *job_id);
const char *party_model_version(const struct dag *d);

#endif
