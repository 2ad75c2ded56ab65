-- How a job stands: progress, and why. Each as the scheduler's site knows it, and as a party knows it.

-- name: api_change
-- a number that differs after everything that happened to the job; null when it is unknown here
SELECT CASE WHEN EXISTS (SELECT 1 FROM norn.job_dag WHERE job_id = $1)
            THEN COALESCE((SELECT max(event_no) FROM norn.event WHERE job_id = $1), 0) END AS change;

-- name: api_progress_sched
WITH j AS (
    SELECT * FROM norn.job WHERE job_id = $1),
deps AS (
    SELECT e.child_no, json_agg(t.task_name ORDER BY t.task_no) AS names
      FROM j JOIN norn.task_edge e USING (job_no) JOIN norn.task t ON t.job_no = e.job_no AND t.task_no = e.parent_no
     GROUP BY 1),
runs AS (
    SELECT t.task_no, json_agg(json_build_object('role', p.role, 'party_id', p.party_id,
               'status', COALESCE(x.status, 'waiting'),
               'elapsed_ms', norn.ms(COALESCE(x.end_at, now())) - norn.ms(x.start_at)) ORDER BY p.party_no) AS parties
      FROM j JOIN norn.task t USING (job_no)
      JOIN norn.job_party p ON p.job_no = t.job_no AND p.party_no = ANY (t.parties)
      LEFT JOIN LATERAL norn.task_reports(t.job_no, $1, t.task_no, t.task_name, t.attempt) x ON x.party_no = p.party_no
     GROUP BY 1)
SELECT json_build_object(
    'change', COALESCE((SELECT max(event_no) FROM norn.event WHERE job_id = $1), 0),
    'job', json_build_object('job_id', j.job_id, 'status', j.status, 'progress', j.progress,
        'submitted_ms', norn.ms(j.submitted_at), 'start_ms', norn.ms(j.start_at), 'end_ms', norn.ms(j.end_at),
        'elapsed_ms', norn.ms(COALESCE(j.end_at, now())) - norn.ms(j.submitted_at),
        'reason', COALESCE(j.reason, CASE WHEN j.status IN ('ready', 'waiting') THEN (
            SELECT string_agg(format('%s %s: %s', p.role, p.party_id, COALESCE(p.detail,
                       CASE WHEN p.create_state = 'asked' THEN 'has not accepted the job yet'
                            ELSE p.reserve_state END)), '; ' ORDER BY p.party_no)
              FROM norn.job_party p
             WHERE p.job_no = j.job_no AND (p.create_state = 'asked' OR p.detail IS NOT NULL)) END)),
    'tasks', COALESCE((
        SELECT json_agg(json_build_object('task_name', t.task_name, 'component', t.component, 'status', t.status,
                   'attempt', t.attempt, 'depends_on', COALESCE(deps.names, '[]'),
                   'elapsed_ms', norn.ms(COALESCE(t.end_at, now())) - norn.ms(t.start_at),
                   'parties', COALESCE(runs.parties, '[]')) ORDER BY t.task_no)
          FROM norn.task t LEFT JOIN deps ON deps.child_no = t.task_no LEFT JOIN runs ON runs.task_no = t.task_no
         WHERE t.job_no = j.job_no), '[]')) AS data
  FROM j;

-- name: api_progress_party
-- own parties only; the first of them stands for the job
WITH p AS (
    SELECT * FROM norn.party_job WHERE job_id = $1),
latest AS (
    SELECT DISTINCT ON (t.task_no, t.role, t.party_id) t.*
      FROM norn.party_task t WHERE t.job_id = $1 ORDER BY t.task_no, t.role, t.party_id, t.attempt DESC),
