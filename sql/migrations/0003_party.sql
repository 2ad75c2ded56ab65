-- What a party does for a job: the commands of its scheduler, and its runs, as executors see them.

-- ------------------------------------------------------------------ commands to a party
-- A job of a scheduler at another site; those of its own norn.job_submit writes.
CREATE FUNCTION norn.party_job_create(p json) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_no bigint;
    h record; -- p is large, and every p->>'x' would parse it anew
BEGIN
    SELECT * INTO h
      FROM json_to_record(p) AS x(job_id text, role text, party_id text, initiator_party_id text,
           scheduler_party_id text, model_id text, model_version text, user_name text, engine text, cores integer,
           memory_mb integer, dag json, tasks json);
    INSERT INTO norn.job_dag (job_id, dag) VALUES (h.job_id, h.dag) ON CONFLICT DO NOTHING;
    INSERT INTO norn.party_job (job_id, role, party_id, status, initiator_party_id, scheduler_party_id, model_id,
            model_version, user_name, engine, cores, memory_mb)
    VALUES (h.job_id, h.role, h.party_id, 'waiting', h.initiator_party_id, h.scheduler_party_id, h.model_id,
            h.model_version, COALESCE(h.user_name, ''), COALESCE(h.engine, 'standalone'), h.cores, h.memory_mb)
    ON CONFLICT (job_id, role, party_id) DO NOTHING
    RETURNING party_job_no INTO v_no;
    IF v_no IS NULL THEN
        RETURN false; -- the command came twice
    END IF;
    INSERT INTO norn.party_task (party_job_no, job_id, task_name, task_no, role, party_id, party_no, component,
            provider, config, cores, memory_mb, timeout_s)
    SELECT v_no, h.job_id, t.task_name, t.task_no, h.role, h.party_id, t.party_no, t.component,
           t.provider, t.config, t.cores, t.memory_mb, t.timeout_s
      FROM json_to_recordset(h.tasks) AS t(task_name text, task_no integer, party_no smallint, component text,
           provider text, config json, cores integer, memory_mb integer, timeout_s bigint);
    INSERT INTO norn.event (job_id, object, role, party_id, to_status, reason, actor)
    VALUES (h.job_id, 'job', h.role, h.party_id, 'waiting', 'created', 'scheduler ' || h.scheduler_party_id);
    RETURN true;
END $$;

