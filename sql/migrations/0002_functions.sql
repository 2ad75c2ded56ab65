-- The rules of the state, and the commands between a scheduler and its parties, as functions: the same function
-- runs inside the scheduler's transaction for a party of this site, and for a request from another site.
-- Errors raised with ERRCODE 'NR000' carry "<code>:<text>" and reach the caller as that error;
-- 'NR001' means: somebody else was first, read again.

CREATE FUNCTION norn.ms(t timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE AS
$$ SELECT (extract(epoch FROM t) * 1000)::bigint $$;

CREATE FUNCTION norn.is_end(status text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT status IN ('canceled', 'timeout', 'failed', 'pass', 'success') $$;

-- The legal transitions; the same table stands in src/plan/status.c and a test compares them. From an end
-- status there is only the way back to waiting, and only together with a new attempt.
CREATE FUNCTION norn.job_step_ok(from_status text, to_status text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT from_status || '>' || to_status IN (
        'ready>waiting', 'ready>canceled', 'ready>timeout', 'ready>failed',
        'waiting>running', 'waiting>canceled', 'waiting>timeout', 'waiting>failed', 'waiting>success',
        'running>canceled', 'running>timeout', 'running>failed', 'running>success') $$;

CREATE FUNCTION norn.task_step_ok(from_status text, to_status text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT from_status || '>' || to_status IN (
        'waiting>running', 'waiting>success', 'waiting>canceled', 'waiting>timeout', 'waiting>failed',
        'running>canceled', 'running>timeout', 'running>failed', 'running>pass', 'running>success') $$;

CREATE FUNCTION norn.job_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF norn.job_step_ok(OLD.status, NEW.status)
       OR (norn.is_end(OLD.status) AND NEW.status = 'waiting' AND NEW.attempt > OLD.attempt) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'NR001', MESSAGE =
        format('%s %s cannot go from %s to %s', TG_TABLE_NAME, NEW.job_id, OLD.status, NEW.status);
END $$;

CREATE FUNCTION norn.task_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF norn.task_step_ok(OLD.status, NEW.status)
       OR (OLD.status <> 'waiting' AND NEW.status = 'waiting' AND NEW.attempt > OLD.attempt) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'NR001', MESSAGE =
        format('%s of job %s cannot go from %s to %s', TG_TABLE_NAME, NEW.job_no, OLD.status, NEW.status);
END $$;

CREATE FUNCTION norn.party_task_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.status = OLD.status OR norn.task_step_ok(OLD.status, NEW.status))
       AND (NEW.party_status = OLD.party_status OR norn.task_step_ok(OLD.party_status, NEW.party_status)) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'NR001', MESSAGE =
        format('task %s_%s cannot go from %s/%s to %s/%s', NEW.job_id, NEW.task_name,
               OLD.status, OLD.party_status, NEW.status, NEW.party_status);
END $$;

CREATE TRIGGER job_guard BEFORE UPDATE OF status ON norn.job FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION norn.job_guard();
CREATE TRIGGER party_job_guard BEFORE UPDATE OF status ON norn.party_job FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION norn.job_guard();
CREATE TRIGGER task_guard BEFORE UPDATE OF status ON norn.task FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION norn.task_guard();
CREATE TRIGGER task_party_guard BEFORE UPDATE OF status ON norn.task_party FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION norn.task_guard();
CREATE TRIGGER party_task_guard BEFORE UPDATE OF status, party_status ON norn.party_task FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.party_status IS DISTINCT FROM NEW.party_status)
    EXECUTE FUNCTION norn.party_task_guard();

-- Daily partitions of the history, made ahead.
CREATE FUNCTION norn.event_partitions_ensure(days integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    d date;
    made integer := 0;
BEGIN
    -- One node does it; the others need not wait.
    IF NOT pg_try_advisory_xact_lock(hashtext('norn.event_partitions')) THEN
        RETURN 0;
    END IF;
    FOR d IN SELECT generate_series(current_date + 1, current_date + days, '1 day')::date LOOP
        IF to_regclass(format('norn.event_%s', to_char(d, 'YYYYMMDD'))) IS NULL
           AND NOT EXISTS (SELECT 1 FROM norn.event_default WHERE at >= d AND at < d + 1) THEN
            EXECUTE format('CREATE TABLE norn.%I PARTITION OF norn.event FOR VALUES FROM (%L) TO (%L)',
                           'event_' || to_char(d, 'YYYYMMDD'), d::timestamptz, (d + 1)::timestamptz);
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;

-- True when the running transaction has updated this job's row: every write of a scheduler hangs on it.
CREATE FUNCTION norn.mine(no bigint) RETURNS boolean LANGUAGE sql STABLE AS
$$ SELECT EXISTS (SELECT 1 FROM norn.job WHERE job_no = no AND xmin = pg_current_xact_id()::xid) $$;

-- Those of them: for commands that work on many tasks of few jobs.
CREATE FUNCTION norn.mine_of(nos bigint[]) RETURNS bigint[] LANGUAGE sql STABLE AS
$$ SELECT array_agg(job_no) FROM norn.job WHERE job_no = ANY (nos) AND xmin = pg_current_xact_id()::xid $$;

-- Due at once, and in the order of the queue among all that are: due_at is both, so that a claim reads no more rows
-- of its index than it takes.
CREATE FUNCTION norn.due_now(prio bigint) RETURNS timestamptz LANGUAGE sql STABLE AS
$$ SELECT LEAST(now(), to_timestamp(GREATEST(prio, 0) / 1000.0)) $$;

-- How much later, in ms of prio, a job may have come and still get resources before one that waits for them. Bounds
-- the overtaking of large jobs by small ones.
CREATE FUNCTION norn.overtake_ms() RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT 600000::bigint $$;

-- Something happened to the job. While a scheduler holds the lease it only counts; else the job is due now.
CREATE FUNCTION norn.job_poke(no bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE norn.job_work SET poke = poke + 1,
           due_at = CASE WHEN lease_until > now() THEN due_at ELSE LEAST(due_at, norn.due_now(prio)) END
     WHERE job_no = no $$;

-- The row that schedulers claim, of a new job or one that runs again.
CREATE FUNCTION norn.job_work_add(p_job_no bigint, p_prio bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO norn.job_work (job_no, prio, due_at, need_cores, need_memory_mb, local_only)
    SELECT p_job_no, p_prio, norn.due_now(p_prio), COALESCE(sum(cores) FILTER (WHERE local), 0),
           COALESCE(sum(memory_mb) FILTER (WHERE local), 0), COALESCE(bool_and(local), true)
      FROM norn.job_party WHERE job_no = p_job_no $$;

-- The same for several, locked in the order of their numbers so that two callers cannot deadlock.
CREATE FUNCTION norn.jobs_poke(nos bigint[]) RETURNS void LANGUAGE sql AS $$
    UPDATE norn.job_work w SET poke = poke + 1,
           due_at = CASE WHEN lease_until > now() THEN due_at ELSE LEAST(due_at, norn.due_now(w.prio)) END
      FROM (SELECT job_no FROM norn.job_work WHERE job_no = ANY (nos) ORDER BY job_no FOR UPDATE) l
     WHERE w.job_no = l.job_no $$;

-- After a poke: a report that came behind the end of its job leaves nothing behind.
CREATE FUNCTION norn.task_work_tidy(nos bigint[]) RETURNS void LANGUAGE sql AS $$
    DELETE FROM norn.task_work t WHERE t.job_no = ANY (nos)
       AND NOT EXISTS (SELECT 1 FROM norn.job_work w WHERE w.job_no = t.job_no) $$;

-- ------------------------------------------------------------------ reports to the scheduler
CREATE FUNCTION norn.sched_task_report(p_job_no bigint, p_task_no integer, p_attempt integer, p_party_no smallint,
        p_status text, p_exit_code integer, p_signal integer, p_error text, p_tail text, p_node_lost boolean)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE norn.task_party SET status = p_status, exit_code = p_exit_code, signal = p_signal, error = p_error,
           stderr_tail = p_tail, node_lost = COALESCE(p_node_lost, false),
           final = norn.is_end(p_status), report_no = report_no + 1,
           start_at = COALESCE(start_at, now()),
           end_at = CASE WHEN norn.is_end(p_status) THEN now() END
     WHERE job_no = p_job_no AND task_no = p_task_no AND attempt = p_attempt AND party_no = p_party_no
       AND NOT final AND status <> p_status AND norn.task_step_ok(status, p_status);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF norn.is_end(p_status) THEN
        INSERT INTO norn.task_work (job_no, task_no, reported) VALUES (p_job_no, p_task_no, true)
            ON CONFLICT (job_no, task_no) DO UPDATE SET mark = nextval('norn.mark_seq'), reported = true;
        PERFORM norn.job_poke(p_job_no);
        PERFORM norn.task_work_tidy(ARRAY[p_job_no]);
    END IF;
    RETURN true;
END $$;

-- A report from another site. Stale ones are recorded and change nothing.
CREATE FUNCTION norn.sched_remote_report(p_job_id text, p_task_name text, p_attempt integer, p_role text,
        p_party_id text, p_status text, p_exit_code integer, p_signal integer, p_error text, p_tail text,
        p_node_lost boolean)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_job_no bigint;
    v_task_no integer;
    v_party_no smallint;
    v_taken boolean;
    v_had text;
BEGIN
    SELECT j.job_no, t.task_no, p.party_no INTO v_job_no, v_task_no, v_party_no
      FROM norn.job j JOIN norn.task t USING (job_no) JOIN norn.job_party p USING (job_no)
     WHERE j.job_id = p_job_id AND t.task_name = p_task_name AND p.role = p_role AND p.party_id = p_party_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000',
            MESSAGE = format('2000:No found task: job_id[%s],task_name[%s],role[%s],party_id[%s]',
                             p_job_id, p_task_name, p_role, p_party_id);
    END IF;
    SELECT status INTO v_had FROM norn.task_party
     WHERE job_no = v_job_no AND task_no = v_task_no AND attempt = p_attempt AND party_no = v_party_no;
    v_taken := norn.sched_task_report(v_job_no, v_task_no, p_attempt, v_party_no, p_status, p_exit_code, p_signal,
                                      p_error, p_tail, p_node_lost);
    INSERT INTO norn.event (job_id, object, task_name, role, party_id, attempt, from_status, to_status, reason,
                            detail, actor)
    VALUES (p_job_id, 'run', p_task_name, p_role, p_party_id, p_attempt, v_had, p_status,
            CASE WHEN v_taken THEN 'reported' ELSE 'stale_report' END, left(p_error, 1000), 'party ' || p_party_id);
    RETURN v_taken;
END $$;

CREATE FUNCTION norn.sched_reserved(p_job_no bigint, p_party_no smallint, p_result text, p_detail text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE norn.job_party SET reserve_state = p_result, detail = p_detail
     WHERE job_no = p_job_no AND party_no = p_party_no AND reserve_state = 'asked';
    IF FOUND THEN
        PERFORM norn.job_poke(p_job_no);
    END IF;
END $$;

CREATE FUNCTION norn.sched_created(p_job_no bigint, p_party_no smallint, p_ok boolean, p_detail text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE norn.job_party SET create_state = CASE WHEN p_ok THEN 'ok' ELSE 'refused' END, detail = p_detail
     WHERE job_no = p_job_no AND party_no = p_party_no AND create_state = 'asked';
    IF FOUND THEN
        PERFORM norn.job_poke(p_job_no);
    END IF;
END $$;

-- A message was answered: the next of the same job and destination may go. Under its lease only: a sender that was
-- given up must not act on an answer that its successor had before it, and that may belong to an earlier round.
CREATE FUNCTION norn.outbox_done(p_outbox_no bigint, p_lease_no bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_job_id text;
    v_dest text;
BEGIN
    DELETE FROM norn.outbox WHERE outbox_no = p_outbox_no AND lease_no = p_lease_no
    RETURNING job_id, dest_party_id INTO v_job_id, v_dest;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'NR001',
            MESSAGE = format('the lease %s of message %s is lost', p_lease_no, p_outbox_no);
    END IF;
    UPDATE norn.outbox o SET due_at = LEAST(o.due_at, now())
     WHERE o.outbox_no = (SELECT min(n.outbox_no) FROM norn.outbox n
                           WHERE n.job_id = v_job_id AND n.dest_party_id = v_dest AND n.outbox_no > p_outbox_no);
END $$;

-- ------------------------------------------------------------------ commands to a party
-- p_job_no: the scheduler's row when this database has it, which has stored the definition already.
CREATE FUNCTION norn.party_job_create(p json, p_job_no bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_no bigint;
    h record; -- p is large, and every p->>'x' would parse it anew
BEGIN
    SELECT * INTO h
      FROM json_to_record(p) AS x(job_id text, role text, party_id text, initiator_party_id text,
           scheduler_party_id text, model_id text, model_version text, user_name text, engine text, cores integer,
           memory_mb integer, dag json, tasks json);
    IF p_job_no IS NULL THEN
        INSERT INTO norn.job_dag (job_id, dag) VALUES (h.job_id, h.dag) ON CONFLICT DO NOTHING;
    END IF;
    INSERT INTO norn.party_job (job_id, role, party_id, status, job_no, initiator_party_id, scheduler_party_id,
            model_id, model_version, user_name, engine, cores, memory_mb)
    VALUES (h.job_id, h.role, h.party_id, 'waiting', p_job_no, h.initiator_party_id, h.scheduler_party_id,
            h.model_id, h.model_version, COALESCE(h.user_name, ''), COALESCE(h.engine, 'standalone'), h.cores,
            h.memory_mb)
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
                         COALESCE(v_holders, '-'), COALESCE(format('; job %s has waited longer and goes first', v_ahead), ''));
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

-- ------------------------------------------------------------------ jobs, as clients see them
-- Everything of a new job in one transaction. The same idempotency key gives the same job.
CREATE FUNCTION norn.job_submit(p json, OUT o_job_id text, OUT o_new boolean, OUT o_status text)
LANGUAGE plpgsql AS $$
DECLARE
    v_no bigint;
    h record; -- p is large, and every p->>'x' would parse it anew
BEGIN
    SELECT * INTO h
      FROM json_to_record(p) AS x(job_id text, dag json, priority integer, initiator_party_id text,
           scheduler_party_id text, model_id text, model_version text, user_name text, idempotency_key text,
           auto_retries integer, timeout_s double precision, create_timeout_s double precision, priority_ms bigint,
           n_remote integer, actor text, detail text, parties json, tasks json, edges json, local_creates json,
           remote_creates json);
    SELECT j.job_id, false, j.status INTO o_job_id, o_new, o_status FROM norn.job j
     WHERE j.idempotency_key = h.idempotency_key;
    IF FOUND THEN
        RETURN;
    END IF;
    o_job_id := h.job_id;
    o_new := true;
    o_status := CASE WHEN h.n_remote = 0 THEN 'waiting' ELSE 'ready' END;
    INSERT INTO norn.job_dag (job_id, dag) VALUES (o_job_id, h.dag);
    INSERT INTO norn.job (job_id, status, priority, initiator_party_id, scheduler_party_id, model_id,
            model_version, user_name, idempotency_key, auto_retries, n_tasks, deadline_at)
    VALUES (o_job_id, o_status, h.priority, h.initiator_party_id, h.scheduler_party_id, h.model_id, h.model_version,
            COALESCE(h.user_name, ''), h.idempotency_key, h.auto_retries, json_array_length(h.tasks),
            now() + make_interval(secs => NULLIF(h.timeout_s, 0)))
    RETURNING job_no INTO v_no;
    INSERT INTO norn.job_party (job_no, party_no, role, party_id, local, cores, memory_mb, create_state)
    SELECT v_no, x.party_no, x.role, x.party_id, x.local, x.cores, x.memory_mb,
           CASE WHEN x.local THEN 'ok' ELSE 'asked' END
      FROM json_to_recordset(h.parties) AS x(party_no smallint, role text, party_id text, local boolean,
           cores integer, memory_mb integer);
    INSERT INTO norn.task (job_no, task_no, task_name, component, parties, cores, deps_left, retries_left,
                           timeout_s)
    SELECT v_no, x.task_no, x.task_name, x.component, x.parties, x.cores, x.deps_left, h.auto_retries, x.timeout_s
      FROM json_to_recordset(h.tasks) AS x(task_no integer, task_name text, component text, parties smallint[],
           cores integer[], deps_left integer, timeout_s bigint);
    INSERT INTO norn.task_edge (job_no, parent_no, child_no)
    SELECT v_no, x.parent_no, x.child_no FROM json_to_recordset(h.edges) AS x(parent_no integer, child_no integer);
    INSERT INTO norn.task_work (job_no, task_no)
    SELECT v_no, task_no FROM norn.task WHERE job_no = v_no AND deps_left = 0;
    PERFORM norn.party_job_create(x, v_no) FROM json_array_elements(h.local_creates) AS x;
    INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, job_no, party_no, command, body, give_up_at)
    SELECT x.dest_party_id, h.scheduler_party_id, o_job_id, v_no, x.party_no, 'job_create', x.body,
           now() + make_interval(secs => h.create_timeout_s)
      FROM json_to_recordset(h.remote_creates) AS x(dest_party_id text, party_no smallint, body json);
    PERFORM norn.job_work_add(v_no, norn.ms(now()) - h.priority * h.priority_ms);
    INSERT INTO norn.event (job_id, object, to_status, reason, detail, actor)
    VALUES (o_job_id, 'job', o_status, 'submitted', h.detail, COALESCE(h.actor, 'client'));
END $$;

-- The wish that a job ends. It is kept until the scheduler has carried it out everywhere.
-- p_attempt: of the job, when the wish came from another site; a later attempt was not meant.
CREATE FUNCTION norn.job_stop(p_job_id text, p_status text, p_actor text, p_reason text, p_attempt integer DEFAULT NULL,
        OUT o_found boolean, OUT o_status text) LANGUAGE plpgsql AS $$
DECLARE
    j norn.job;
BEGIN
    SELECT * INTO j FROM norn.job WHERE job_id = p_job_id FOR NO KEY UPDATE;
    o_found := FOUND;
    IF NOT o_found THEN
        RETURN;
    END IF;
    o_status := j.status;
    IF norn.is_end(j.status) OR j.stop_status IS NOT NULL OR COALESCE(p_attempt < j.attempt, false) THEN
        RETURN;
    END IF;
    UPDATE norn.job SET stop_status = p_status, stop_actor = p_actor, stop_reason = p_reason, version = version + 1
     WHERE job_no = j.job_no;
    INSERT INTO norn.event (job_id, object, from_status, to_status, reason, detail, actor)
    VALUES (p_job_id, 'job', j.status, j.status, 'stop_requested', p_reason, p_actor);
    PERFORM norn.job_poke(j.job_no);
END $$;

-- ------------------------------------------------------------------ what a scheduler has decided
-- Each takes arrays over a batch of jobs and works only on those whose row this transaction has updated
-- (norn.mine): the lost version of one job drops that job and nothing else.

CREATE FUNCTION norn.sched_reserve(p_job_nos bigint[], p_ttl_ms integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    p record;
    r record;
BEGIN
    UPDATE norn.job_party SET reserve_state = 'asked', detail = NULL
     WHERE job_no = ANY (p_job_nos) AND norn.mine(job_no) AND reserve_state <> 'asked';
    -- Here first: what this site refuses is not asked elsewhere. A grant outlives the round, which is over when all
    -- have answered or after p_ttl_ms.
    FOR p IN SELECT j.job_no, j.job_id, x.party_no, x.role, x.party_id
               FROM norn.job j JOIN norn.job_party x USING (job_no)
              WHERE j.job_no = ANY (p_job_nos) AND norn.mine(j.job_no) AND x.local
              ORDER BY array_position(p_job_nos, j.job_no), x.party_no LOOP
        r := norn.party_reserve(p.job_id, p.role, p.party_id, 2 * p_ttl_ms);
        UPDATE norn.job_party SET reserve_state = r.result, detail = r.detail
         WHERE job_no = p.job_no AND party_no = p.party_no;
    END LOOP;
    -- A refusal here is the whole answer, and is over with this transaction: a release that comes later finds the job
    -- ready to ask again.
    UPDATE norn.job_party x SET reserve_state = 'none'
     WHERE x.job_no = ANY (p_job_nos) AND norn.mine(x.job_no) AND x.reserve_state <> 'never'
       AND EXISTS (SELECT 1 FROM norn.job_party y WHERE y.job_no = x.job_no AND y.reserve_state IN ('refused', 'never'));
    INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, job_no, party_no, command, body, give_up_at)
    SELECT x.party_id, j.scheduler_party_id, j.job_id, j.job_no, x.party_no, 'job_reserve',
           json_build_object('job_id', j.job_id, 'role', x.role, 'party_id', x.party_id, 'ttl_ms', 2 * p_ttl_ms),
           now() + make_interval(secs => p_ttl_ms / 1000.0)
      FROM norn.job j JOIN norn.job_party x USING (job_no)
     WHERE j.job_no = ANY (p_job_nos) AND norn.mine(j.job_no) AND NOT x.local AND x.reserve_state = 'asked';
END $$;

CREATE FUNCTION norn.sched_release(p_job_nos bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM norn.party_release(j.job_id, x.role, x.party_id, false)
       FROM norn.job j JOIN norn.job_party x USING (job_no)
      WHERE j.job_no = ANY (p_job_nos) AND norn.mine(j.job_no) AND x.local AND x.reserve_state = 'granted';
    INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, job_no, party_no, command, body)
    SELECT x.party_id, j.scheduler_party_id, j.job_id, j.job_no, x.party_no, 'job_release',
           json_build_object('job_id', j.job_id, 'role', x.role, 'party_id', x.party_id)
      FROM norn.job j JOIN norn.job_party x USING (job_no)
     WHERE j.job_no = ANY (p_job_nos) AND norn.mine(j.job_no) AND NOT x.local AND x.reserve_state = 'granted';
    UPDATE norn.job_party SET reserve_state = 'none'
     WHERE job_no = ANY (p_job_nos) AND norn.mine(job_no);
END $$;

CREATE FUNCTION norn.sched_start_jobs(p_job_nos bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM norn.party_job_start(j.job_id, x.role, x.party_id)
       FROM norn.job j JOIN norn.job_party x USING (job_no)
      WHERE j.job_no = ANY (p_job_nos) AND norn.mine(j.job_no) AND x.local;
    INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, job_no, party_no, command, body)
    SELECT x.party_id, j.scheduler_party_id, j.job_id, j.job_no, x.party_no, 'job_start',
           json_build_object('job_id', j.job_id, 'role', x.role, 'party_id', x.party_id,
                             'extra_info', json_build_object())
      FROM norn.job j JOIN norn.job_party x USING (job_no)
     WHERE j.job_no = ANY (p_job_nos) AND norn.mine(j.job_no) AND NOT x.local;
END $$;

CREATE FUNCTION norn.sched_start_tasks(p_job_nos bigint[], p_task_nos integer[], p_attempts integer[],
        p_reasons text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_mine bigint[] := norn.mine_of(p_job_nos);
BEGIN
    UPDATE norn.task t SET status = 'running', start_at = now(), end_at = NULL, retry_at = NULL
      FROM unnest(p_job_nos, p_task_nos, p_attempts) AS a(job_no, task_no, attempt)
     WHERE t.job_no = ANY (ARRAY[a.job_no]) AND t.task_no = a.task_no AND t.attempt = a.attempt
       AND a.job_no = ANY (v_mine);
    INSERT INTO norn.task_party (job_no, task_no, attempt, party_no)
    SELECT a.job_no, a.task_no, a.attempt, x.party_no
      FROM unnest(p_job_nos, p_task_nos, p_attempts) AS a(job_no, task_no, attempt)
      JOIN norn.task t USING (job_no, task_no), unnest(t.parties) AS x(party_no)
     WHERE a.job_no = ANY (v_mine);
    -- No party can have reported on this attempt yet.
    DELETE FROM norn.task_work w USING unnest(p_job_nos, p_task_nos) AS a(job_no, task_no)
     WHERE w.job_no = ANY (ARRAY[a.job_no]) AND w.task_no = a.task_no AND a.job_no = ANY (v_mine);
    INSERT INTO norn.event (job_id, object, task_name, attempt, from_status, to_status, reason, actor)
    SELECT j.job_id, 'task', t.task_name, a.attempt, 'waiting', 'running', a.reason, 'scheduler'
      FROM unnest(p_job_nos, p_task_nos, p_attempts, p_reasons) AS a(job_no, task_no, attempt, reason)
      JOIN norn.task t USING (job_no, task_no) JOIN norn.job j USING (job_no)
     WHERE a.job_no = ANY (v_mine);
    PERFORM norn.party_task_start(array_agg(j.job_id), array_agg(t.task_name), array_agg(a.attempt),
                                  array_agg(p.role), array_agg(p.party_id))
       FROM unnest(p_job_nos, p_task_nos, p_attempts) AS a(job_no, task_no, attempt)
       JOIN norn.task t USING (job_no, task_no) JOIN norn.job j USING (job_no)
       JOIN norn.job_party p ON p.job_no = a.job_no AND p.party_no = ANY (t.parties) AND p.local
      WHERE a.job_no = ANY (v_mine)
     HAVING count(*) > 0;
    INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, job_no, party_no, command, body)
    SELECT p.party_id, j.scheduler_party_id, j.job_id, j.job_no, p.party_no, 'task_start',
           json_build_object('job_id', j.job_id, 'role', p.role, 'party_id', p.party_id,
                             'task_id', j.job_id || '_' || t.task_name, 'task_version', a.attempt,
                             'task_name', t.task_name)
      FROM unnest(p_job_nos, p_task_nos, p_attempts) AS a(job_no, task_no, attempt)
      JOIN norn.task t USING (job_no, task_no) JOIN norn.job j USING (job_no)
      JOIN norn.job_party p ON p.job_no = a.job_no AND p.party_no = ANY (t.parties) AND NOT p.local
     WHERE a.job_no = ANY (v_mine);
END $$;

-- Attempts that are over. p_retry_at_ms not null: the task waits for a new attempt.
CREATE FUNCTION norn.sched_end_tasks(p_job_nos bigint[], p_task_nos integer[], p_attempts integer[],
        p_statuses text[], p_reasons text[], p_party_nos smallint[], p_progress integer[], p_retry_at_ms bigint[],
        p_retries_left integer[], p_rescues integer[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_mine bigint[] := norn.mine_of(p_job_nos);
BEGIN
    INSERT INTO norn.event (job_id, object, task_name, role, party_id, attempt, from_status, to_status, reason, detail,
                            actor)
    SELECT j.job_id, 'task', t.task_name, p.role, p.party_id, a.attempt, 'running', a.status, a.reason,
           left(x.error, 1000), 'scheduler'
      FROM unnest(p_job_nos, p_task_nos, p_attempts, p_statuses, p_reasons, p_party_nos)
           AS a(job_no, task_no, attempt, status, reason, party_no)
      JOIN norn.task t USING (job_no, task_no) JOIN norn.job j USING (job_no)
      LEFT JOIN norn.job_party p ON p.job_no = a.job_no AND p.party_no = a.party_no
      LEFT JOIN norn.task_party x ON x.job_no = a.job_no AND x.task_no = a.task_no AND x.attempt = a.attempt
           AND x.party_no = a.party_no
     WHERE a.job_no = ANY (v_mine);
    PERFORM norn.party_task_finish(array_agg(j.job_id), array_agg(t.task_name), array_agg(a.attempt),
            array_agg(p.role), array_agg(p.party_id), array_agg(a.status), array_agg(a.progress))
       FROM unnest(p_job_nos, p_task_nos, p_attempts, p_statuses, p_progress)
            AS a(job_no, task_no, attempt, status, progress)
       JOIN norn.task t USING (job_no, task_no) JOIN norn.job j USING (job_no)
       JOIN norn.job_party p ON p.job_no = a.job_no AND p.party_no = ANY (t.parties) AND p.local
      WHERE a.job_no = ANY (v_mine)
     HAVING count(*) > 0;
    -- The children of what has succeeded: at zero a child is ready.
    WITH done AS (
        SELECT e.job_no, e.child_no, count(*)::integer AS n
          FROM unnest(p_job_nos, p_task_nos, p_statuses) AS a(job_no, task_no, status)
         CROSS JOIN LATERAL (SELECT e.job_no, e.child_no FROM norn.task_edge e
                              WHERE e.job_no = a.job_no AND e.parent_no = a.task_no OFFSET 0) e
         WHERE a.status IN ('success', 'pass') AND a.job_no = ANY (v_mine)
         GROUP BY 1, 2),
    less AS (
        UPDATE norn.task t SET deps_left = t.deps_left - done.n FROM done
         WHERE t.job_no = ANY (ARRAY[done.job_no]) AND t.task_no = done.child_no
        RETURNING t.job_no, t.task_no, t.deps_left)
    INSERT INTO norn.task_work (job_no, task_no) SELECT job_no, task_no FROM less WHERE deps_left = 0
        ON CONFLICT (job_no, task_no) DO UPDATE SET mark = nextval('norn.mark_seq');
    UPDATE norn.task t SET
           status = CASE WHEN a.retry_at_ms IS NULL THEN a.status ELSE 'waiting' END,
           attempt = CASE WHEN a.retry_at_ms IS NULL THEN t.attempt ELSE t.attempt + 1 END,
           retry_at = to_timestamp(a.retry_at_ms / 1000.0), retries_left = a.retries_left, rescues = a.rescues,
           end_at = CASE WHEN a.retry_at_ms IS NULL THEN now() END
      FROM unnest(p_job_nos, p_task_nos, p_attempts, p_statuses, p_retry_at_ms, p_retries_left, p_rescues)
           AS a(job_no, task_no, attempt, status, retry_at_ms, retries_left, rescues)
     WHERE t.job_no = ANY (ARRAY[a.job_no]) AND t.task_no = a.task_no AND t.attempt = a.attempt
       AND a.job_no = ANY (v_mine);
END $$;

-- Tells the parties at other sites of attempts that are over: behind what was started, which is waited for.
CREATE FUNCTION norn.sched_tell_ends(p_job_nos bigint[], p_task_nos integer[], p_attempts integer[],
        p_statuses text[], p_progress integer[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_mine bigint[] := norn.mine_of(p_job_nos);
BEGIN
    INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, job_no, party_no, command, body)
    SELECT p.party_id, j.scheduler_party_id, j.job_id, j.job_no, p.party_no, 'task_stop',
           json_build_object('job_id', j.job_id, 'role', p.role, 'party_id', p.party_id,
                             'task_id', j.job_id || '_' || t.task_name, 'task_version', a.attempt,
                             'task_name', t.task_name, 'status', a.status, 'progress', a.progress)
      FROM unnest(p_job_nos, p_task_nos, p_attempts, p_statuses, p_progress)
           AS a(job_no, task_no, attempt, status, progress)
      JOIN norn.task t USING (job_no, task_no) JOIN norn.job j USING (job_no)
      JOIN norn.job_party p ON p.job_no = a.job_no AND p.party_no = ANY (t.parties) AND NOT p.local
     WHERE a.job_no = ANY (v_mine);
END $$;

-- Jobs that have ended (their row says how): the reason in words, and every party is told.
CREATE FUNCTION norn.sched_end_jobs(p_job_nos bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE norn.job j SET
           first_failure = COALESCE(f.failure, j.first_failure),
           reason = CASE
               WHEN j.reason_code IN ('stop_requested') THEN
                   format('%s by %s%s', j.status, j.stop_actor, COALESCE(': ' || j.stop_reason, ''))
               WHEN j.reason_code = 'deadline' THEN 'the deadline of the job has passed (dag.conf.timeout)'
               WHEN j.reason_code IN ('party_refused', 'resources_never') THEN (
                   SELECT string_agg(format('%s %s: %s', p.role, p.party_id, p.detail), '; ' ORDER BY p.party_no)
                     FROM norn.job_party p WHERE p.job_no = j.job_no
                      AND (p.create_state = 'refused' OR p.reserve_state = 'never'))
               WHEN f.failure IS NOT NULL THEN
                   format('task %s failed at %s %s, attempt %s: %s', f.failure->>'task_name', f.failure->>'role',
                          f.failure->>'party_id', f.failure->>'attempt',
                          COALESCE(NULLIF(f.failure->>'error', ''), 'no error text'))
           END
      FROM (SELECT n.job_no, (
                SELECT json_build_object('task_name', t.task_name, 'attempt', x.attempt, 'role', p.role,
                           'party_id', p.party_id, 'status', x.status, 'exit_code', x.exit_code, 'signal', x.signal,
                           'error', x.error, 'stderr_tail', x.stderr_tail, 'node_lost', x.node_lost)
                  FROM norn.task_party x JOIN norn.task t USING (job_no, task_no)
                  JOIN norn.job_party p USING (job_no, party_no)
                 WHERE x.job_no = n.job_no AND x.final AND x.status IN ('failed', 'timeout')
                   AND x.attempt = t.attempt
                 ORDER BY x.end_at, x.party_no LIMIT 1) AS failure
              FROM unnest(p_job_nos) AS n(job_no)) f
     WHERE j.job_no = f.job_no AND norn.mine(j.job_no) AND j.status <> 'success';
    PERFORM norn.party_job_finish(j.job_id, p.role, p.party_id, j.status, j.progress, j.reason_code, j.reason,
                                  j.first_failure)
       FROM norn.job j JOIN norn.job_party p USING (job_no)
      WHERE j.job_no = ANY (p_job_nos) AND norn.mine(j.job_no) AND p.local;
    -- Creation that has not been delivered yet is not needed any more.
    DELETE FROM norn.outbox o USING norn.job j
     WHERE j.job_no = ANY (p_job_nos) AND norn.mine(j.job_no) AND o.job_id = j.job_id AND o.job_no = j.job_no
       AND o.command IN ('job_create', 'job_reserve') AND o.tries = 0;
    -- One that may have arrived is sent until it is answered: only behind the answer is the end heard.
    UPDATE norn.outbox o SET give_up_at = NULL FROM norn.job j
     WHERE j.job_no = ANY (p_job_nos) AND norn.mine(j.job_no) AND o.job_id = j.job_id AND o.job_no = j.job_no
       AND o.command = 'job_create' AND o.give_up_at IS NOT NULL;
    -- A creation that was given up may still be under way or have come through: the end follows it, late, and is not
    -- tried for ever, since most likely there is nothing to end.
    INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, job_no, party_no, command, body, due_at, give_up_at)
    SELECT p.party_id, j.scheduler_party_id, j.job_id, j.job_no, p.party_no, 'job_finish',
           json_strip_nulls(json_build_object('job_id', j.job_id, 'role', p.role, 'party_id', p.party_id,
                             'status', j.status, 'progress', j.progress, 'reason_code', j.reason_code,
                             'reason', j.reason, 'first_failure', j.first_failure)),
           CASE WHEN p.create_state = 'refused' THEN now() + interval '1 minute' ELSE now() END,
           CASE WHEN p.create_state = 'refused' THEN now() + interval '1 day' END
      FROM norn.job j JOIN norn.job_party p USING (job_no)
     WHERE j.job_no = ANY (p_job_nos) AND norn.mine(j.job_no) AND NOT p.local;
    -- One that waited for resources may have held up others.
    INSERT INTO norn.resource_freed (party_id, brief)
    SELECT j.scheduler_party_id, true FROM norn.job j
     WHERE j.job_no = ANY (p_job_nos) AND norn.mine(j.job_no) AND j.start_at IS NULL LIMIT 1;
    DELETE FROM norn.task_work WHERE job_no = ANY (p_job_nos) AND norn.mine(job_no);
END $$;

-- The end of a cycle: gives leases back, due at once when something happened meanwhile or this site has answered a
-- reservation (p_blocked says that the job waits for one), and takes ended jobs out of the queue. Only here does a scheduler lock rows of job_work, in the order of their numbers, as whoever locks several
-- does. Returns the jobs that are due again.
CREATE FUNCTION norn.sched_leave(p_job_nos bigint[], p_lease_nos bigint[], p_pokes bigint[], p_due_ms bigint[],
        p_blocked boolean[]) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    v_ended bigint[];
BEGIN
    PERFORM 1 FROM norn.job_work w
      WHERE (w.job_no, w.lease_no) IN (SELECT a.job_no, a.lease_no FROM unnest(p_job_nos, p_lease_nos) AS a(job_no, lease_no))
      ORDER BY w.job_no FOR UPDATE;
    WITH gone AS (
        DELETE FROM norn.job_work w USING norn.job j
         WHERE w.job_no = ANY (p_job_nos) AND j.job_no = w.job_no AND norn.is_end(j.status) AND norn.mine(j.job_no)
        RETURNING w.job_no)
    SELECT array_agg(job_no) INTO v_ended FROM gone;
    IF v_ended IS NOT NULL THEN
        DELETE FROM norn.task_work WHERE job_no = ANY (v_ended); -- of reports that came just now
    END IF;
    RETURN QUERY
        WITH left_now AS (
            UPDATE norn.job_work w
               SET lease_until = NULL, node_id = NULL,
                   blocked = u.blocked AND NOT EXISTS (SELECT 1 FROM norn.job_party p
                                                        WHERE p.job_no = w.job_no AND p.reserve_state = 'granted'),
                   due_at = CASE WHEN w.poke <> u.poke OR (u.blocked AND EXISTS (
                                          SELECT 1 FROM norn.job_party p WHERE p.job_no = w.job_no
                                             AND p.reserve_state IN ('granted', 'never'))) THEN norn.due_now(w.prio)
                                 ELSE COALESCE(to_timestamp(u.due_ms / 1000.0), now() + interval '30 seconds') END
              FROM unnest(p_job_nos, p_lease_nos, p_pokes, p_due_ms, p_blocked)
                   AS u(job_no, lease_no, poke, due_ms, blocked)
             WHERE w.job_no = u.job_no AND w.lease_no = u.lease_no
            RETURNING w.job_no, w.due_at)
        SELECT l.job_no FROM left_now l WHERE l.due_at <= now();
END $$;
