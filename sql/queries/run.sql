-- name: run_claim
-- node id, hashes of fresh task tokens, one for each run wanted. Not joined with a table: the function sees rows that
-- came after this statement began, and a claimed run must never be missing from the answer.
SELECT * FROM norn.run_claim($1, $2::text[]);

-- name: run_inputs
-- what the earlier tasks of the job have left at this party: $1 job, $2 role, $3 party, latest attempt of each task
SELECT DISTINCT ON (o.task_name, o.output_key, o.output_index)
       o.task_name, o.output_key, o.output_index, o.namespace, o.name, o.uri, o.type_name, o.metadata,
       t.component, t.attempt, d.uri AS table_uri, d.data_type AS table_type, d.schema AS table_schema,
       d.source AS table_source
  FROM norn.output_data o JOIN norn.party_task t USING (run_no)
  LEFT JOIN norn.data_table d ON d.namespace = o.namespace AND d.name = o.name AND o.type_name = 'data_unresolved'
 WHERE o.job_id = $1 AND o.role = $2 AND o.party_id = $3 AND o.task_name = ANY ($4::text[])
 ORDER BY o.task_name, o.output_key, o.output_index, o.attempt DESC;

-- name: run_models
-- models by id: $1 model id, $2 version, $3 role, $4 party
SELECT task_name, output_key, output_index, path, type_name, component, metadata, job_id, attempt
  FROM norn.model WHERE model_id = $1 AND model_version = $2 AND role = $3 AND party_id = $4
 ORDER BY task_name, output_key, output_index;

-- name: run_tables
-- tables by name: arrays of namespaces and names
SELECT d.namespace, d.name, d.uri, d.data_type, d.schema, d.source
  FROM unnest($1::text[], $2::text[]) AS u(namespace, name) JOIN norn.data_table d USING (namespace, name);

-- name: run_started
UPDATE norn.party_task SET pid = $2, cmd = $3 WHERE run_no = $1 AND party_status = 'running';

-- name: run_finish
SELECT norn.run_finish($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) AS taken;

-- name: runs_finish
-- ends of runs that have left nothing: arrays, then who, and whether the end of stderr is shared
SELECT runs_finish AS run_no
  FROM norn.runs_finish($1::bigint[], $2::bigint[], $3::text[], $4::integer[], $5::integer[], $6::text[], $7::text[],
                        $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12, false, $13);

-- name: run_stops
-- runs of this node that are to be ended
SELECT run_no, lease_no, stop_status FROM norn.run_work WHERE node_id = $1 AND stop_status IS NOT NULL;

-- name: run_lost_claims
-- node id, the runs it knows of, who
SELECT norn.runs_of_lost_claims($1, $2::bigint[], $3) AS n;

-- name: runs_of_dead_nodes
SELECT norn.runs_of_dead_nodes($1) AS n;

-- name: run_output
INSERT INTO norn.output_data (run_no, job_id, task_name, attempt, role, party_id, output_key, output_index, namespace,
                              name, uri, type_name, metadata)
SELECT run_no, job_id, task_name, attempt, role, party_id, $2, $3, $4, $5, $6, $7, $8
  FROM norn.party_task WHERE run_no = $1
ON CONFLICT (run_no, output_key, output_index) DO UPDATE
   SET namespace = EXCLUDED.namespace, name = EXCLUDED.name, uri = EXCLUDED.uri, metadata = EXCLUDED.metadata;

-- name: run_model
INSERT INTO norn.model (model_id, model_version, role, party_id, task_name, output_key, output_index, job_id, attempt,
                        component, type_name, path, sha256, size_bytes, metadata)
SELECT j.model_id, j.model_version, t.role, t.party_id, t.task_name, $2, $3, t.job_id, t.attempt, t.component, $4, $5,
       $6, $7, $8
  FROM norn.party_task t JOIN norn.party_job j USING (party_job_no) WHERE t.run_no = $1
ON CONFLICT (model_id, model_version, role, party_id, task_name, output_key, output_index) DO UPDATE
   SET job_id = EXCLUDED.job_id, attempt = EXCLUDED.attempt, type_name = EXCLUDED.type_name, path = EXCLUDED.path,
       sha256 = EXCLUDED.sha256, size_bytes = EXCLUDED.size_bytes, metadata = EXCLUDED.metadata, create_at = now();

-- name: table_put
INSERT INTO norn.data_table (namespace, name, uri, data_type, row_count, schema, samples, source, partitions)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (namespace, name) DO UPDATE
   SET uri = EXCLUDED.uri, data_type = EXCLUDED.data_type, row_count = EXCLUDED.row_count, schema = EXCLUDED.schema,
       samples = EXCLUDED.samples, source = EXCLUDED.source, partitions = EXCLUDED.partitions, update_at = now();
