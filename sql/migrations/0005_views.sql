-- What the CLI shows, a SELECT shows. Times are timestamptz; all views are read-only and stable by name.

CREATE VIEW norn.job_view AS
SELECT j.job_id, j.status, j.progress, j.priority, j.initiator_party_id, j.scheduler_party_id, j.model_id,
       j.model_version, j.n_tasks, j.n_running, j.n_success, j.n_interrupted, j.stop_status, j.stop_actor,
       j.reason_code, j.reason, j.submitted_at, j.start_at, j.end_at,
       COALESCE(j.end_at, now()) - j.submitted_at AS age
  FROM norn.job j;

CREATE VIEW norn.task_view AS
SELECT j.job_id, t.task_no, t.task_name, t.component, t.status, t.attempt, t.deps_left, t.retries_left, t.rescues,
       t.retry_at, t.start_at, t.end_at
  FROM norn.task t JOIN norn.job j USING (job_no);

-- How the tasks of the jobs that this site schedules stand at all parties, one row an attempt and party.
CREATE VIEW norn.task_party_view AS
SELECT j.job_id, t.task_name, x.attempt, p.role, p.party_id, x.status, x.exit_code, x.signal, x.error,
       x.stderr_tail, x.node_lost, x.start_at, x.end_at
  FROM norn.task_party x JOIN norn.task t USING (job_no, task_no) JOIN norn.job_party p USING (job_no, party_no)
  JOIN norn.job j USING (job_no)
UNION ALL
SELECT r.job_id, r.task_name, r.attempt, r.role, r.party_id, r.party_status, r.exit_code, r.signal, r.error,
       r.stderr_tail, r.node_lost, r.start_at, r.end_at
  FROM norn.party_task r JOIN norn.party_job p USING (party_job_no)
 WHERE p.job_no IS NOT NULL AND (r.status <> 'waiting' OR r.party_status <> 'waiting');

-- Jobs at this site in whatever role, one row a party.
CREATE VIEW norn.party_job_view AS
SELECT job_id, role, party_id, status, progress, scheduler_party_id, cores, memory_mb, reason_code, reason,
       create_at, start_at, end_at
  FROM norn.party_job;

-- Runs at this site: what was started where, and how it ended.
CREATE VIEW norn.run_view AS
SELECT t.job_id, t.task_name, t.attempt, t.role, t.party_id, t.component, t.provider, t.status, t.party_status,
       n.name AS node, t.pid, t.exit_code, t.signal, t.error, t.stderr_tail, t.user_ms, t.sys_ms, t.max_rss_kb,
       t.start_at, t.end_at
  FROM norn.party_task t LEFT JOIN norn.node n USING (node_id);

-- What a job that is not over waits for, and its place in the queue.
CREATE VIEW norn.waiting_view AS
SELECT j.job_id, j.status, row_number() OVER (PARTITION BY w.blocked ORDER BY w.prio) AS queue_position, w.blocked,
       CASE WHEN j.status = 'ready' THEN 'parties have not answered the creation'
            WHEN w.blocked THEN 'resources'
            WHEN j.status = 'waiting' THEN 'a scheduler'
            ELSE 'its running tasks' END AS waits_for,
       (SELECT string_agg(format('%s %s: %s', p.role, p.party_id,
                                 COALESCE(p.detail, CASE WHEN p.create_state = 'asked' THEN 'not created yet' ELSE p.reserve_state END)),
                          '; ' ORDER BY p.party_no)
          FROM norn.job_party p
         WHERE p.job_no = j.job_no AND (p.create_state = 'asked' OR p.detail IS NOT NULL OR p.reserve_state IN ('asked', 'refused', 'never'))) AS detail,
       w.due_at AS next_try_at, j.submitted_at
  FROM norn.job j JOIN norn.job_work w USING (job_no);

CREATE VIEW norn.resource_view AS
SELECT e.name AS engine, e.cores, e.memory_mb,
       COALESCE(sum(r.cores), 0)::integer AS cores_used, COALESCE(sum(r.memory_mb), 0)::integer AS memory_mb_used,
       e.cores - COALESCE(sum(r.cores), 0)::integer AS cores_free, count(r.party_job_no) AS reservations
  FROM norn.engine e LEFT JOIN norn.reservation r
       ON r.engine = e.name AND (r.expires_at IS NULL OR r.expires_at > now())
 GROUP BY e.name, e.cores, e.memory_mb;

CREATE VIEW norn.reservation_view AS
SELECT p.job_id, p.role, p.party_id, r.engine, r.cores, r.memory_mb, r.granted_at, r.expires_at, p.status
  FROM norn.reservation r JOIN norn.party_job p USING (party_job_no);

CREATE VIEW norn.event_view AS
SELECT event_no, at, job_id, object, task_name, role, party_id, attempt, from_status, to_status, reason, detail, actor
  FROM norn.event;

CREATE VIEW norn.node_view AS
SELECT n.node_id, n.name, n.duties, n.address, n.version, n.started_at, n.seen_at, n.stopped_at,
       n.stopped_at IS NULL AND n.seen_at > now() - make_interval(secs => n.lease_ms / 1000.0) AS alive,
       (SELECT count(*) FROM norn.run_work w WHERE w.node_id = n.node_id) AS running
  FROM norn.node n;

CREATE VIEW norn.outbox_view AS
SELECT outbox_no, dest_party_id, job_id, command, created_at, due_at, give_up_at, tries, last_error FROM norn.outbox;

CREATE VIEW norn.metric_view AS
SELECT t.job_id, t.task_name, t.attempt, t.role, t.party_id, m.name, m.type, m.step_axis, m.data, m.create_at
  FROM norn.metric m JOIN norn.party_task t USING (run_no);

-- A role for people who look: it can read the views, and nothing else. It has no login; grant it to one.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'norn_read') THEN
        BEGIN
            CREATE ROLE norn_read NOLOGIN;
        EXCEPTION WHEN insufficient_privilege OR duplicate_object THEN
            RAISE NOTICE 'role norn_read was not created: an administrator has to CREATE ROLE norn_read NOLOGIN';
        END;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'norn_read') THEN
        GRANT USAGE ON SCHEMA norn TO norn_read;
        GRANT SELECT ON norn.job_view, norn.task_view, norn.task_party_view, norn.party_job_view, norn.run_view,
            norn.waiting_view, norn.resource_view, norn.reservation_view, norn.event_view, norn.node_view,
            norn.outbox_view, norn.metric_view TO norn_read;
    END IF;
END $$;
