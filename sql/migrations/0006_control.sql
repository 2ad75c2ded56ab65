-- Control over jobs beyond starting and stopping: rerun, suspend, inheritance, clean-up.

ALTER TABLE norn.job ADD COLUMN suspended boolean NOT NULL DEFAULT false;

-- Earlier definitions of a job that was run again with other parameters.
CREATE TABLE norn.job_dag_old (
    job_id          text NOT NULL REFERENCES norn.job_dag ON DELETE CASCADE,
    attempt         integer NOT NULL,            -- the job's attempt up to which it was in force
    dag             json NOT NULL,
    PRIMARY KEY (job_id, attempt)
);

-- ------------------------------------------------------------------ rerun
-- A party runs the job once more. p: job_id, role, party_id, attempt and, when parameters have changed, dag and tasks
-- [{task_name, attempt, provider, config, cores, memory_mb, timeout_s}]: the rows of the new attempts.
CREATE FUNCTION norn.party_job_rerun(p json) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    pj norn.party_job;
    v_attempt integer := (p->>'attempt')::integer;
BEGIN
    SELECT * INTO pj FROM norn.party_job
     WHERE job_id = p->>'job_id' AND role = p->>'role' AND party_id = p->>'party_id' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000', MESSAGE = format('1001:No found job: job_id[%s],role[%s],party_id[%s]',
            p->>'job_id', p->>'role', p->>'party_id');
    END IF;
    IF pj.attempt >= v_attempt THEN
        RETURN false; -- the command came twice
    END IF;
    IF NOT norn.is_end(pj.status) THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000',
            MESSAGE = format('1003:Update job does not take effect: the job is %s here', pj.status);
    END IF;
    IF p->'dag' IS NOT NULL THEN
        INSERT INTO norn.job_dag_old (job_id, attempt, dag)
        SELECT job_id, v_attempt - 1, dag FROM norn.job_dag WHERE job_id = pj.job_id
            ON CONFLICT DO NOTHING;
        UPDATE norn.job_dag SET dag = p->'dag' WHERE job_id = pj.job_id;
        INSERT INTO norn.party_task (party_job_no, job_id, task_name, task_no, attempt, role, party_id, party_no,
                component, provider, config, cores, memory_mb, timeout_s)
        SELECT o.party_job_no, o.job_id, o.task_name, o.task_no, x.attempt, o.role, o.party_id, o.party_no, o.component,
               x.provider, x.config, x.cores, x.memory_mb, x.timeout_s
          FROM json_to_recordset(p->'tasks') AS x(task_name text, attempt integer, provider text, config json,
               cores integer, memory_mb integer, timeout_s bigint)
          JOIN norn.party_task o ON o.party_job_no = pj.party_job_no AND o.task_name = x.task_name AND o.attempt = 0
         WHERE x.attempt > 0
            ON CONFLICT (job_id, task_name, attempt, role, party_id) DO NOTHING;
        UPDATE norn.party_task t SET provider = x.provider, config = x.config, cores = x.cores,
               memory_mb = x.memory_mb, timeout_s = x.timeout_s
          FROM json_to_recordset(p->'tasks') AS x(task_name text, attempt integer, provider text, config json,
               cores integer, memory_mb integer, timeout_s bigint)
         WHERE t.party_job_no = pj.party_job_no AND t.task_name = x.task_name AND t.attempt = x.attempt
           AND t.status = 'waiting' AND t.party_status = 'waiting';
    END IF;
    UPDATE norn.party_job SET status = 'waiting', attempt = v_attempt, version = version + 1, end_at = NULL,
           reason_code = NULL, reason = NULL, first_failure = NULL, tag = '', update_at = now()
     WHERE party_job_no = pj.party_job_no;
    INSERT INTO norn.event (job_id, object, role, party_id, attempt, from_status, to_status, reason, actor)
    VALUES (pj.job_id, 'job', pj.role, pj.party_id, v_attempt, pj.status, 'waiting', 'rerun',
            'scheduler ' || pj.scheduler_party_id);
    RETURN true;
END $$;

