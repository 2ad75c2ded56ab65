-- name: sched_resource_wake
SELECT norn.resource_wake() AS n;

-- name: sched_claim
-- $1 node id, $2 at most, $3 lease ms. A claim that a crash of the server undoes was never made: nobody waits for the
-- disk.
WITH lazy AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
c AS (
    SELECT job_no FROM norn.job_work WHERE due_at <= now() ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED),
u AS (
    UPDATE norn.job_work w
       SET node_id = $1, lease_no = nextval('norn.lease_seq'),
           lease_until = now() + make_interval(secs => $3::integer / 1000.0),
           due_at = now() + make_interval(secs => $3::integer / 1000.0)
      FROM c WHERE w.job_no = c.job_no
    RETURNING w.job_no, w.lease_no, w.poke, w.prio)
-- an update returns its rows in any order, and the jobs of a batch ask for resources in this one
SELECT job_no, lease_no, poke FROM u, lazy ORDER BY prio, job_no;

-- name: sched_next_due
-- ms until the next row is due; null when there is none
SELECT greatest(0, norn.ms(due_at) - norn.ms(clock_timestamp())) AS wait_ms
  FROM norn.job_work ORDER BY due_at LIMIT 1;

-- name: sched_load_jobs
SELECT job_no, job_id, status, version, stop_status, suspended, n_tasks, n_running, n_success, n_interrupted, reserve_tries,
       norn.ms(deadline_at) AS deadline_ms, norn.ms(now()) AS now_ms,
       CASE WHEN attempt = 0 THEN norn.ms(now()) - norn.ms(submitted_at) END AS queued_ms,
       norn.ms(now()) - norn.ms(asked_at) AS asked_ms,
       (SELECT json_agg(json_build_array(s.status, s.n)) FROM (
            SELECT t.status, count(*) AS n FROM norn.task t
             WHERE t.job_no = j.job_no AND j.n_interrupted > 0 AND t.status IN ('canceled', 'timeout', 'failed')
             GROUP BY 1) s) AS interrupted
  FROM norn.job j WHERE job_no = ANY ($1::bigint[]);

-- name: sched_load_parties
SELECT job_no, party_no, role, party_id, create_state, reserve_state, cores, local
  FROM norn.job_party WHERE job_no = ANY ($1::bigint[]) ORDER BY job_no, party_no;

-- name: sched_load_tasks
-- What needs attention, and the waiting children of what runs. $2: at most as many of a job that were reported, and as
-- many that were not: those that wait for cores must not hide the ends that free them. ended: the parents among the
-- reported; reports: [party_no, status, node_lost, exit_code] of what was reported. (OFFSET 0 keeps the joins in the
-- order in which they stand: a plan made while a table was empty must not start there.)
WITH a AS MATERIALIZED (
    SELECT n.job_no, w.task_no, w.mark, w.stage
      FROM unnest($1::bigint[]) AS n(job_no)
     CROSS JOIN LATERAL (
           (SELECT x.task_no, x.mark, x.stage FROM norn.task_work x WHERE x.stage = 'reported' AND x.job_no = n.job_no
             ORDER BY x.task_no LIMIT $2)
           UNION ALL
           (SELECT x.task_no, x.mark, x.stage FROM norn.task_work x WHERE x.stage = 'ready' AND x.job_no = n.job_no
             ORDER BY x.task_no LIMIT $2)) w),
