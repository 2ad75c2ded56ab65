-- Jobs after their end: clean-up, retention, timing. And what a dry run wants to know.

-- name: api_job_inherit
-- job id, {job_id, task_list}; behind api_job_submit
SELECT norn.job_inherit($1, $2);

-- name: party_job_create_inherit
SELECT norn.party_job_create_inherit($1) AS created;

-- name: chore_take
-- $1 its name, $2 this node, $3 seconds until it is due again; no row: not due, or somebody else has it
UPDATE norn.chore SET due_at = now() + make_interval(secs => $3), node_id = $2
 WHERE name = $1 AND due_at <= now() RETURNING name;

-- name: gc_candidates
-- $1 days, $2 at most
SELECT job_id, norn.ms(end_at) AS end_ms FROM norn.gc_candidates(make_interval(days => $1::integer), $2::integer);

-- name: gc_tables_used
-- for a dry run: which of the jobs have tables that others use; $2 file URI of the data directory, with '/'
SELECT j.job_id FROM unnest($1::text[]) AS j(job_id) WHERE norn.uri_used($2 || 'tables/' || j.job_id || '/', j.job_id);

-- name: gc_jobs
SELECT gc_jobs AS job_id FROM norn.gc_jobs($1::text[], $2);

-- name: gc_events
-- $1 days, $2 dry run
SELECT events_drop AS name FROM norn.events_drop(make_interval(days => $1::integer), $2);

-- name: gc_history
-- A portion of what is older than $1 days and stands in no partition of its day. $2: at most as many rows of each kind.
-- Returns whether there may be more.
WITH e AS (
    DELETE FROM norn.event_default WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM norn.event_default WHERE at < now() - make_interval(days => $1::integer) LIMIT $2::integer))
    RETURNING 1),
a AS (
    DELETE FROM norn.audit WHERE audit_no = ANY (ARRAY(
        SELECT audit_no FROM norn.audit WHERE at < now() - make_interval(days => $1::integer) LIMIT $2::integer))
    RETURNING 1)
SELECT (SELECT count(*) FROM e) = $2 OR (SELECT count(*) FROM a) = $2 AS more;

-- name: gc_dirs
-- what is to be removed, and whether a row still points there; $1 file URI of the data directory, with '/', $2 at most
SELECT g.root, g.name,
       CASE WHEN g.root IN ('work', 'tables') THEN norn.uri_used($1 || g.root || '/' || g.name || '/', NULL)
            WHEN g.root = 'model' THEN EXISTS (SELECT 1 FROM norn.model m WHERE m.path = g.name)
            ELSE false END AS used
  FROM norn.gc_dir g WHERE g.added_at <= now() ORDER BY g.added_at, g.root, g.name LIMIT $2;

-- name: gc_dir_announce
-- path below the data directory of what is about to be made there, which goes in a day unless gc_dirs_done comes first
INSERT INTO norn.gc_dir (root, name, added_at) VALUES ('model', $1, now() + interval '1 day');

-- name: gc_dirs_done
-- arrays of roots and names: those that are gone
DELETE FROM norn.gc_dir g USING unnest($1::text[], $2::text[]) AS u(root, name)
 WHERE g.root = u.root AND g.name = u.name;

-- name: gc_dirs_later
-- arrays of roots and names: those that could not be removed go behind the others
UPDATE norn.gc_dir g SET added_at = now() FROM unnest($1::text[], $2::text[]) AS u(root, name)
 WHERE g.root = u.root AND g.name = u.name;

-- name: job_clean
-- job id, file URI of the data directory with '/'
SELECT norn.job_clean($1, $2) AS found;

-- name: api_job_ended
-- whether the job is over at every party of this site, and no node still ends a run of it; no row: unknown
SELECT bool_and(x.end_at IS NOT NULL) AS ended, min(x.status) FILTER (WHERE x.end_at IS NULL) AS status
  FROM (SELECT end_at, status FROM norn.party_job WHERE job_id = $1
        UNION ALL SELECT end_at, status FROM norn.job WHERE job_id = $1
        UNION ALL SELECT NULL, 'running' FROM norn.party_task t JOIN norn.run_work w USING (run_no)
         WHERE t.job_id = $1 AND w.node_id IS NOT NULL) x
HAVING count(*) > 0;

-- name: api_job_timing
WITH t AS MATERIALIZED (SELECT * FROM norn.job_timing($1)),
once AS (SELECT DISTINCT task_name, attempt, queued_ms FROM t),
j AS (
    SELECT job_id, status, submitted_at, asked_at, start_at, end_at FROM norn.job WHERE job_id = $1
    UNION ALL
    (SELECT job_id, status, create_at, NULL, start_at, end_at FROM norn.party_job WHERE job_id = $1 ORDER BY party_job_no LIMIT 1))
SELECT json_build_object(
    'job', json_build_object('job_id', j.job_id, 'status', j.status, 'submitted_ms', norn.ms(j.submitted_at),
        'start_ms', norn.ms(j.start_at), 'end_ms', norn.ms(j.end_at),
        'waited_ms', norn.span_ms(j.submitted_at, COALESCE(j.start_at, j.end_at, now())),
        'reserved_ms', norn.span_ms(j.asked_at, COALESCE(j.start_at, j.end_at, now())),
        'elapsed_ms', norn.span_ms(j.submitted_at, COALESCE(j.end_at, now()))),
    'runs', COALESCE((SELECT json_agg(json_build_object('task_name', task_name, 'attempt', attempt, 'role', role,
                'party_id', party_id, 'status', status, 'queued_ms', queued_ms, 'sent_ms', sent_ms, 'ran_ms', ran_ms,
                'reported_ms', reported_ms)) FROM t), '[]'),
    'totals', json_build_object('queued_ms', (SELECT sum(queued_ms) FROM once), 'sent_ms', (SELECT sum(sent_ms) FROM t),
        'ran_ms', (SELECT sum(ran_ms) FROM t), 'reported_ms', (SELECT sum(reported_ms) FROM t))) AS data
  FROM j LIMIT 1;

-- name: api_plan_state
-- what is free at this site now: $1 the computing engine
SELECT e.cores, e.cores - COALESCE(r.cores, 0) AS cores_free, e.memory_mb,
       e.memory_mb - COALESCE(r.memory_mb, 0) AS memory_mb_free, COALESCE(r.held_by, '[]') AS held_by,
       (SELECT count(*) FROM norn.job_work w WHERE w.blocked) AS blocked
  FROM norn.engine e CROSS JOIN LATERAL (
       SELECT sum(x.cores) AS cores, sum(x.memory_mb) AS memory_mb, json_agg(DISTINCT p.job_id) AS held_by
         FROM norn.reservation x JOIN norn.party_job p USING (party_job_no)
        WHERE x.engine = e.name AND (x.expires_at IS NULL OR x.expires_at > now())) r
 WHERE e.name = $1;
