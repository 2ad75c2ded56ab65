-- What tasks have left behind. Each takes job_id, role, party_id, task_name; no row means that there is no such task.

-- name: api_metric_keys
SELECT COALESCE((SELECT json_agg(json_build_object('name', k.name, 'type', k.type, 'groups', k.groups::json,
                            'step_axis', k.step_axis) ORDER BY k.first)
                   FROM (SELECT m.name, m.type, m.groups::text AS groups, m.step_axis, min(m.metric_no) AS first
                           FROM norn.metric m WHERE m.run_no = t.run_no GROUP BY 1, 2, 3, 4) k), '[]') AS data
  FROM norn.party_task t
 WHERE t.job_id = $1 AND t.role = $2 AND t.party_id = $3 AND t.task_name = $4 ORDER BY t.attempt DESC LIMIT 1;

-- name: api_metric_query
SELECT COALESCE((SELECT json_agg(json_build_object('name', m.name, 'type', m.type, 'groups', m.groups,
                            'step_axis', m.step_axis, 'data', m.data) ORDER BY m.metric_no)
                   FROM norn.metric m WHERE m.run_no = t.run_no), '[]') AS data
  FROM norn.party_task t
 WHERE t.job_id = $1 AND t.role = $2 AND t.party_id = $3 AND t.task_name = $4 ORDER BY t.attempt DESC LIMIT 1;

-- name: api_metric_delete
WITH t AS (
    SELECT run_no FROM norn.party_task WHERE job_id = $1 AND role = $2 AND party_id = $3 AND task_name = $4),
gone AS (
    DELETE FROM norn.metric m USING t WHERE m.run_no = t.run_no RETURNING 1)
SELECT to_json((SELECT count(*) FROM gone) > 0) AS data FROM t LIMIT 1;

-- name: api_output_models
-- models stand under the model of the job, by task name
SELECT j.job_id, m.output_key, m.output_index, m.path, m.type_name, m.metadata
  FROM norn.party_task t JOIN norn.party_job j USING (party_job_no)
  LEFT JOIN norn.model m ON m.model_id = j.model_id AND m.model_version = j.model_version AND m.role = t.role
       AND m.party_id = t.party_id AND m.task_name = t.task_name
 WHERE t.job_id = $1 AND t.role = $2 AND t.party_id = $3 AND t.task_name = $4 AND t.attempt = 0
 ORDER BY m.output_key, m.output_index;

-- name: api_model_delete
WITH t AS (
    SELECT j.model_id, j.model_version FROM norn.party_task t JOIN norn.party_job j USING (party_job_no)
     WHERE t.job_id = $1 AND t.role = $2 AND t.party_id = $3 AND t.task_name = $4 AND t.attempt = 0),
gone AS (
    DELETE FROM norn.model m USING t
     WHERE m.model_id = t.model_id AND m.model_version = t.model_version AND m.role = $2 AND m.party_id = $3
       AND m.task_name = $4
    RETURNING m.path),
marked AS (
    INSERT INTO norn.gc_dir (root, name) SELECT DISTINCT 'model', path FROM gone ON CONFLICT DO NOTHING)
SELECT EXISTS (SELECT 1 FROM gone) AS found FROM t;

-- name: api_output_data
-- data of the latest attempt; the table's own row says where it is
SELECT t.job_id, o.output_key, o.output_index, o.namespace, o.name, COALESCE(d.uri, o.uri) AS uri,
       COALESCE(d.data_type, o.type_name) AS data_type
  FROM (SELECT * FROM norn.party_task t
         WHERE t.job_id = $1 AND t.role = $2 AND t.party_id = $3 AND t.task_name = $4
         ORDER BY t.attempt DESC LIMIT 1) t
  LEFT JOIN norn.output_data o ON o.run_no = t.run_no AND o.type_name NOT LIKE '%model'
       AND ($5::text IS NULL OR o.output_key = $5)
  LEFT JOIN norn.data_table d ON d.namespace = o.namespace AND d.name = o.name
 ORDER BY o.output_key, o.output_index;

