-- What an operator looks at: the site as it is now, and whether anything is wrong with it.

-- name: api_overview
-- how many rows of each list. Every list starts at a narrow table (reservation, job_work) or at the newest jobs: a party
-- that needs no cores has no reservation.
WITH newest AS MATERIALIZED (SELECT * FROM norn.party_job ORDER BY create_at DESC, party_job_no DESC LIMIT 500),
runs AS MATERIALIZED (
    SELECT p.job_id, p.role, p.party_id, p.progress, p.start_at, r.cores, r.memory_mb
      FROM norn.reservation r JOIN norn.party_job p USING (party_job_no) WHERE p.status = 'running'
    UNION ALL
    SELECT n.job_id, n.role, n.party_id, n.progress, n.start_at, 0, 0 FROM newest n
     WHERE n.status = 'running' AND NOT EXISTS (SELECT 1 FROM norn.reservation r WHERE r.party_job_no = n.party_job_no))
SELECT json_build_object(
    'now_ms', norn.ms(clock_timestamp()),
    'n_running', (SELECT count(DISTINCT job_id) FROM runs),
    'n_waiting', (SELECT count(*) FROM norn.job_work w JOIN norn.job j USING (job_no)
                   WHERE j.status IN ('ready', 'waiting')),
    'running', COALESCE((SELECT json_agg(x ORDER BY x.start_ms, x.job_id) FROM (
        SELECT p.job_id, array_agg(p.role || ' ' || p.party_id ORDER BY p.role, p.party_id) AS parties,
               max(p.progress) AS progress, sum(p.cores) AS cores, sum(p.memory_mb) AS memory_mb,
               norn.ms(min(p.start_at)) AS start_ms
          FROM runs p GROUP BY p.job_id ORDER BY min(p.start_at), p.job_id LIMIT $1::integer) x), '[]'),
    'waiting', COALESCE((SELECT json_agg(json_build_object('job_id', x.job_id, 'priority', x.priority,
            'submitted_ms', norn.ms(x.submitted_at), 'for',
            CASE WHEN x.suspended THEN 'norn job resume'
                 WHEN x.status = 'ready' THEN 'parties have not answered the creation'
                 WHEN x.blocked THEN 'resources' ELSE 'a scheduler' END,
            'detail', (SELECT string_agg(format('%s %s: %s', p.role, p.party_id, p.detail), '; ' ORDER BY p.party_no)
                         FROM norn.job_party p WHERE p.job_no = x.job_no AND p.detail IS NOT NULL))
            ORDER BY x.prio, x.job_no) FROM (
        SELECT j.job_no, j.job_id, j.priority, j.submitted_at, j.suspended, j.status, w.blocked, w.prio
          FROM norn.job_work w JOIN norn.job j USING (job_no)
         WHERE j.status IN ('ready', 'waiting') ORDER BY w.prio, j.job_no LIMIT $1) x), '[]'),
    'ended', COALESCE((SELECT json_agg(json_build_object('job_id', x.job_id, 'status', x.status, 'parties', x.parties,
            'end_ms', norn.ms(x.end_at), 'elapsed_ms', norn.ms(x.end_at) - norn.ms(COALESCE(x.start_at, x.end_at)),
            'reason', x.reason) ORDER BY x.end_at DESC, x.job_id) FROM (
        SELECT n.job_id, min(n.status) AS status, min(n.reason) AS reason, max(n.end_at) AS end_at,
               min(n.start_at) AS start_at, array_agg(n.role || ' ' || n.party_id ORDER BY n.role, n.party_id) AS parties
          FROM newest n WHERE n.end_at IS NOT NULL GROUP BY n.job_id ORDER BY max(n.end_at) DESC, n.job_id LIMIT $1) x), '[]'))
    AS data;

-- name: api_doctor
-- everything that /v2/server/doctor judges, in one row
SELECT current_setting('server_version') AS server_version, current_setting('server_version_num')::integer AS version_num,
       norn.ms(clock_timestamp()) AS now_ms,
       (SELECT max(number) FROM norn.schema_migration) AS migration,
       (SELECT count(*) FROM norn.node_view WHERE alive) AS nodes,
       (SELECT string_agg(name, ', ' ORDER BY name) FROM norn.node_view WHERE NOT alive AND stopped_at IS NULL)
           AS silent_nodes,
       (SELECT string_agg(DISTINCT version, ', ' ORDER BY version) FROM norn.node_view WHERE alive) AS versions,
       (SELECT string_agg(d.duty, ', ' ORDER BY d.duty) FROM unnest(ARRAY['api', 'peer', 'sched', 'exec']) d(duty)
         WHERE NOT EXISTS (SELECT 1 FROM norn.node_view v
                            WHERE v.alive AND d.duty = ANY (regexp_split_to_array(v.duties::text, '[^a-z]+'))))
           AS missing_duties,
       (SELECT count(*) FROM norn.job_work WHERE due_at < now() - interval '1 minute') AS overdue_jobs,
       (SELECT count(*) FROM norn.job_work WHERE lease_until < now() - interval '1 minute') AS old_leases,
       (SELECT count(*) FROM norn.run_work w WHERE w.node_id IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM norn.node_view v WHERE v.node_id = w.node_id AND v.alive)) AS orphan_runs,
       (SELECT count(*) FROM norn.outbox) AS outbox,
       (SELECT norn.ms(now()) - norn.ms(min(created_at)) FROM norn.outbox) AS outbox_age_ms,
       (SELECT string_agg(x, '; ') FROM (
            SELECT dest_party_id || ': ' || max(last_error) AS x FROM norn.outbox WHERE last_error IS NOT NULL
             GROUP BY dest_party_id ORDER BY dest_party_id LIMIT 5) y) AS outbox_errors,
       (SELECT string_agg(format('%s: %s of %s cores, %s of %s MiB', engine, cores_used, cores, memory_mb_used, memory_mb),
                          '; ' ORDER BY engine) FROM norn.resource_view) AS engines,
       (SELECT count(*) FROM norn.resource_view
         WHERE cores_used > cores OR (memory_mb > 0 AND memory_mb_used > memory_mb)) AS overbooked,
       (SELECT string_agg(r.job_id, ', ' ORDER BY r.job_id) FROM norn.reservation_view r WHERE norn.is_end(r.status))
           AS stale_reservations;
