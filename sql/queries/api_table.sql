-- Tables by name.

-- name: api_table_query
-- namespace, name, whether to show sample rows
SELECT CASE WHEN $3::boolean
    THEN json_build_object('namespace', namespace, 'name', name, 'count', row_count, 'data_type', data_type,
             'engine', engine, 'path', uri, 'meta', schema, 'source', source, 'display', samples)
    ELSE json_build_object('namespace', namespace, 'name', name, 'count', row_count, 'data_type', data_type,
             'engine', engine, 'path', uri, 'meta', schema, 'source', source) END AS data
  FROM norn.data_table WHERE namespace = $1 AND name = $2;

-- name: api_table_uri
SELECT uri, data_type FROM norn.data_table WHERE namespace = $1 AND name = $2;

-- name: api_table_delete
-- shared: another table, or a model or an output of another name, stands at the same place
DELETE FROM norn.data_table d WHERE namespace = $1 AND name = $2
RETURNING uri, data_type,
    EXISTS (SELECT 1 FROM norn.data_table o WHERE o.uri = d.uri AND (o.namespace, o.name) <> (d.namespace, d.name))
        AS shared;

-- name: api_table_bind
INSERT INTO norn.data_table (namespace, name, uri, data_type, engine) VALUES ($1, $2, $3, 'data_directory', 'path')
ON CONFLICT (namespace, name) DO UPDATE
   SET uri = EXCLUDED.uri, data_type = EXCLUDED.data_type, engine = EXCLUDED.engine, row_count = NULL, schema = '{}',
       samples = '[]', source = '{}', update_at = now();

-- name: upload_begin
-- a file that somebody has begun to upload
INSERT INTO norn.upload (name) VALUES ($1);

-- name: upload_submitted
-- the file, and the job that is to read it
UPDATE norn.upload SET job_id = $2 WHERE name = $1;

-- name: upload_drop
DELETE FROM norn.upload WHERE name = ANY ($1::text[]);

-- name: uploads_over
-- those whose job is over or has gone, and those whose upload was never finished
SELECT u.name FROM norn.upload u
 WHERE CASE WHEN u.job_id IS NULL THEN u.create_at < now() - interval '1 day'
            ELSE NOT EXISTS (SELECT 1 FROM norn.party_job p WHERE p.job_id = u.job_id AND p.end_at IS NULL) END
 LIMIT 1000;