-- Which tasks a rerun takes: all of them, those that have not succeeded, or besides these one and all behind it.
CREATE FUNCTION norn.rerun_tasks(p_job_no bigint, p_all boolean, p_from text) RETURNS TABLE (task_no integer)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE first AS (
        SELECT t.task_no FROM norn.task t
         WHERE t.job_no = p_job_no AND (p_all OR t.task_name = p_from OR t.status NOT IN ('success', 'pass'))),
    behind AS (
        SELECT f.task_no FROM first f
        UNION
        SELECT e.child_no FROM behind b JOIN norn.task_edge e ON e.job_no = p_job_no AND e.parent_no = b.task_no)
    SELECT b.task_no FROM behind b $$;

-- p_dag: the new definition, or null. p_local: {party_no: tasks} for parties of this site when there is one.
-- Successful tasks outside the set keep their outputs. Returns how many tasks will run.
CREATE FUNCTION norn.job_rerun(p_job_id text, p_all boolean, p_from text, p_actor text, p_dag json, p_local json)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    j norn.job;
    v_tasks integer[];
BEGIN
    SELECT * INTO j FROM norn.job WHERE job_id = p_job_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000', MESSAGE = format('1001:No found job: job_id[%s]', p_job_id);
    END IF;
    IF NOT norn.is_end(j.status) THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000', MESSAGE = format(
            '1003:Update job does not take effect: the job is %s; stop it first, or wait for its end', j.status);
    END IF;
    IF p_from IS NOT NULL AND NOT EXISTS (SELECT 1 FROM norn.task WHERE job_no = j.job_no AND task_name = p_from) THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000',
            MESSAGE = format('2000:No found task: job_id[%s],task_name[%s]', p_job_id, p_from);
    END IF;
    SELECT array_agg(task_no) INTO v_tasks FROM norn.rerun_tasks(j.job_no, p_all, p_from);
    IF v_tasks IS NULL THEN
        RETURN 0; -- all has succeeded: nothing to do
    END IF;
    UPDATE norn.task t SET status = 'waiting', attempt = t.attempt + 1
     WHERE t.job_no = j.job_no AND t.task_no = ANY (v_tasks) AND t.status <> 'waiting';
    UPDATE norn.task t SET retries_left = j.auto_retries, rescues = 0, retry_at = NULL, start_at = NULL, end_at = NULL,
           deps_left = (SELECT count(*) FROM norn.task_edge e JOIN norn.task p ON p.job_no = e.job_no AND p.task_no = e.parent_no
                         WHERE e.job_no = t.job_no AND e.child_no = t.task_no AND p.status NOT IN ('success', 'pass'))
     WHERE t.job_no = j.job_no AND t.task_no = ANY (v_tasks);
    UPDATE norn.job SET status = 'waiting', attempt = attempt + 1, version = version + 1, stop_status = NULL,
           asked_at = NULL,
           stop_actor = NULL, stop_reason = NULL, reason_code = NULL, reason = NULL, first_failure = NULL,
           end_at = NULL, n_running = 0, n_interrupted = 0, reserve_tries = 0, suspended = false,
           n_success = (SELECT count(*) FROM norn.task t WHERE t.job_no = j.job_no AND t.status IN ('success', 'pass')),
           deadline_at = now() + (deadline_at - submitted_at)
     WHERE job_no = j.job_no;
    UPDATE norn.job_party SET reserve_state = 'none', detail = NULL WHERE job_no = j.job_no;
    INSERT INTO norn.event (job_id, object, attempt, from_status, to_status, reason, detail, actor)
    VALUES (p_job_id, 'job', j.attempt + 1, j.status, 'waiting', 'rerun',
            format('%s tasks%s%s', cardinality(v_tasks), COALESCE(' from ' || p_from, ''),
                   CASE WHEN p_dag IS NULL THEN '' ELSE ' with other parameters' END), p_actor);
    PERFORM norn.party_job_rerun(json_strip_nulls(json_build_object('job_id', j.job_id, 'role', p.role,
                'party_id', p.party_id, 'attempt', j.attempt + 1, 'dag', p_dag, 'tasks', (
                    SELECT json_agg(x || jsonb_build_object('attempt', t.attempt))
                      FROM json_array_elements(p_local->(p.party_no::text)) y, LATERAL (SELECT y::jsonb AS x) z
                      JOIN norn.task t ON t.job_no = j.job_no AND t.task_name = z.x->>'task_name'
                     WHERE t.task_no = ANY (v_tasks)))))
       FROM norn.job_party p WHERE p.job_no = j.job_no AND p.local;
    INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, job_no, party_no, command, body)
    SELECT p.party_id, j.scheduler_party_id, j.job_id, j.job_no, p.party_no, 'job_rerun',
           json_strip_nulls(json_build_object('job_id', j.job_id, 'role', p.role, 'party_id', p.party_id,
                'attempt', j.attempt + 1, 'dag', p_dag, 'attempts', CASE WHEN p_dag IS NULL THEN NULL ELSE (
                    SELECT json_object_agg(t.task_name, t.attempt) FROM norn.task t
                     WHERE t.job_no = j.job_no AND t.task_no = ANY (v_tasks)) END))
      FROM norn.job_party p WHERE p.job_no = j.job_no AND NOT p.local;
    PERFORM norn.job_work_add(j.job_no, norn.ms(now()) - j.priority::bigint * 600000);
    INSERT INTO norn.task_work (job_no, task_no)
    SELECT t.job_no, t.task_no FROM norn.task t
     WHERE t.job_no = j.job_no AND t.task_no = ANY (v_tasks) AND t.deps_left = 0
        ON CONFLICT (job_no, task_no) DO UPDATE SET mark = nextval('norn.mark_seq');
    RETURN cardinality(v_tasks);
