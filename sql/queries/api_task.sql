-- name: api_task_query
-- job_id, role, party_id, status, task_name, attempt; each may be null. The filter comes first, then the latest
-- attempt of what is left.
SELECT json_agg(x) AS data FROM (
    SELECT DISTINCT ON (t.job_id, t.task_no, t.role, t.party_id)
           'fate' AS protocol, t.job_id, t.role, t.party_id, t.task_name, t.component,
           t.job_id || '_' || t.task_name AS task_id, t.attempt AS task_version,
           concat_ws('_', t.job_id, t.task_name, t.attempt, t.role, t.party_id) AS execution_id,
           p.scheduler_party_id, t.status, t.party_status, NULL::integer AS status_code,
           json_build_object('job_id', t.job_id, 'task_id', t.job_id || '_' || t.task_name,
               'task_version', t.attempt::text, 'task_name', t.task_name, 'model_id', p.model_id,
               'model_version', p.model_version, 'provider_name', split_part(t.provider, ':', 1),
               'party_task_id', concat_ws('_', t.job_id, t.task_name, t.attempt, t.role, t.party_id),
               'component', t.component, 'role', t.role, 'party_id', t.party_id, 'stage', t.config ->> 'stage',
               'parameters', t.config -> 'parameters', 'input_artifacts', t.config -> 'inputs',
               'engine_run', t.config #> '{conf,engine_run}') AS component_parameters,
           COALESCE(t.config #> '{conf,engine_run}', json_build_object('cores', t.cores)) AS task_run,
           '{}'::json AS task_parameters, '{}'::json AS engine_conf, t.memory_mb AS memory, t.cores AS task_cores,
           t.party_status = 'running' AS resource_in_use, t.run_no::text AS worker_id,
           COALESCE(t.cmd, '[]') AS cmd, n.name AS run_ip, NULL::integer AS run_port, t.pid AS run_pid,
           t.provider AS provider_name, t.kill_status, t.error AS error_report, 'callback' AS sync_type,
           t.timeout_s AS timeout, t.config #>> '{conf,launcher_name}' AS launcher_name,
           norn.ms(t.create_at) AS create_time, norn.ms(t.update_at) AS update_time,
           norn.ms(t.start_at) AS start_time, norn.ms(t.end_at) AS end_time,
           norn.ms(t.end_at) - norn.ms(t.start_at) AS elapsed, t.exit_code, t.signal, t.stderr_tail, t.user_ms,
           t.sys_ms, t.max_rss_kb
      FROM norn.party_task t JOIN norn.party_job p USING (party_job_no) LEFT JOIN norn.node n USING (node_id)
     WHERE ($1::text IS NULL OR t.job_id = $1) AND ($2::text IS NULL OR t.role = $2)
       AND ($3::text IS NULL OR t.party_id = $3) AND ($4::text IS NULL OR t.status = $4)
       AND ($5::text IS NULL OR t.task_name = $5) AND ($6::integer IS NULL OR t.attempt = $6)
     ORDER BY t.job_id, t.task_no, t.role, t.party_id, t.attempt DESC) x;

-- name: api_task_list
-- job_id, role, party_id, task_name, limit, offset
SELECT json_build_object(
    'count', (SELECT count(*) FROM norn.party_task t
               WHERE ($1::text IS NULL OR t.job_id = $1) AND ($2::text IS NULL OR t.role = $2)
                 AND ($3::text IS NULL OR t.party_id = $3) AND ($4::text IS NULL OR t.task_name = $4)),
    'data', COALESCE((SELECT json_agg(x) FROM (
        SELECT 'fate' AS protocol, t.job_id, t.role, t.party_id, t.task_name, t.component,
               t.job_id || '_' || t.task_name AS task_id, t.attempt AS task_version,
               concat_ws('_', t.job_id, t.task_name, t.attempt, t.role, t.party_id) AS execution_id,
               p.scheduler_party_id, t.status, t.party_status, NULL::integer AS status_code,
               t.config AS component_parameters,
               COALESCE(t.config #> '{conf,engine_run}', json_build_object('cores', t.cores)) AS task_run,
               '{}'::json AS task_parameters, '{}'::json AS engine_conf, t.memory_mb AS memory,
               t.cores AS task_cores, t.party_status = 'running' AS resource_in_use, t.run_no::text AS worker_id,
               COALESCE(t.cmd, '[]') AS cmd, n.name AS run_ip, NULL::integer AS run_port, t.pid AS run_pid,
               t.provider AS provider_name, t.kill_status, t.error AS error_report, 'callback' AS sync_type,
               t.timeout_s AS timeout, t.config #>> '{conf,launcher_name}' AS launcher_name,
               norn.ms(t.create_at) AS create_time, norn.ms(t.update_at) AS update_time,
               norn.ms(t.start_at) AS start_time, norn.ms(t.end_at) AS end_time,
               norn.ms(t.end_at) - norn.ms(t.start_at) AS elapsed, t.exit_code, t.signal
          FROM norn.party_task t JOIN norn.party_job p USING (party_job_no) LEFT JOIN norn.node n USING (node_id)
         WHERE ($1::text IS NULL OR t.job_id = $1) AND ($2::text IS NULL OR t.role = $2)
           AND ($3::text IS NULL OR t.party_id = $3) AND ($4::text IS NULL OR t.task_name = $4)
         ORDER BY t.run_no DESC LIMIT NULLIF($5::integer, 0) OFFSET $6::bigint) x), '[]')) AS data;
