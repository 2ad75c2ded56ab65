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
