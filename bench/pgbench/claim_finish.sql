-- One task: claim it with a history row, end it with a history row. Two statements, two commits, no batching.
WITH c AS (
    SELECT no FROM bench_work WHERE node_id IS NULL ORDER BY prio LIMIT 1 FOR UPDATE SKIP LOCKED),
u AS (
    UPDATE bench_work w SET node_id = 'node', lease_no = nextval('bench_lease') FROM c WHERE w.no = c.no
    RETURNING w.no, w.lease_no),
t AS (
    UPDATE bench_task t SET status = 'running', node_id = 'node', start_at = now(), version = t.version + 1
      FROM u WHERE t.no = u.no RETURNING t.no, t.job_id, u.lease_no),
e AS (
    INSERT INTO bench_event (job_id, from_status, to_status, reason, actor)
    SELECT job_id, 'waiting', 'running', 'claimed', 'node' FROM t)
SELECT no, lease_no FROM t \gset
WITH d AS (
    DELETE FROM bench_work WHERE no = :no AND lease_no = :lease_no RETURNING no),
t AS (
    UPDATE bench_task t SET status = 'success', end_at = now(), version = t.version + 1
      FROM d WHERE t.no = d.no RETURNING t.job_id)
INSERT INTO bench_event (job_id, from_status, to_status, reason, actor)
SELECT job_id, 'running', 'success', 'exited', 'node' FROM t;