-- name: api_output_tables
SELECT COALESCE((SELECT json_object_agg(k.output_key, k.tables)
                   FROM (SELECT o.output_key, json_agg(json_build_object('namespace', o.namespace, 'name', o.name)
                                    ORDER BY o.output_index) AS tables
                           FROM norn.output_data o
                          WHERE o.run_no = t.run_no AND o.type_name NOT LIKE '%model' GROUP BY 1) k), '{}') AS data
  FROM norn.party_task t
 WHERE t.job_id = $1 AND t.role = $2 AND t.party_id = $3 AND t.task_name = $4 ORDER BY t.attempt DESC LIMIT 1;

-- name: api_output_display
SELECT COALESCE((SELECT json_object_agg(k.output_key, k.tables)
                   FROM (SELECT o.output_key, json_agg(json_build_object('data', d.samples, 'metadata', d.schema,
                                    'total', d.row_count) ORDER BY o.output_index) AS tables
                           FROM norn.output_data o JOIN norn.data_table d USING (namespace, name)
                          WHERE o.run_no = t.run_no AND d.data_type IN ('table', 'dataframe') GROUP BY 1) k), '{}')
       AS data
  FROM norn.party_task t
 WHERE t.job_id = $1 AND t.role = $2 AND t.party_id = $3 AND t.task_name = $4 ORDER BY t.attempt DESC LIMIT 1;

-- name: api_model_files
-- model_id, model_version, role, party_id
SELECT task_name, output_key, output_index, path, type_name, metadata FROM norn.model
 WHERE model_id = $1 AND model_version = $2 AND role = $3 AND party_id = $4
 ORDER BY task_name, output_key, output_index LIMIT 10000;

-- name: api_model_there
-- model_id; model_version, role, party_id or null
SELECT 1 FROM norn.model
 WHERE model_id = $1 AND ($2::text IS NULL OR model_version = $2) AND ($3::text IS NULL OR role = $3)
   AND ($4::text IS NULL OR party_id = $4) LIMIT 1;

-- name: api_models_delete
-- model_id, model_version; role, party_id, task_name, output_key or null. Files are marked.
WITH gone AS (
    DELETE FROM norn.model
     WHERE model_id = $1 AND model_version = $2 AND ($3::text IS NULL OR role = $3)
       AND ($4::text IS NULL OR party_id = $4) AND ($5::text IS NULL OR task_name = $5)
       AND ($6::text IS NULL OR output_key = $6)
    RETURNING path),
marked AS (
    INSERT INTO norn.gc_dir (root, name) SELECT DISTINCT 'model', path FROM gone ON CONFLICT DO NOTHING)
SELECT EXISTS (SELECT 1 FROM gone) AS found;

-- name: api_model_import
-- rows of models; what they replace is marked
WITH new AS (
    SELECT * FROM json_to_recordset($1::json) AS x(model_id text, model_version text, role text, party_id text,
           task_name text, output_key text, "index" integer, component text, type_name text, path text, sha256 text,
           size_bytes bigint, metadata json)),
old AS (
    INSERT INTO norn.gc_dir (root, name)
    SELECT DISTINCT 'model', m.path FROM norn.model m JOIN new n USING (model_id, model_version, role, party_id, task_name,
           output_key)
     WHERE m.output_index = n."index" ON CONFLICT DO NOTHING)
INSERT INTO norn.model (model_id, model_version, role, party_id, task_name, output_key, output_index, job_id, component,
                        type_name, path, sha256, size_bytes, metadata)
SELECT model_id, model_version, role, party_id, task_name, output_key, "index", '', component, type_name, path, sha256,
       size_bytes, metadata
  FROM new
ON CONFLICT (model_id, model_version, role, party_id, task_name, output_key, output_index) DO UPDATE
   SET job_id = EXCLUDED.job_id, component = EXCLUDED.component, type_name = EXCLUDED.type_name, path = EXCLUDED.path,
       sha256 = EXCLUDED.sha256, size_bytes = EXCLUDED.size_bytes, metadata = EXCLUDED.metadata, create_at = now();
