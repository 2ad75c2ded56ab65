-- Sites, nodes, resources, providers.

-- name: api_route_list
SELECT COALESCE(json_agg(json_build_object('party_id', party_id, 'url', url, 'local', false,
           'last_ok_ms', norn.ms(last_ok_at), 'last_error', last_error, 'last_error_ms', norn.ms(last_error_at))
           ORDER BY party_id), '[]') AS data
  FROM norn.site_route;

-- name: api_route_checked
-- party, error or null
UPDATE norn.site_route SET last_ok_at = CASE WHEN $2::text IS NULL THEN now() ELSE last_ok_at END,
       last_error = COALESCE($2, last_error), last_error_at = CASE WHEN $2 IS NULL THEN last_error_at ELSE now() END
 WHERE party_id = $1;

-- name: api_nodes
SELECT COALESCE(json_agg(json_build_object('node_id', node_id, 'name', name, 'duties', duties, 'address', address,
           'version', version, 'started_ms', norn.ms(started_at), 'seen_ms', norn.ms(seen_at), 'alive', alive,
           'running', running) ORDER BY name, started_at), '[]') AS data
  FROM norn.node_view;

-- name: api_fateflow
-- id and client port of the asking node; the nodes of a site are configured alike
SELECT COALESCE(json_object_agg(node_id, json_build_object('instance_id', node_id, 'timestamp', norn.ms(seen_at),
           'version', version, 'grpc_port', NULL, 'http_port', $2::integer,
           'host', CASE WHEN node_id = $1 THEN '127.0.0.1'
                        ELSE COALESCE(substring(address FROM '^(?:https?://)?(.*):[0-9]+$'), '') END)), '{}') AS data
  FROM norn.node_view WHERE alive;

-- name: api_resources
SELECT COALESCE(json_agg(json_build_object('engine', v.engine, 'cores', v.cores, 'cores_used', v.cores_used,
           'memory_mb', v.memory_mb, 'memory_mb_used', v.memory_mb_used,
           'reservations', COALESCE((
               SELECT json_agg(json_build_object('job_id', r.job_id, 'role', r.role, 'party_id', r.party_id,
                          'cores', r.cores, 'memory_mb', r.memory_mb, 'granted_ms', norn.ms(r.granted_at),
                          'status', r.status) ORDER BY r.granted_at)
                 FROM norn.reservation_view r
                WHERE r.engine = v.engine AND (r.expires_at IS NULL OR r.expires_at > now())), '[]'))
           ORDER BY v.engine), '[]') AS data
  FROM norn.resource_view v;

-- name: api_providers
-- name, device, version, provider_name; each may be null
SELECT COALESCE(json_agg(json_build_object('provider_name', provider_name, 'name', name, 'version', version,
           'device', device, 'metadata', metadata, 'create_time', norn.ms(create_at),
           'update_time', norn.ms(update_at)) ORDER BY provider_name), '[]') AS data
  FROM norn.provider
 WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR device = $2) AND ($3::text IS NULL OR version = $3)
   AND ($4::text IS NULL OR provider_name = $4);

-- name: api_provider_register
-- provider_name, name, version, device, metadata, components (null: as they were); one row, whether it is new
INSERT INTO norn.provider AS p (provider_name, name, version, device, metadata, components)
VALUES ($1, $2, $3, $4, $5, COALESCE($6::json, '{}'))
ON CONFLICT (provider_name) DO UPDATE
   SET metadata = EXCLUDED.metadata, components = COALESCE($6::json, p.components), update_at = now()
RETURNING xmax = 0 AS created;

-- name: api_provider_delete
-- name, device, version, provider_name; each may be null. The built-in one stays.
WITH gone AS (
    DELETE FROM norn.provider
     WHERE name <> 'norn' AND ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR device = $2)
       AND ($3::text IS NULL OR version = $3) AND ($4::text IS NULL OR provider_name = $4)
    RETURNING 1)
SELECT to_json(EXISTS (SELECT 1 FROM gone)) AS data;

-- name: api_metrics_jobs
-- jobs that are not over, counted from the rows of work; those of the last hours by how they ended
SELECT status, count(*) AS n FROM (
    SELECT j.status FROM norn.job_work w JOIN norn.job j USING (job_no)
    UNION ALL
    SELECT j.status FROM norn.job j WHERE j.submitted_at > now() - interval '1 hour' AND j.end_at IS NOT NULL) x
 GROUP BY 1;

-- name: api_metrics_work
SELECT (SELECT count(*) FROM norn.run_work WHERE node_id IS NOT NULL) AS running,
       (SELECT count(*) FROM norn.run_work WHERE node_id IS NULL) AS queued,
       (SELECT count(*) FROM norn.outbox) AS outbox,
       (SELECT COALESCE(extract(epoch FROM now() - min(created_at)), 0) FROM norn.outbox)::double precision
           AS outbox_age_s,
       (SELECT count(*) FROM norn.job_work WHERE blocked) AS blocked,
       (SELECT count(*) FROM norn.node_view WHERE alive) AS nodes,
       (SELECT COALESCE(sum(cores), 0) FROM norn.engine) AS cores,
       (SELECT COALESCE(sum(cores_used), 0) FROM norn.resource_view) AS cores_used;

-- name: api_server_query
SELECT json_build_object('id', server_name, 'server_name', server_name, 'host', host, 'port', port, 'protocol', protocol,
           'create_time', norn.ms(create_at), 'update_time', norn.ms(update_at)) AS data
  FROM norn.server WHERE server_name = $1;

-- name: api_server_all
SELECT COALESCE(json_object_agg(server_name, json_build_object('host', host, 'port', port, 'protocol', protocol)), '{}')
       AS data
  FROM norn.server;

-- name: api_server_set
-- name, host, port, protocol
INSERT INTO norn.server (server_name, host, port, protocol) VALUES ($1, $2, $3, $4)
ON CONFLICT (server_name) DO UPDATE SET host = EXCLUDED.host, port = EXCLUDED.port, protocol = EXCLUDED.protocol,
       update_at = now()
RETURNING json_build_object('server_name', server_name, 'host', host, 'port', port, 'protocol', protocol) AS data;

-- name: api_server_delete
DELETE FROM norn.server WHERE server_name = $1;

-- name: api_service_query
SELECT json_build_object('server_name', server_name, 'service_name', service_name, 'url', url, 'method', method,
           'params', params, 'data', data, 'headers', headers, 'create_time', norn.ms(create_at),
           'update_time', norn.ms(update_at)) AS data
  FROM norn.service WHERE server_name = $1 AND service_name = $2;

-- name: api_service_set
-- server, service, uri, method, protocol, params, data, headers; nothing when there is no such server
INSERT INTO norn.service (server_name, service_name, url, method, params, data, headers)
SELECT s.server_name, $2, format('%s://%s:%s%s', $5::text, s.host, s.port, $3::text), $4, $6, $7, $8
  FROM norn.server s WHERE s.server_name = $1
ON CONFLICT (server_name, service_name) DO UPDATE
   SET url = EXCLUDED.url, method = EXCLUDED.method, params = EXCLUDED.params, data = EXCLUDED.data,
       headers = EXCLUDED.headers, update_at = now();

-- name: api_service_delete
DELETE FROM norn.service WHERE server_name = $1 AND service_name = $2;
