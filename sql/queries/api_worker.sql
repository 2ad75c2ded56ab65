-- What components tell their site.

-- name: api_worker_run
-- $1 the job id in front of the execution id, $2 the execution id
SELECT t.run_no, t.token_hash, t.party_status, t.job_id, t.role, t.party_id, t.task_name, t.attempt, j.model_id,
       j.model_version
  FROM norn.party_task t JOIN norn.party_job j USING (party_job_no)
 WHERE t.job_id = $1 AND concat_ws('_', t.job_id, t.task_name, t.attempt, t.role, t.party_id) = $2;

-- name: api_worker_metrics
INSERT INTO norn.metric (run_no, name, type, groups, step_axis, data)
SELECT t.run_no, x.m ->> 'name', x.m ->> 'type',
       CASE WHEN json_typeof(x.m -> 'groups') = 'array' THEN x.m -> 'groups' ELSE '[]' END,
       x.m ->> 'step_axis', x.m -> 'data'
  FROM json_array_elements($2::json) WITH ORDINALITY AS x(m, rank), norn.party_task t
 WHERE t.run_no = $1 AND t.party_status = 'running'
 ORDER BY x.rank;

-- name: api_worker_status
-- the end of the process decides the status; what the component says of it is kept as its error
UPDATE norn.party_task SET error = left($2, 10000), update_at = now()
 WHERE run_no = $1 AND party_status = 'running' AND $2::text IS NOT NULL;

-- name: api_worker_output
INSERT INTO norn.output_data (run_no, job_id, task_name, attempt, role, party_id, output_key, output_index, namespace,
                              name, uri, type_name, metadata)
SELECT run_no, job_id, task_name, attempt, role, party_id, $2, $3, $4, $5, $6, $7, $8
  FROM norn.party_task WHERE run_no = $1 AND party_status = 'running'
ON CONFLICT (run_no, output_key, output_index) DO UPDATE
   SET namespace = EXCLUDED.namespace, name = EXCLUDED.name, uri = EXCLUDED.uri, metadata = EXCLUDED.metadata;

-- name: api_worker_table
-- namespace, name, uri, type, rows, schema, samples, source, partitions
INSERT INTO norn.data_table (namespace, name, uri, data_type, row_count, schema, samples, source, partitions)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (namespace, name) DO UPDATE
   SET uri = EXCLUDED.uri, data_type = EXCLUDED.data_type, row_count = EXCLUDED.row_count, schema = EXCLUDED.schema,
       samples = EXCLUDED.samples, source = EXCLUDED.source, partitions = EXCLUDED.partitions, update_at = now();

-- name: api_worker_tracked
-- what a task has left under one key: job_id, role, party_id, task_name, output_key (or null)
SELECT json_agg(json_build_object('namespace', o.namespace, 'name', o.name, 'count', d.row_count,
           'meta', COALESCE(d.schema, '{}'), 'engine', COALESCE(d.engine, 'file'), 'path', COALESCE(d.uri, o.uri),
           'source', COALESCE(d.source, '{}'), 'data_type', COALESCE(d.data_type, o.type_name))
           ORDER BY o.output_key, o.output_index) AS data
  FROM norn.output_data o LEFT JOIN norn.data_table d USING (namespace, name)
 WHERE o.job_id = $1 AND o.role = $2 AND o.party_id = $3 AND o.task_name = $4 AND ($5::text IS NULL OR o.output_key = $5)
   AND o.type_name NOT LIKE '%model'
   AND o.attempt = (SELECT max(attempt) FROM norn.party_task t
                     WHERE t.job_id = $1 AND t.task_name = $4 AND t.role = $2 AND t.party_id = $3);

-- name: api_worker_named
SELECT json_build_array(json_build_object('namespace', namespace, 'name', name, 'count', row_count, 'meta', schema,
           'engine', engine, 'path', uri, 'source', source, 'data_type', data_type)) AS data
  FROM norn.data_table WHERE namespace = $1 AND name = $2;

-- name: api_worker_model
-- model_id, model_version, role, party_id, task_name, output_key
SELECT path, type_name, metadata FROM norn.model
 WHERE model_id = $1 AND model_version = $2 AND role = $3 AND party_id = $4 AND task_name = $5 AND output_key = $6
 ORDER BY output_index;