END $$;

-- ------------------------------------------------------------------ suspend and resume
-- A suspended job starts nothing new; what runs goes on.
CREATE FUNCTION norn.job_suspend(p_job_id text, p_suspend boolean, p_actor text, OUT o_found boolean, OUT o_status text)
LANGUAGE plpgsql AS $$
DECLARE
    j norn.job;
BEGIN
    SELECT * INTO j FROM norn.job WHERE job_id = p_job_id FOR NO KEY UPDATE;
    o_found := FOUND;
    o_status := j.status;
    IF NOT o_found OR norn.is_end(j.status) OR j.suspended = p_suspend THEN
        RETURN;
    END IF;
    UPDATE norn.job SET suspended = p_suspend, version = version + 1 WHERE job_no = j.job_no;
    INSERT INTO norn.event (job_id, object, from_status, to_status, reason, actor)
    VALUES (p_job_id, 'job', j.status, j.status, CASE WHEN p_suspend THEN 'suspended' ELSE 'resumed' END, p_actor);
    PERFORM norn.job_poke(j.job_no);
END $$;

-- ------------------------------------------------------------------ retention
-- Ended jobs older than p_keep, oldest first: what there is to delete.
CREATE FUNCTION norn.gc_candidates(p_keep interval, p_limit integer) RETURNS TABLE (job_id text, end_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT x.job_id, max(x.end_at) FROM (
        SELECT j.job_id, j.end_at FROM norn.job j
        UNION ALL SELECT p.job_id, p.end_at FROM norn.party_job p) x
     GROUP BY x.job_id
    HAVING bool_and(x.end_at IS NOT NULL) AND max(x.end_at) < now() - p_keep
     ORDER BY 2 LIMIT p_limit $$;

-- All rows of these jobs, which have ended; the rows of runs, tasks and parties go with them.
CREATE FUNCTION norn.job_rows_delete(p_job_ids text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM norn.run_work w USING norn.party_task t WHERE t.job_id = ANY (p_job_ids) AND w.run_no = t.run_no;
    DELETE FROM norn.task_work w USING norn.job j WHERE j.job_id = ANY (p_job_ids) AND w.job_no = j.job_no;
    DELETE FROM norn.job_work w USING norn.job j WHERE j.job_id = ANY (p_job_ids) AND w.job_no = j.job_no;
    DELETE FROM norn.job WHERE job_id = ANY (p_job_ids);
    DELETE FROM norn.party_job WHERE job_id = ANY (p_job_ids);
    DELETE FROM norn.job_dag WHERE job_id = ANY (p_job_ids);
END $$;

-- Removes the rows of ended jobs; models and named tables stay. Files are the caller's: the ids come back.
CREATE FUNCTION norn.gc_delete(p_job_ids text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    v_ids text[];
BEGIN
    SELECT array_agg(d.job_id) INTO v_ids FROM norn.job_dag d
     WHERE d.job_id = ANY (p_job_ids)
       AND NOT EXISTS (SELECT 1 FROM norn.job j WHERE j.job_id = d.job_id AND j.end_at IS NULL)
       AND NOT EXISTS (SELECT 1 FROM norn.party_job p WHERE p.job_id = d.job_id AND p.end_at IS NULL)
       AND NOT EXISTS (SELECT 1 FROM norn.outbox o WHERE o.job_id = d.job_id);
    DELETE FROM norn.data_table t USING norn.output_data o
     WHERE o.job_id = ANY (v_ids) AND t.namespace = o.namespace AND t.name = o.name AND t.uri = o.uri
       AND t.namespace = o.job_id || '_' || o.task_name;
    PERFORM norn.job_rows_delete(v_ids);
    RETURN QUERY SELECT unnest(v_ids);
END $$;

-- Partitions of the history that end before now - p_keep are dropped whole.
CREATE FUNCTION norn.event_partitions_drop(p_keep interval, p_dry boolean) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
              WHERE i.inhparent = 'norn.event'::regclass AND c.relname ~ '^event_[0-9]{8}$'
                AND to_date(right(c.relname, 8), 'YYYYMMDD') + 1 < now() - p_keep
              ORDER BY 1 LOOP
        IF NOT p_dry THEN
            EXECUTE format('DROP TABLE norn.%I', r.relname);
        END IF;
        RETURN NEXT r.relname;
    END LOOP;
END $$;

-- Jobs cascade to these; the foreign keys need their indexes.
CREATE INDEX output_data_run ON norn.output_data (job_id);
CREATE INDEX party_job_job ON norn.party_job (job_no);

-- ------------------------------------------------------------------ where the time goes
-- A row a run: how long each phase took, in ms, from the history.
CREATE VIEW norn.timing_view AS
SELECT t.job_id, t.task_name, t.attempt, t.role, t.party_id,
       norn.ms(p.start_at) - norn.ms(p.create_at) AS queued_ms,
       norn.ms(c.at) - norn.ms(s.at) AS sent_ms,
       norn.ms(t.end_at) - norn.ms(c.at) AS ran_ms,
       norn.ms(e.at) - norn.ms(t.end_at) AS reported_ms
  FROM norn.party_task t
  JOIN norn.party_job p USING (party_job_no)
  LEFT JOIN LATERAL (SELECT at FROM norn.event v WHERE v.job_id = t.job_id AND v.object = 'task' AND v.task_name = t.task_name
                        AND v.attempt = t.attempt AND v.to_status = 'running' LIMIT 1) s ON true
  LEFT JOIN LATERAL (SELECT at FROM norn.event v WHERE v.job_id = t.job_id AND v.object = 'run' AND v.task_name = t.task_name
                        AND v.attempt = t.attempt AND v.role = t.role AND v.party_id = t.party_id
                        AND v.reason = 'claimed' LIMIT 1) c ON true
  LEFT JOIN LATERAL (SELECT at FROM norn.event v WHERE v.job_id = t.job_id AND v.object = 'task' AND v.task_name = t.task_name
                        AND v.attempt = t.attempt AND norn.is_end(v.to_status) LIMIT 1) e ON true;

DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'norn_read') THEN
        GRANT SELECT ON norn.timing_view TO norn_read;
    END IF;
END $$;

-- ------------------------------------------------------------------ parties and clocks that cannot be relied on
-- A party keeps the time limits of its own runs and reports what came of them. One that says nothing for so long after
-- the limit, or has not even taken the order to start, is given up: its part of the attempt ends as timeout. Returns
-- how many.
CREATE FUNCTION norn.sched_overdue(p_grace_s bigint) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_jobs text[];
    v_tasks text[];
    v_attempts integer[];
    v_roles text[];
    v_parties text[];
    v_errors text[];
BEGIN
    SELECT array_agg(x.job_id), array_agg(x.task_name), array_agg(x.attempt), array_agg(x.role), array_agg(x.party_id),
           array_agg(format('party %s has not answered for %s s longer than the task may take (conf.timeout: %s s)%s',
                            x.party_id, p_grace_s, x.timeout_s,
                            COALESCE('; the last error on the way there: ' || x.last_error, '')))
      INTO v_jobs, v_tasks, v_attempts, v_roles, v_parties, v_errors
      FROM (
        SELECT j.job_id, t.task_name, t.attempt, p.role, p.party_id, t.timeout_s, r.last_error
          FROM norn.task_work w
          JOIN norn.task t USING (job_no, task_no)
          JOIN norn.job j USING (job_no)
          JOIN norn.job_party p ON p.job_no = t.job_no AND p.party_no = ANY (t.parties) AND NOT p.local
          JOIN norn.task_party tp ON tp.job_no = t.job_no AND tp.task_no = t.task_no AND tp.attempt = t.attempt
               AND tp.party_no = p.party_no
          LEFT JOIN norn.site_route r ON r.party_id = p.party_id
         WHERE w.stage IN ('running', 'reported') AND t.status = 'running' AND NOT tp.final
           AND t.start_at < now() - make_interval(secs => t.timeout_s + p_grace_s)
           AND (tp.start_at < now() - make_interval(secs => t.timeout_s + p_grace_s)
                OR tp.start_at IS NULL
                   AND EXISTS (SELECT 1 FROM norn.outbox o
                                WHERE o.job_id = j.job_id AND o.dest_party_id = p.party_id AND o.tries > 0
                                  AND o.created_at < now() - make_interval(secs => t.timeout_s + p_grace_s)))
         ORDER BY t.job_no, t.task_no, p.party_no LIMIT 1000) x;
    IF v_jobs IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM norn.sched_remote_reports(v_jobs, v_tasks, v_attempts, v_roles, v_parties,
            array_fill('timeout'::text, ARRAY[cardinality(v_jobs)]), NULL, NULL, v_errors, NULL, NULL, NULL);
    RETURN cardinality(v_jobs);
END $$;

-- Leases and waiting times are moments of the database's clock. When that has gone back, they would last longer by as
-- much; so they go back with it. The nodes' signs of life show it: none can come from the future. Before a new sign is
-- written. Returns by how many milliseconds the clock has gone back.
CREATE FUNCTION norn.clock_check() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_back interval;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM norn.node WHERE seen_at > v_now + interval '1 second') THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('norn.clock_check'));
    v_now := clock_timestamp();
    SELECT max(seen_at) - v_now INTO v_back FROM norn.node WHERE seen_at > v_now + interval '1 second';
    IF v_back IS NULL THEN
        RETURN 0; -- another node was first
    END IF;
    UPDATE norn.job j SET deadline_at = j.deadline_at - v_back FROM norn.job_work w
     WHERE w.job_no = j.job_no AND j.deadline_at IS NOT NULL;
    UPDATE norn.run_work SET due_at = due_at - v_back WHERE due_at > v_now;
    UPDATE norn.task t SET retry_at = t.retry_at - v_back FROM norn.job_work w
     WHERE w.job_no = t.job_no AND t.retry_at > v_now;
    UPDATE norn.reservation SET expires_at = expires_at - v_back WHERE expires_at > v_now;
    UPDATE norn.outbox SET due_at = due_at - v_back, give_up_at = give_up_at - v_back;
    UPDATE norn.site_route SET single_until = single_until - v_back WHERE single_until > v_now;
    UPDATE norn.chore SET due_at = due_at - v_back WHERE due_at > v_now;
    UPDATE norn.job_work SET due_at = due_at - v_back, lease_until = lease_until - v_back WHERE due_at > v_now;
    UPDATE norn.node SET seen_at = seen_at - v_back WHERE seen_at > v_now;
    RETURN (extract(epoch FROM v_back) * 1000)::bigint;
END $$;