x AS (
    SELECT u.job_no, u.task_no, max(u.mark) AS mark, bool_or(u.reported) AS reported,
           json_agg(u.parent_no) FILTER (WHERE u.parent_no IS NOT NULL) AS ended
      FROM (SELECT job_no, task_no, mark, stage = 'reported' AS reported, NULL::integer AS parent_no FROM a
            UNION ALL
            SELECT e.job_no, e.child_no, NULL, false, a.task_no
              FROM a
             CROSS JOIN LATERAL (SELECT (t.status = 'running') AS runs FROM norn.task t
                                  WHERE t.job_no = a.job_no AND t.task_no = a.task_no OFFSET 0) t
             CROSS JOIN LATERAL (SELECT e.job_no, e.child_no FROM norn.task_edge e
                                  WHERE e.job_no = a.job_no AND e.parent_no = a.task_no OFFSET 0) e
             WHERE a.stage = 'reported' AND t.runs
            UNION ALL
            -- a stop or a deadline needs every running task
            SELECT j.job_no, w.task_no, NULL, false, NULL
              FROM norn.job j
             CROSS JOIN LATERAL (SELECT w.task_no FROM norn.task_work w
                                  WHERE w.stage IN ('running', 'reported') AND w.job_no = j.job_no OFFSET 0) w
             WHERE j.job_no = ANY ($1::bigint[])
               AND (j.stop_status IS NOT NULL OR j.deadline_at < now() + interval '1 ms')) u
     GROUP BY 1, 2)
SELECT t.job_no, t.task_no, x.mark, t.status, t.attempt, t.deps_left, t.retries_left, t.rescues,
       norn.ms(t.retry_at) AS retry_at_ms, array_to_json(t.parties) AS parties, array_to_json(t.cores) AS cores, x.ended,
       CASE WHEN x.reported AND t.status = 'running' THEN (
            SELECT json_agg(json_build_array(r.party_no, r.status, r.node_lost, r.exit_code))
              FROM norn.job j
             CROSS JOIN LATERAL norn.task_reports(t.job_no, j.job_id, t.task_no, t.task_name, t.attempt) r
             WHERE j.job_no = t.job_no) END AS reports
  FROM x CROSS JOIN LATERAL (SELECT * FROM norn.task t WHERE t.job_no = x.job_no AND t.task_no = x.task_no OFFSET 0) t
 ORDER BY x.job_no, x.task_no;

-- name: sched_load_used
-- cores in use by running tasks, a row a task and party
SELECT n.job_no, w.task_no, u.party_no, u.cores
  FROM unnest($1::bigint[]) AS n(job_no)
 CROSS JOIN LATERAL (SELECT w.task_no FROM norn.task_work w
                      WHERE w.stage IN ('running', 'reported') AND w.job_no = n.job_no OFFSET 0) w
 CROSS JOIN LATERAL (SELECT t.parties, t.cores FROM norn.task t
                      WHERE t.job_no = n.job_no AND t.task_no = w.task_no AND t.status = 'running' OFFSET 0) t
 CROSS JOIN LATERAL unnest(t.parties, t.cores) AS u(party_no, cores);

-- name: sched_apply_jobs
-- the guard of all that follows: version and lease must still be those that were read
UPDATE norn.job j
   SET version = j.version + 1, status = COALESCE(u.to_status, j.status), n_running = u.n_running,
       n_success = u.n_success, n_interrupted = u.n_interrupted, progress = GREATEST(j.progress, u.progress),
       reserve_tries = u.reserve_tries, reason_code = COALESCE(u.reason_code, j.reason_code),
       asked_at = CASE WHEN COALESCE(u.to_status, j.status) = 'waiting' THEN COALESCE(j.asked_at, now()) ELSE j.asked_at END,
       start_at = CASE WHEN u.to_status IS NOT NULL AND u.started THEN COALESCE(j.start_at, now()) ELSE j.start_at END,
       end_at = CASE WHEN norn.is_end(COALESCE(u.to_status, j.status)) THEN COALESCE(j.end_at, now()) END
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::boolean[], $6::integer[], $7::integer[],
              $8::integer[], $9::integer[], $10::integer[], $11::text[])
       AS u(job_no, version, lease_no, to_status, started, n_running, n_success, n_interrupted, progress,
            reserve_tries, reason_code)
 WHERE j.job_no = u.job_no AND j.version = u.version
   AND EXISTS (SELECT 1 FROM norn.job_work w WHERE w.job_no = u.job_no AND w.lease_no = u.lease_no);