-- A message of a scheduler at another site, before it is carried out; null when the site does not number its messages.
-- One that comes behind a later one was under way for long, and has been sent again and answered meanwhile: it must not
-- end, start or release what the job has become since.
CREATE FUNCTION norn.party_message(p_job_id text, p_role text, p_party_id text, p_message_no bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_seen bigint;
BEGIN
    IF p_message_no IS NULL THEN
        RETURN;
    END IF;
    SELECT message_no INTO v_seen FROM norn.party_job
     WHERE job_id = p_job_id AND role = p_role AND party_id = p_party_id FOR NO KEY UPDATE;
    IF v_seen > p_message_no THEN
        RAISE EXCEPTION USING ERRCODE = 'NR001',
            MESSAGE = format('message %s of job %s came behind message %s', p_message_no, p_job_id, v_seen);
    END IF;
    UPDATE norn.party_job SET message_no = p_message_no
     WHERE job_id = p_job_id AND role = p_role AND party_id = p_party_id AND message_no < p_message_no;
END $$;

-- Grants that were never used go back, of one engine or (null) of all; in one order, since several may do it at once.
-- Whoever could use them is woken. Returns how many.
CREATE FUNCTION norn.reservations_expire(p_engine text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_gone bigint[];
BEGIN
    WITH late AS (
        SELECT party_job_no FROM norn.reservation
         WHERE expires_at <= now() AND (p_engine IS NULL OR engine = p_engine) ORDER BY party_job_no FOR UPDATE),
    gone AS (
        DELETE FROM norn.reservation r USING late l WHERE r.party_job_no = l.party_job_no RETURNING r.party_job_no)
    SELECT array_agg(party_job_no) INTO v_gone FROM gone;
    IF v_gone IS NULL THEN
        RETURN 0;
    END IF;
    INSERT INTO norn.event (job_id, object, role, party_id, from_status, to_status, reason, actor)
    SELECT job_id, 'reservation', role, party_id, 'granted', 'released', 'expired', 'scheduler'
      FROM norn.party_job WHERE party_job_no = ANY (v_gone);
    INSERT INTO norn.resource_freed (party_id, brief)
    SELECT party_id, false FROM norn.party_job WHERE party_job_no = ANY (v_gone) LIMIT 1;
    RETURN cardinality(v_gone);
END $$;

-- One party of one job asks for its cores and memory. granted, refused (not now) or never.
CREATE FUNCTION norn.party_reserve(p_job_id text, p_role text, p_party_id text, p_ttl_ms integer,
        OUT result text, OUT detail text) LANGUAGE plpgsql AS $$
DECLARE
    pj norn.party_job;
    e norn.engine;
    v_cores bigint;
    v_memory bigint;
    v_all_cores bigint;
    v_all_memory bigint;
    v_need_cores bigint;
    v_need_memory bigint;
    v_prio bigint;
    v_ahead text;
    v_holders text;
BEGIN
    SELECT * INTO pj FROM norn.party_job WHERE job_id = p_job_id AND role = p_role AND party_id = p_party_id
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000',
            MESSAGE = format('1001:No found job: job_id[%s],role[%s],party_id[%s]', p_job_id, p_role, p_party_id);
    END IF;
    IF norn.is_end(pj.status) THEN
        result := 'refused';
        detail := format('the job is %s here', pj.status);
        RETURN;
    END IF;
    IF pj.cores = 0 AND pj.memory_mb = 0 THEN
        result := 'granted';
        RETURN;
    END IF;
    UPDATE norn.reservation SET expires_at = CASE WHEN expires_at IS NULL THEN NULL
            ELSE now() + make_interval(secs => p_ttl_ms / 1000.0) END
     WHERE party_job_no = pj.party_job_no AND (expires_at IS NULL OR expires_at > now());
    IF FOUND THEN
        result := 'granted';
        RETURN;
    END IF;
    SELECT * INTO e FROM norn.engine WHERE name = pj.engine FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        result := 'never';
        detail := format('this site has no computing engine %s', pj.engine);
        RETURN;
    END IF;
    PERFORM norn.reservations_expire(e.name);
    -- All parties of the job here count, so that no job holds resources for one while another cannot get any.
    SELECT sum(x.cores), sum(x.memory_mb), sum(x.cores) FILTER (WHERE r.party_job_no IS NULL),
           sum(x.memory_mb) FILTER (WHERE r.party_job_no IS NULL)
      INTO v_all_cores, v_all_memory, v_need_cores, v_need_memory
      FROM norn.party_job x LEFT JOIN norn.reservation r USING (party_job_no)
     WHERE x.job_id = p_job_id AND x.engine = e.name;
    IF v_all_cores > e.cores OR (v_all_memory > e.memory_mb AND e.memory_mb > 0) THEN
        result := 'never';
        detail := format('needs %s cores and %s MiB; engine %s has %s cores and %s MiB in all (resources.cores, resources.memory_mb)',
                         v_all_cores, v_all_memory, e.name, e.cores, e.memory_mb);
        RETURN;
    END IF;
    SELECT COALESCE(sum(r.cores), 0), COALESCE(sum(r.memory_mb), 0) INTO v_cores, v_memory
      FROM norn.reservation r WHERE r.engine = e.name;
    SELECT prio INTO v_prio FROM norn.job_work WHERE job_no = pj.job_no;
    SELECT j.job_id INTO v_ahead FROM norn.job_work w JOIN norn.job j USING (job_no)
     WHERE w.blocked AND w.local_only AND w.job_no <> pj.job_no AND w.prio < v_prio - norn.overtake_ms()
       AND NOT EXISTS (SELECT 1 FROM norn.job_party g WHERE g.job_no = w.job_no AND g.reserve_state = 'granted')
     ORDER BY w.prio LIMIT 1;
    IF v_ahead IS NULL AND v_cores + v_need_cores <= e.cores
       AND (e.memory_mb = 0 OR v_memory + v_need_memory <= e.memory_mb) THEN
        INSERT INTO norn.reservation (party_job_no, engine, cores, memory_mb, expires_at)
        VALUES (pj.party_job_no, e.name, pj.cores, pj.memory_mb, now() + make_interval(secs => p_ttl_ms / 1000.0));
        UPDATE norn.party_job SET apply_at = now() WHERE party_job_no = pj.party_job_no;
        DELETE FROM norn.resource_waiter WHERE job_id = p_job_id;
        -- Those that had to let this one go first may have room beside it.
        INSERT INTO norn.resource_freed (party_id, brief)
        SELECT p_party_id, true
         WHERE EXISTS (SELECT 1 FROM norn.job_work WHERE blocked AND prio > v_prio + norn.overtake_ms());
        result := 'granted';
        INSERT INTO norn.event (job_id, object, role, party_id, to_status, reason, detail, actor)
        VALUES (p_job_id, 'reservation', p_role, p_party_id, 'granted', 'granted',
                format('%s cores, %s MiB', pj.cores, pj.memory_mb), 'party ' || p_party_id);
    ELSE
        SELECT string_agg(h.job_id, ', ') INTO v_holders FROM (
            SELECT p.job_id FROM norn.reservation r JOIN norn.party_job p USING (party_job_no)
             WHERE r.engine = e.name ORDER BY r.granted_at LIMIT 5) h;
        result := 'refused';
        detail := format('needs %s cores and %s MiB, free are %s of %s cores and %s of %s MiB; held by jobs %s%s',
                         v_need_cores, v_need_memory, e.cores - v_cores, e.cores, e.memory_mb - v_memory, e.memory_mb,
                         COALESCE(v_holders, '-'), COALESCE('; job ' || v_ahead || ' has waited longer and goes first', ''));
        IF pj.job_no IS NULL THEN
            INSERT INTO norn.resource_waiter (job_id, scheduler_party_id)
            VALUES (p_job_id, pj.scheduler_party_id) ON CONFLICT DO NOTHING;
        END IF;
    END IF;
END $$;

-- The first in the queue of the blocked jobs that fit into p_cores and p_memory and are not in p_but. One look into
-- the index for each number of cores that anybody waits for.
CREATE FUNCTION norn.resource_next(p_cores bigint, p_memory_mb bigint, p_local_only boolean, p_but bigint[])
RETURNS norn.job_work LANGUAGE sql AS $$
    WITH RECURSIVE need AS (
        (SELECT w.need_cores AS n FROM norn.job_work w
          WHERE w.blocked AND (w.need_cores > 0 OR w.need_memory_mb > 0) ORDER BY w.need_cores LIMIT 1)
        UNION ALL
        SELECT (SELECT w.need_cores FROM norn.job_work w
                 WHERE w.blocked AND (w.need_cores > 0 OR w.need_memory_mb > 0) AND w.need_cores > need.n
                 ORDER BY w.need_cores LIMIT 1)
          FROM need WHERE need.n < p_cores),
    oldest AS (
        SELECT w.prio FROM norn.job_work w
         WHERE w.blocked AND w.local_only AND (w.need_cores > 0 OR w.need_memory_mb > 0) AND w.job_no <> ALL (p_but)
         ORDER BY w.prio LIMIT 1)
    SELECT x.* FROM need CROSS JOIN LATERAL (
           SELECT w.* FROM norn.job_work w
            WHERE w.blocked AND (w.need_cores > 0 OR w.need_memory_mb > 0) AND w.need_cores >= need.n
              AND w.need_memory_mb <= p_memory_mb AND (w.local_only OR NOT p_local_only) AND w.job_no <> ALL (p_but)
            ORDER BY w.need_cores, w.prio LIMIT 1) x
     WHERE need.n <= p_cores AND x.need_cores <= p_cores
       AND x.prio <= COALESCE((SELECT prio FROM oldest) + norn.overtake_ms(), x.prio)
     ORDER BY x.prio LIMIT 1 $$;

-- Wakes the jobs that fit into what is free, the first in the queue first and none behind a large one that has waited
-- too long; also those of other sites. Runs in a scheduler's claim. Returns how many of this site were woken.
CREATE FUNCTION norn.resource_wake() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_party text;
    v_brief boolean;
    v_cores bigint;
    v_memory bigint;
    v_jobs bigint[] := '{}';
    w norn.job_work;
BEGIN
    WITH gone AS (
        DELETE FROM norn.resource_freed WHERE freed_no IN (SELECT freed_no FROM norn.resource_freed FOR UPDATE SKIP LOCKED)
        RETURNING party_id, brief)
    SELECT min(party_id), bool_and(brief) INTO v_party, v_brief FROM gone;
    IF v_party IS NULL THEN
        RETURN 0;
    END IF;
    -- Whoever asks for resources holds the engine's row until the answer is committed: behind this line every job
    -- that was refused before the release is marked as blocked.
    PERFORM 1 FROM norn.engine ORDER BY name FOR NO KEY UPDATE;
    SELECT max(e.cores - r.cores), max(CASE WHEN e.memory_mb = 0 THEN 9223372036854775807 ELSE e.memory_mb - r.memory_mb END)
      INTO v_cores, v_memory
      FROM norn.engine e CROSS JOIN LATERAL (
           SELECT COALESCE(sum(x.cores), 0) AS cores, COALESCE(sum(x.memory_mb), 0) AS memory_mb FROM norn.reservation x
            WHERE x.engine = e.name AND (x.expires_at IS NULL OR x.expires_at > now())) r;
    LOOP
        w := norn.resource_next(v_cores, v_memory, v_brief, v_jobs);
        EXIT WHEN w.job_no IS NULL;
        v_jobs := v_jobs || w.job_no;
        v_cores := v_cores - w.need_cores;
        v_memory := v_memory - w.need_memory_mb;
        IF cardinality(v_jobs) >= 64 THEN
            INSERT INTO norn.resource_freed (party_id, brief) VALUES (v_party, v_brief);
            EXIT;
        END IF;
    END LOOP;
    PERFORM norn.jobs_poke(v_jobs);
    IF NOT v_brief THEN
        WITH gone AS (
            DELETE FROM norn.resource_waiter WHERE job_id IN (
                SELECT job_id FROM norn.resource_waiter ORDER BY asked_at LIMIT 8 FOR UPDATE SKIP LOCKED)
            RETURNING job_id, scheduler_party_id)
        INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, command, body, give_up_at)
        SELECT scheduler_party_id, v_party, job_id, 'resource_wake', json_build_object('job_id', job_id),
               now() + interval '1 minute'
          FROM gone;
    END IF;
    RETURN cardinality(v_jobs);
END $$;

-- p_wake: not when a job only gives back what it could not use, or two jobs could wake each other for ever.
CREATE FUNCTION norn.party_release(p_job_id text, p_role text, p_party_id text, p_wake boolean) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_no bigint;
BEGIN
    DELETE FROM norn.reservation
     WHERE party_job_no = (SELECT p.party_job_no FROM norn.party_job p
                            WHERE p.job_id = p_job_id AND p.role = p_role AND p.party_id = p_party_id)
    RETURNING party_job_no INTO v_no;
    IF p_wake THEN
        DELETE FROM norn.resource_waiter WHERE job_id = p_job_id;
    END IF;
    IF v_no IS NULL THEN
        RETURN false;
    END IF;
    UPDATE norn.party_job SET return_at = now() WHERE party_job_no = v_no;
    INSERT INTO norn.event (job_id, object, role, party_id, from_status, to_status, reason, actor)
    VALUES (p_job_id, 'reservation', p_role, p_party_id, 'granted', 'released', 'released', 'party ' || p_party_id);
    INSERT INTO norn.resource_freed (party_id, brief) VALUES (p_party_id, NOT p_wake);
    RETURN true;
END $$;

CREATE FUNCTION norn.party_job_start(p_job_id text, p_role text, p_party_id text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    pj norn.party_job;
BEGIN
    SELECT * INTO pj FROM norn.party_job WHERE job_id = p_job_id AND role = p_role AND party_id = p_party_id
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000',
            MESSAGE = format('1001:No found job: job_id[%s],role[%s],party_id[%s]', p_job_id, p_role, p_party_id);
    END IF;
    IF pj.status <> 'waiting' THEN
        RETURN pj.status = 'running';
    END IF;
    IF pj.cores > 0 OR pj.memory_mb > 0 THEN
        -- Granted too long ago: there may still be room.
        IF NOT EXISTS (SELECT 1 FROM norn.reservation
                        WHERE party_job_no = pj.party_job_no AND (expires_at IS NULL OR expires_at > now())) THEN
            PERFORM norn.party_reserve(p_job_id, p_role, p_party_id, 60000);
        END IF;
        UPDATE norn.reservation SET expires_at = NULL
         WHERE party_job_no = pj.party_job_no AND (expires_at IS NULL OR expires_at > now());
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'NR000', MESSAGE = format(
                '1005:Job resource exception: job_id[%s],role[%s],party_id[%s],detail[the reservation has expired]',
                p_job_id, p_role, p_party_id);
        END IF;
    END IF;
    UPDATE norn.party_job SET status = 'running', version = version + 1, update_at = now(),
           start_at = COALESCE(start_at, now())
     WHERE party_job_no = pj.party_job_no;
    INSERT INTO norn.event (job_id, object, role, party_id, from_status, to_status, reason, actor)
    VALUES (p_job_id, 'job', p_role, p_party_id, 'waiting', 'running', 'started',
            'scheduler ' || pj.scheduler_party_id);
    RETURN true;
END $$;

-- Puts runs into the executors' queue; rows of earlier attempts are the pattern for new ones. Returns how many.
CREATE FUNCTION norn.party_task_start(p_job_ids text[], p_task_names text[], p_attempts integer[], p_roles text[],
        p_party_ids text[]) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_n integer;
BEGIN
    INSERT INTO norn.party_task (party_job_no, job_id, task_name, task_no, attempt, role, party_id, party_no,
            component, provider, config, cores, memory_mb, timeout_s)
    SELECT t.party_job_no, t.job_id, t.task_name, t.task_no, a.attempt, t.role, t.party_id, t.party_no, t.component,
           t.provider, t.config, t.cores, t.memory_mb, t.timeout_s
      FROM unnest(p_job_ids, p_task_names, p_attempts, p_roles, p_party_ids)
           AS a(job_id, task_name, attempt, role, party_id)
      JOIN norn.party_task t ON t.job_id = a.job_id AND t.task_name = a.task_name AND t.attempt = 0
           AND t.role = a.role AND t.party_id = a.party_id
     WHERE a.attempt > 0
    ON CONFLICT (job_id, task_name, attempt, role, party_id) DO NOTHING;
    WITH started AS (
        UPDATE norn.party_task t SET status = 'running', version = t.version + 1, update_at = now()
          FROM unnest(p_job_ids, p_task_names, p_attempts, p_roles, p_party_ids)
               AS a(job_id, task_name, attempt, role, party_id)
         WHERE t.job_id = ANY (ARRAY[a.job_id]) AND t.task_name = a.task_name AND t.attempt = a.attempt
           AND t.role = a.role AND t.party_id = a.party_id AND t.status = 'waiting' AND t.party_status = 'waiting'
           AND (SELECT p.status FROM norn.party_job p WHERE p.party_job_no = t.party_job_no) = 'running'
        RETURNING t.run_no)
    INSERT INTO norn.run_work (run_no, prio) SELECT run_no, run_no FROM started;
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END $$;

-- The scheduler has decided the status of an attempt. What still runs here is to be ended with it.
CREATE FUNCTION norn.party_task_finish(p_job_ids text[], p_task_names text[], p_attempts integer[], p_roles text[],
        p_party_ids text[], p_statuses text[], p_progress integer[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_runs bigint[]; -- of attempts that ended otherwise than well: they may still run here
BEGIN
    -- In the order in which a run ends, so that an end and a stop wait for each other rather than deadlock: rows of
    -- run_work by number, then party_task.
    SELECT array_agg(t.run_no) INTO v_runs
      FROM unnest(p_job_ids, p_task_names, p_attempts, p_roles, p_party_ids, p_statuses)
           AS a(job_id, task_name, attempt, role, party_id, status)
     CROSS JOIN LATERAL (
           SELECT t.run_no FROM norn.party_task t
            WHERE t.job_id = a.job_id AND t.task_name = a.task_name AND t.attempt = a.attempt AND t.role = a.role
              AND t.party_id = a.party_id OFFSET 0) t
     WHERE a.status NOT IN ('success', 'pass');
    IF v_runs IS NOT NULL THEN
        PERFORM 1 FROM norn.run_work w WHERE w.run_no = ANY (v_runs) ORDER BY w.run_no FOR UPDATE;
    END IF;
    UPDATE norn.party_task t SET status = a.status, kill_status = true, version = t.version + 1, update_at = now()
      FROM unnest(p_job_ids, p_task_names, p_attempts, p_roles, p_party_ids, p_statuses)
           AS a(job_id, task_name, attempt, role, party_id, status)
     WHERE t.job_id = ANY (ARRAY[a.job_id]) AND t.task_name = a.task_name AND t.attempt = a.attempt
       AND t.role = a.role AND t.party_id = a.party_id AND t.status = 'running';
    IF v_runs IS NOT NULL THEN
        WITH r AS (
            SELECT t.run_no, t.job_id, t.task_name, t.attempt, t.role, t.party_id, a.status
              FROM unnest(p_job_ids, p_task_names, p_attempts, p_roles, p_party_ids, p_statuses)
                   AS a(job_id, task_name, attempt, role, party_id, status)
              JOIN norn.party_task t ON t.job_id = a.job_id AND t.task_name = a.task_name AND t.attempt = a.attempt
                   AND t.role = a.role AND t.party_id = a.party_id
             WHERE a.status NOT IN ('success', 'pass')),
        never_ran AS (
            DELETE FROM norn.run_work w USING r WHERE w.run_no = r.run_no AND w.node_id IS NULL
            RETURNING r.*),
        ended AS (
            UPDATE norn.party_task t SET party_status = n.status, end_at = now(), version = t.version + 1
              FROM never_ran n WHERE t.run_no = n.run_no AND t.party_status = 'waiting'
            RETURNING t.run_no),
        said AS (
            INSERT INTO norn.event (job_id, object, task_name, role, party_id, attempt, from_status, to_status, reason,
                                    actor)
            SELECT job_id, 'run', task_name, role, party_id, attempt, 'waiting', status, 'stopped_before_start', 'scheduler'
              FROM never_ran)
        UPDATE norn.run_work w SET stop_status = r.status FROM r
         WHERE w.run_no = r.run_no AND w.node_id IS NOT NULL AND w.stop_status IS NULL;
    END IF;
    UPDATE norn.party_job p SET progress = GREATEST(p.progress, a.progress), update_at = now()
      FROM (SELECT job_id, role, party_id, max(progress) AS progress
              FROM unnest(p_job_ids, p_roles, p_party_ids, p_progress) AS x(job_id, role, party_id, progress)
             GROUP BY 1, 2, 3) a
     WHERE p.job_id = a.job_id AND p.role = a.role AND p.party_id = a.party_id AND p.progress < a.progress;
END $$;

-- The job is over at this party: whatever still runs is stopped, resources go back. Repeats change nothing.
CREATE FUNCTION norn.party_job_finish(p_job_id text, p_role text, p_party_id text, p_status text,
        p_progress integer, p_reason_code text, p_reason text, p_first_failure json) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    pj norn.party_job;
BEGIN
    SELECT * INTO pj FROM norn.party_job WHERE job_id = p_job_id AND role = p_role AND party_id = p_party_id
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN false; -- it was never created here
    END IF;
    PERFORM norn.party_task_finish(array_agg(t.job_id), array_agg(t.task_name), array_agg(t.attempt),
            array_agg(t.role), array_agg(t.party_id), array_agg(p_status), array_agg(0))
       FROM norn.party_task t
      WHERE t.party_job_no = pj.party_job_no AND t.status = 'running' AND p_status <> 'success'
     HAVING count(*) > 0;
    PERFORM norn.party_release(p_job_id, p_role, p_party_id, true);
    IF norn.is_end(pj.status) THEN
        RETURN true;
    END IF;
    UPDATE norn.party_job SET status = p_status, version = version + 1, tag = 'job_end', update_at = now(),
           progress = GREATEST(progress, COALESCE(p_progress, 0)), end_at = now(), reason_code = p_reason_code,
           reason = p_reason, first_failure = p_first_failure
     WHERE party_job_no = pj.party_job_no;
    INSERT INTO norn.event (job_id, object, role, party_id, from_status, to_status, reason, detail, actor)
    VALUES (p_job_id, 'job', p_role, p_party_id, pj.status, p_status, COALESCE(p_reason_code, 'finished'), p_reason,
            'scheduler ' || pj.scheduler_party_id);
    RETURN true;
END $$;

-- ------------------------------------------------------------------ runs, as executors see them
-- Tells the schedulers of these runs how they are. p_status null: each run's own party status.
-- p_share_tail: whether a scheduler's site may see the end of stderr (exec.share_error_tail).
CREATE FUNCTION norn.runs_report(p_run_nos bigint[], p_status text, p_node_lost boolean, p_share_tail boolean)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_jobs bigint[];
BEGIN
    WITH r AS MATERIALIZED (
        SELECT j.job_no, t.task_no, t.attempt, t.party_no, COALESCE(p_status, t.party_status) AS status, t.exit_code,
               t.signal, t.error, CASE WHEN p_share_tail THEN t.stderr_tail END AS tail
          FROM norn.party_task t
         CROSS JOIN LATERAL (SELECT j.job_no FROM norn.party_job j WHERE j.party_job_no = t.party_job_no OFFSET 0) j
         WHERE t.run_no = ANY (p_run_nos) AND j.job_no IS NOT NULL),
    taken AS (
        UPDATE norn.task_party x SET status = r.status, exit_code = r.exit_code, signal = r.signal, error = r.error,
               stderr_tail = r.tail, node_lost = p_node_lost, final = norn.is_end(r.status),
               report_no = x.report_no + 1, start_at = COALESCE(x.start_at, now()),
               end_at = CASE WHEN norn.is_end(r.status) THEN now() END
          FROM r
         WHERE x.job_no = ANY (ARRAY[r.job_no]) AND x.task_no = r.task_no AND x.attempt = r.attempt
           AND x.party_no = r.party_no
           AND NOT x.final AND x.status <> r.status AND norn.task_step_ok(x.status, r.status)
        RETURNING x.job_no, x.task_no, x.final),
    marks AS (
        INSERT INTO norn.task_work (job_no, task_no, reported)
        SELECT DISTINCT job_no, task_no, true FROM taken WHERE final ORDER BY 1, 2
            ON CONFLICT (job_no, task_no) DO UPDATE SET mark = nextval('norn.mark_seq'), reported = true)
    SELECT array_agg(DISTINCT job_no ORDER BY job_no) INTO v_jobs FROM taken WHERE final;
    IF v_jobs IS NOT NULL THEN
        PERFORM norn.jobs_poke(v_jobs);
        PERFORM norn.task_work_tidy(v_jobs);
    END IF;
    INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, command, body)
    SELECT j.scheduler_party_id, t.party_id, t.job_id, 'task_report', json_strip_nulls(json_build_object(
               'job_id', t.job_id, 'role', t.role, 'party_id', t.party_id, 'task_id', t.job_id || '_' || t.task_name,
               'task_version', t.attempt, 'task_name', t.task_name, 'status', COALESCE(p_status, t.party_status),
               'exit_code', t.exit_code, 'signal', t.signal, 'error', t.error,
               'stderr_tail', CASE WHEN p_share_tail THEN t.stderr_tail END, 'node_lost', p_node_lost,
               'elapsed_ms', norn.ms(t.end_at) - norn.ms(t.start_at)))
      FROM norn.party_task t JOIN norn.party_job j USING (party_job_no)
     WHERE t.run_no = ANY (p_run_nos) AND j.job_no IS NULL;
END $$;

-- Claims runs for a node, at most as many as hashes of fresh task tokens are brought; each claim is a lease with a
-- number of its own. hash_no: which of the tokens (from 1) is the run's.
CREATE FUNCTION norn.run_claim(p_node_id text, p_hashes text[])
RETURNS TABLE (run_no bigint, hash_no integer, lease_no bigint, job_id text, task_name text, attempt integer, role text,
               party_id text, component text, provider text, config json, timeout_s bigint, cores integer,
               memory_mb integer, model_id text, model_version text, sent_ms bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_runs bigint[];
BEGIN
    WITH c AS (
        SELECT w.run_no FROM norn.run_work w
         WHERE w.node_id IS NULL AND w.due_at <= now()
           AND EXISTS (SELECT 1 FROM norn.node n WHERE n.node_id = p_node_id AND n.stopped_at IS NULL
                          AND n.seen_at > now() - make_interval(secs => n.lease_ms / 1000.0))
         ORDER BY w.prio LIMIT cardinality(p_hashes) FOR UPDATE SKIP LOCKED),
    u AS (
        UPDATE norn.run_work w SET node_id = p_node_id, lease_no = nextval('norn.lease_seq') FROM c
         WHERE w.run_no = c.run_no RETURNING w.run_no)
    SELECT array_agg(u.run_no) INTO v_runs FROM u;
    IF v_runs IS NULL THEN
        RETURN;
    END IF;
    UPDATE norn.party_task t SET party_status = 'running', node_id = p_node_id, start_at = now(),
           version = t.version + 1, update_at = now(), token_hash = p_hashes[u.i]
      FROM unnest(v_runs) WITH ORDINALITY AS u(no, i)
     WHERE t.run_no = u.no;
    INSERT INTO norn.event (job_id, object, task_name, role, party_id, attempt, from_status, to_status, reason, actor)
    SELECT t.job_id, 'run', t.task_name, t.role, t.party_id, t.attempt, 'waiting', 'running', 'claimed',
           'node ' || COALESCE((SELECT n.name FROM norn.node n WHERE n.node_id = p_node_id), p_node_id)
      FROM norn.party_task t WHERE t.run_no = ANY (v_runs);
    PERFORM norn.runs_report(v_runs, 'running', false, false);
    RETURN QUERY
        SELECT t.run_no, array_position(v_runs, t.run_no), w.lease_no, t.job_id, t.task_name, t.attempt, t.role, t.party_id, t.component, t.provider,
               t.config, t.timeout_s, t.cores, t.memory_mb, j.model_id, j.model_version,
               GREATEST(0, norn.ms(now()) - norn.ms(w.due_at))
          FROM norn.party_task t JOIN norn.run_work w ON w.run_no = t.run_no
          JOIN norn.party_job j ON j.party_job_no = t.party_job_no
         WHERE t.run_no = ANY (v_runs);
END $$;

-- The ends of runs, each under its lease: returns those whose lease still held; the others (the node was too slow)
-- change nothing. Arrays of equal length.
CREATE FUNCTION norn.runs_finish(p_run_nos bigint[], p_lease_nos bigint[], p_statuses text[], p_exit_codes integer[],
        p_signals integer[], p_errors text[], p_tails text[], p_user_ms bigint[], p_sys_ms bigint[],
        p_max_rss_kb bigint[], p_reasons text[], p_actor text, p_node_lost boolean, p_share_tail boolean)
RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    v_runs bigint[];
BEGIN
    PERFORM 1 FROM norn.run_work WHERE run_no = ANY (p_run_nos) ORDER BY run_no FOR UPDATE;
    WITH gone AS (
        DELETE FROM norn.run_work w USING unnest(p_run_nos, p_lease_nos) AS a(run_no, lease_no)
         WHERE w.run_no = a.run_no AND w.lease_no = a.lease_no
        RETURNING w.run_no)
    SELECT array_agg(run_no) INTO v_runs FROM gone;
    IF v_runs IS NULL THEN
        RETURN;
    END IF;
    WITH ended AS (
        UPDATE norn.party_task t SET party_status = a.status, exit_code = a.exit_code, signal = a.signal,
               error = COALESCE(a.error, ''), stderr_tail = a.tail, user_ms = a.user_ms, sys_ms = a.sys_ms,
               max_rss_kb = a.max_rss_kb, end_at = now(), version = t.version + 1, update_at = now(),
               token_hash = NULL
          FROM unnest(p_run_nos, p_statuses, p_exit_codes, p_signals, p_errors, p_tails, p_user_ms, p_sys_ms,
                      p_max_rss_kb, p_reasons)
               AS a(run_no, status, exit_code, signal, error, tail, user_ms, sys_ms, max_rss_kb, reason)
         WHERE t.run_no = a.run_no AND t.run_no = ANY (v_runs)
        RETURNING t.job_id, t.task_name, t.role, t.party_id, t.attempt, a.status, a.reason, a.error)
    INSERT INTO norn.event (job_id, object, task_name, role, party_id, attempt, from_status, to_status, reason, detail,
                            actor)
    SELECT job_id, 'run', task_name, role, party_id, attempt, 'running', status, reason, left(error, 1000), p_actor
      FROM ended;
    PERFORM norn.runs_report(v_runs, NULL, p_node_lost, p_share_tail);
    RETURN QUERY SELECT unnest(v_runs);
END $$;

-- The end of one run; NR001 when its lease is lost, so that nothing else of the batch is written either.
CREATE FUNCTION norn.run_finish(p_run_no bigint, p_lease_no bigint, p_status text, p_exit_code integer,
        p_signal integer, p_error text, p_tail text, p_user_ms bigint, p_sys_ms bigint, p_max_rss_kb bigint,
        p_node_lost boolean, p_reason text, p_actor text, p_share_tail boolean) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM norn.runs_finish(ARRAY[p_run_no], ARRAY[p_lease_no], ARRAY[p_status], ARRAY[p_exit_code], ARRAY[p_signal],
                             ARRAY[p_error], ARRAY[p_tail], ARRAY[p_user_ms], ARRAY[p_sys_ms], ARRAY[p_max_rss_kb],
                             ARRAY[p_reason], p_actor, p_node_lost, p_share_tail);
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'NR001',
            MESSAGE = format('the lease %s of run %s is lost', p_lease_no, p_run_no);
    END IF;
    RETURN true;
END $$;

-- Runs of nodes that have not been seen for their lease are over: their processes died with them.
CREATE FUNCTION norn.runs_of_dead_nodes(p_actor text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_runs bigint[];
    v_leases bigint[];
    v_statuses text[];
    v_errors text[];
    v_n integer;
BEGIN
    WITH lost AS (
        SELECT w.run_no, w.lease_no, COALESCE(w.stop_status, 'failed') AS status,
               format('node %s was lost while it ran this task', n.name) AS error
          FROM norn.run_work w JOIN norn.node n ON n.node_id = w.node_id
         WHERE n.seen_at < now() - make_interval(secs => n.lease_ms / 1000.0)
         LIMIT 1000 FOR UPDATE OF w SKIP LOCKED)
    SELECT array_agg(run_no), array_agg(lease_no), array_agg(status), array_agg(error)
      INTO v_runs, v_leases, v_statuses, v_errors FROM lost;
    IF v_runs IS NULL THEN
        RETURN 0;
    END IF;
    SELECT count(*) INTO v_n
      FROM norn.runs_finish(v_runs, v_leases, v_statuses, NULL, NULL, v_errors, NULL, NULL, NULL, NULL,
                            array_fill('node_lost'::text, ARRAY[cardinality(v_runs)]), p_actor, true, false);
    RETURN v_n;
END $$;

-- Runs that a living node has claimed without hearing of it, because its connection broke behind the commit. p_known:
-- the runs it knows of. What a claim has brought was never started; the attempt counts as lost all the same.
CREATE FUNCTION norn.runs_of_lost_claims(p_node_id text, p_known bigint[], p_actor text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_runs bigint[];
    v_leases bigint[];
    v_statuses text[];
    v_n integer;
BEGIN
    SELECT array_agg(w.run_no), array_agg(w.lease_no), array_agg(COALESCE(w.stop_status, 'failed'))
      INTO v_runs, v_leases, v_statuses
      FROM norn.run_work w WHERE w.node_id = p_node_id AND w.run_no <> ALL (p_known);
    IF v_runs IS NULL THEN
        RETURN 0;
    END IF;
    SELECT count(*) INTO v_n
      FROM norn.runs_finish(v_runs, v_leases, v_statuses, NULL, NULL,
                            array_fill('its node lost sight of it as the database failed'::text, ARRAY[cardinality(v_runs)]),
                            NULL, NULL, NULL, NULL, array_fill('claim_lost'::text, ARRAY[cardinality(v_runs)]), p_actor,
                            true, false);
    RETURN v_n;
END $$;
