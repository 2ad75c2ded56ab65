-- Apps, roles, permissions, audit.

-- name: auth_app
-- what is known of an app; no row: unknown, or without a role
SELECT a.app_token, a.app_type, json_agg(r.role) AS roles
  FROM norn.app a JOIN norn.app_role r USING (app_id) WHERE a.app_id = $1 GROUP BY a.app_id;

-- name: signature_take
-- request id, app, user, address, method, path, object, signature, seconds to remember it, whether it is a change
WITH taken AS MATERIALIZED (SELECT norn.signature_take($2, $8, $9::integer) AS fresh)
SELECT fresh, CASE WHEN fresh AND $10::boolean THEN norn.audit_begin($1, $2, $3, $4, $5, $6, $7) END AS audit_no
  FROM taken;

-- name: app_create
-- name, type, token, role or null
SELECT json_build_object('app_name', app_name, 'app_id', app_id, 'app_token', app_token, 'app_type', app_type) AS data,
       app_id, app_token
  FROM norn.app_create($1, $2, $3, $4);

-- name: app_site_create
-- party, token
SELECT json_build_object('app_name', app_name, 'app_id', app_id, 'app_token', app_token, 'app_type', app_type) AS data
  FROM norn.app_site_create($1, $2);

-- name: app_delete
-- who asks (null: authentication is off), the app
SELECT json_build_object('status', norn.app_delete($1, $2)) AS data;

-- name: app_site_delete
WITH gone AS (DELETE FROM norn.app WHERE app_type = 'site' AND app_name = $1 RETURNING 1)
SELECT json_build_object('status', EXISTS (SELECT 1 FROM gone)) AS data;

-- name: app_query
-- type, app id, name; of both null, nothing
SELECT COALESCE(json_agg(json_build_object('app_name', app_name, 'app_id', app_id, 'app_token', app_token,
           'app_type', app_type, 'create_time', norn.ms(created_at)) ORDER BY created_at, app_id), '[]') AS data
  FROM norn.app
 WHERE app_type = $1 AND ($2::text IS NOT NULL OR $3::text IS NOT NULL)
   AND ($2 IS NULL OR app_id = $2) AND ($3 IS NULL OR app_name = $3);

-- name: app_list
-- without tokens
SELECT COALESCE(json_agg(json_build_object('app_id', app_id, 'app_name', app_name, 'app_type', app_type,
           'roles', (SELECT COALESCE(json_agg(r.role ORDER BY r.role), '[]') FROM norn.app_role r
                      WHERE r.app_id = a.app_id),
           'create_time', norn.ms(created_at)) ORDER BY created_at, app_id), '[]') AS data
  FROM norn.app a;

-- name: partner_app_create
WITH made AS (
    INSERT INTO norn.partner_app (party_id, app_id, app_token) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
    RETURNING json_build_object('party_id', party_id, 'app_id', app_id, 'app_token', app_token) AS data)
SELECT COALESCE((SELECT data FROM made), '{}') AS data;

-- name: partner_app_delete
WITH gone AS (DELETE FROM norn.partner_app WHERE party_id = $1 RETURNING 1)
SELECT json_build_object('status', EXISTS (SELECT 1 FROM gone)) AS data;

-- name: partner_app_query
-- of a null party, nothing
SELECT COALESCE(json_agg(json_build_object('party_id', party_id, 'app_id', app_id, 'app_token', app_token,
           'create_time', norn.ms(created_at))), '[]') AS data
  FROM norn.partner_app WHERE party_id = $1;

-- name: role_grant
-- who asks, app, role
SELECT json_build_object('status', norn.role_grant($1, $2, $3)) AS data;

-- name: role_delete
SELECT json_build_object('status', norn.role_delete($1, $2, $3)) AS data;

-- name: app_roles
SELECT r.role FROM norn.app_role r WHERE r.app_id = $1 ORDER BY r.role;

-- name: permission_add
-- party, kind, list of values
INSERT INTO norn.party_permission (party_id, kind, value)
SELECT $1, $2, v::jsonb FROM json_array_elements($3::json) AS u(v) ON CONFLICT DO NOTHING;

-- name: permission_remove
DELETE FROM norn.party_permission p USING json_array_elements($3::json) AS u(v)
 WHERE p.party_id = $1 AND p.kind = $2 AND p.value = v::jsonb;

-- name: permission_query
-- party
SELECT json_build_object(
           'component', COALESCE(json_agg(value ORDER BY value) FILTER (WHERE kind = 'component'), '[]'),
           'dataset', COALESCE(json_agg(value ORDER BY value) FILTER (WHERE kind = 'dataset'), '[]')) AS data
  FROM norn.party_permission WHERE party_id = $1;

-- name: permission_check
-- party, components, list of {"name", "namespace"}, earlier jobs, list of {"model_id", "model_version"}
SELECT norn.permission_check($1, $2::text[], $3::json, $4::text[], $5::json) AS ok;

-- name: audit_begin
-- request id, app or null, user, address, method, path, object
SELECT norn.audit_begin($1, $2, $3, $4, $5, $6, $7) AS audit_no;

-- name: audit_end
-- number, code, job id of the answer or null
SELECT norn.audit_end($1, $2::integer, $3) AS done;

-- name: audit_list
-- newest first: before which number or null, at most, app id, object or path that contains a text
SELECT COALESCE(json_agg(json_build_object('audit_no', audit_no, 'at_ms', norn.ms(at), 'request_id', request_id,
           'app_id', app_id, 'user_name', user_name, 'remote', remote, 'method', method, 'path', path,
           'object', object, 'code', code) ORDER BY audit_no DESC), '[]') AS data
  FROM (SELECT * FROM norn.audit
         WHERE ($1::bigint IS NULL OR audit_no < $1) AND ($3::text IS NULL OR app_id = $3)
           AND ($4::text IS NULL OR position($4 IN object) > 0 OR position($4 IN path) > 0)
         ORDER BY audit_no DESC LIMIT $2::integer) a;

-- name: api_worker_token
-- a row when the hash is that of a task that runs at this site
SELECT t.run_no FROM norn.run_work w JOIN norn.party_task t USING (run_no)
 WHERE w.node_id IS NOT NULL AND t.token_hash = $1 AND t.party_status = 'running';