-- name: sched_apply_job_steps
-- intermediate steps of a job in one plan (ready, waiting, running): history only
INSERT INTO norn.event (job_id, object, role, party_id, from_status, to_status, reason, detail, actor)
SELECT j.job_id, 'job', p.role, p.party_id, u.from_status, u.to_status, u.reason, p.detail, 'scheduler'
  FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::smallint[])
       AS u(job_no, from_status, to_status, reason, party_no)
  JOIN norn.job j USING (job_no)
  LEFT JOIN norn.job_party p ON p.job_no = u.job_no AND p.party_no = u.party_no
 WHERE u.job_no = ANY ((SELECT norn.mine_of($1::bigint[]))::bigint[]);

-- name: sched_reserve
SELECT norn.sched_reserve($1::bigint[], $2::smallint[], $3::integer);

-- name: sched_release
SELECT norn.sched_release($1::bigint[]);

-- name: sched_start_jobs
SELECT norn.sched_start_jobs($1::bigint[]);

-- name: sched_start_tasks
SELECT norn.sched_start_tasks($1::bigint[], $2::integer[], $3::integer[], $4::text[]);

-- name: sched_end_tasks
SELECT norn.sched_end_tasks($1::bigint[], $2::integer[], $3::integer[], $4::text[], $5::text[], $6::smallint[],
                            $7::integer[], $8::bigint[], $9::integer[], $10::integer[], $11::bigint[], $12::integer[],
                            $13::integer[]);

-- name: sched_tell_ends
SELECT norn.sched_tell_ends($1::bigint[], $2::integer[], $3::integer[], $4::text[], $5::integer[]);

-- name: sched_end_jobs
SELECT norn.sched_end_jobs($1::bigint[]);

-- name: sched_lock_tasks
-- Rows that several statements of a batch change are taken before, in the order in which a batch of reports takes them.
SELECT count(*) FROM (SELECT DISTINCT * FROM unnest($1::bigint[], $2::integer[]) AS u(job_no, task_no) ORDER BY 1, 2 OFFSET 0) a
 CROSS JOIN LATERAL (SELECT 1 FROM norn.task_work w
                      WHERE w.job_no = a.job_no AND w.task_no = a.task_no FOR UPDATE OFFSET 0) x;

-- name: sched_done_marks
SELECT norn.sched_done_marks($1::bigint[], $2::integer[], $3::bigint[], $4::boolean[]);

-- name: sched_leave
SELECT norn.sched_leave($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::boolean[]) AS due;

-- name: sched_fail_job
-- a job whose plan the database refuses: it is ended with that text rather than tried for ever
SELECT o_found FROM norn.job_stop($1, 'failed', 'scheduler', $2);

-- name: sched_expire
-- grants that were never used
SELECT norn.reservations_expire(NULL) AS n;

-- name: sched_overdue
-- parties that have not reported $1 s after the time limit of a task
SELECT norn.sched_overdue($1) AS n;

-- name: sched_created
SELECT norn.sched_created($1, $2::smallint, $3, $4);

-- name: sched_reserved
SELECT norn.sched_reserved($1, $2::smallint, $3, $4);

-- name: sched_remote_report
-- job_id, task_name, attempt, role, party_id, status, exit_code, signal, error, stderr_tail, node_lost, elapsed_ms
SELECT norn.sched_remote_report($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS taken;

-- name: sched_remote_reports
-- arrays of the same
SELECT place, taken
  FROM norn.sched_remote_reports($1::text[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::integer[],
                                 $8::integer[], $9::text[], $10::text[], $11::boolean[], $12::bigint[]);

-- name: sched_wake
-- resources were released at a party of this job; it may not be marked as blocked yet, as its refusal is being planned
SELECT norn.job_poke(j.job_no) FROM norn.job j WHERE j.job_id = $1 AND j.status = 'waiting';