deps AS (
    SELECT l.task_no, json_agg(DISTINCT d #>> '{}') AS names
      FROM latest l, jsonb_path_query((l.config -> 'inputs')::jsonb,
               'strict $.** ? (exists (@.producer_task) && !exists (@.job_id) && !exists (@.model_id)).producer_task')
               AS d
     GROUP BY 1)
SELECT json_build_object(
    'change', COALESCE((SELECT max(event_no) FROM norn.event WHERE job_id = $1), 0),
    'job', json_build_object('job_id', $1::text, 'status', f.status, 'progress', f.progress,
        'submitted_ms', norn.ms(f.create_at), 'start_ms', norn.ms(f.start_at), 'end_ms', norn.ms(f.end_at),
        'elapsed_ms', norn.ms(COALESCE(f.end_at, now())) - norn.ms(f.create_at), 'reason', f.reason),
    'tasks', COALESCE((
        SELECT json_agg(json_build_object('task_name', g.task_name, 'component', g.component, 'status', g.status,
                   'attempt', g.attempt, 'depends_on', COALESCE(deps.names, '[]'), 'elapsed_ms', g.elapsed_ms,
                   'parties', g.parties) ORDER BY g.task_no)
          FROM (SELECT l.task_no, l.task_name, min(l.component) AS component, min(l.status) AS status,
                       max(l.attempt) AS attempt,
                       max(norn.ms(COALESCE(l.end_at, now())) - norn.ms(l.start_at)) AS elapsed_ms,
                       json_agg(json_build_object('role', l.role, 'party_id', l.party_id, 'status', l.party_status,
                           'elapsed_ms', norn.ms(COALESCE(l.end_at, now())) - norn.ms(l.start_at))
                           ORDER BY l.party_no) AS parties
                  FROM latest l GROUP BY 1, 2) g LEFT JOIN deps USING (task_no)), '[]')) AS data
  FROM (SELECT * FROM p ORDER BY party_job_no LIMIT 1) f;

-- name: api_why_job
-- the job as its scheduler knows it
SELECT j.status, j.progress, j.reason_code, j.reason, j.first_failure, j.stop_status, j.stop_actor, j.n_tasks,
       j.n_running, j.n_success, norn.ms(now()) - norn.ms(j.submitted_at) AS age_ms,
       norn.ms(j.end_at) - norn.ms(j.submitted_at) AS elapsed_ms,
       (SELECT json_agg(json_build_object('task_name', x.task_name, 'attempt', x.attempt, 'elapsed_ms', x.elapsed_ms,
                   'parties', x.parties))
          FROM (SELECT t.task_name, t.attempt, norn.ms(now()) - norn.ms(t.start_at) AS elapsed_ms,
                       (SELECT string_agg(format('%s %s %s', p.role, p.party_id, y.status), ', ' ORDER BY p.party_no)
                          FROM norn.task_reports(t.job_no, $1, t.task_no, t.task_name, t.attempt) y
                          JOIN norn.job_party p ON p.job_no = t.job_no AND p.party_no = y.party_no) AS parties
                  FROM norn.task t WHERE t.job_no = j.job_no AND t.status = 'running'
                 ORDER BY t.task_no LIMIT 10) x) AS running,
       (SELECT json_agg(json_build_object('task_name', t.task_name, 'attempt', t.attempt,
                   'wait_ms', norn.ms(t.retry_at) - norn.ms(now()), 'retries_left', t.retries_left))
          FROM norn.task t WHERE t.job_no = j.job_no AND j.end_at IS NULL AND t.status = 'waiting' AND t.attempt > 0)
           AS retries
  FROM norn.job j WHERE j.job_id = $1;

-- name: api_why_queue
-- what a job that is not over waits for, and its place among those that wait for the same
SELECT w.blocked, norn.ms(w.due_at) - norn.ms(now()) AS next_try_ms,
       (SELECT count(*) FROM norn.job_work b WHERE b.blocked AND b.prio < w.prio) + 1 AS queue_position,
       (SELECT count(*) FROM norn.job_work b WHERE b.blocked) AS queue_length,
       (SELECT json_agg(json_build_object('role', p.role, 'party_id', p.party_id, 'local', p.local,
                   'create_state', p.create_state, 'reserve_state', p.reserve_state, 'cores', p.cores,
                   'memory_mb', p.memory_mb, 'detail', p.detail,
                   'tries', o.tries, 'last_error', o.last_error) ORDER BY p.party_no)
          FROM norn.job_party p
          LEFT JOIN LATERAL (SELECT tries, last_error FROM norn.outbox o
                              WHERE o.job_id = $1 AND o.dest_party_id = p.party_id
                              ORDER BY o.outbox_no LIMIT 1) o ON true
         WHERE p.job_no = j.job_no
           AND (p.create_state <> 'ok' OR p.reserve_state <> 'granted' OR o.last_error IS NOT NULL)) AS parties
  FROM norn.job j JOIN norn.job_work w USING (job_no) WHERE j.job_id = $1;

-- name: api_why_party
-- the job as the parties of this site know it
SELECT p.role, p.party_id, p.status, p.progress, p.reason_code, p.reason, p.first_failure, p.scheduler_party_id,
       norn.ms(now()) - norn.ms(p.create_at) AS age_ms, p.cores, p.memory_mb,
       r.party_job_no IS NOT NULL AS reserved
  FROM norn.party_job p LEFT JOIN norn.reservation r USING (party_job_no)
 WHERE p.job_id = $1 ORDER BY p.party_job_no;

-- name: api_why_runs
-- runs of this site that ended badly, or run, in the latest attempt; $2 a task name or null
SELECT * FROM (
    SELECT DISTINCT ON (t.task_no, t.role, t.party_id) t.task_no, t.task_name, t.attempt, t.role, t.party_id,
           t.status, t.party_status, t.exit_code, t.signal, t.error, t.stderr_tail, n.name AS node,
           norn.ms(COALESCE(t.end_at, now())) - norn.ms(t.start_at) AS elapsed_ms, t.end_at
      FROM norn.party_task t LEFT JOIN norn.node n USING (node_id)
     WHERE t.job_id = $1 AND ($2::text IS NULL OR t.task_name = $2)
     ORDER BY t.task_no, t.role, t.party_id, t.attempt DESC) x
 WHERE $2 IS NOT NULL OR x.party_status IN ('failed', 'timeout', 'running')
 ORDER BY x.end_at NULLS LAST, x.task_no LIMIT 20;

-- name: api_why_task
-- one task as the scheduler knows it
SELECT t.status, t.attempt, t.deps_left, t.retries_left, norn.ms(t.retry_at) - norn.ms(now()) AS retry_wait_ms,
       (SELECT string_agg(format('%s (%s)', p.task_name, p.status), ', ' ORDER BY p.task_no)
          FROM norn.task_edge e JOIN norn.task p ON p.job_no = e.job_no AND p.task_no = e.parent_no
         WHERE e.job_no = t.job_no AND e.child_no = t.task_no AND p.status NOT IN ('success', 'pass')) AS waits_for,
       (SELECT json_agg(json_build_object('task_name', t.task_name, 'attempt', a.attempt, 'role', p.role,
                   'party_id', p.party_id, 'status', x.status, 'exit_code', x.exit_code, 'signal', x.signal,
                   'error', x.error, 'stderr_tail', x.stderr_tail, 'node_lost', x.node_lost)
                   ORDER BY x.status IN ('failed', 'timeout') DESC, x.end_at, p.party_no)
          FROM (SELECT CASE WHEN t.status = 'waiting' AND t.attempt > 0 THEN t.attempt - 1 ELSE t.attempt END AS attempt) a
         CROSS JOIN LATERAL norn.task_reports(t.job_no, $1, t.task_no, t.task_name, a.attempt) x
          JOIN norn.job_party p ON p.job_no = t.job_no AND p.party_no = x.party_no) AS runs
  FROM norn.task t JOIN norn.job j USING (job_no) WHERE j.job_id = $1 AND t.task_name = $2;
