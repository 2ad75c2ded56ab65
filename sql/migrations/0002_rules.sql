-- The rules of the state, and the commands between a scheduler and its parties, as functions: the same function
-- runs inside the scheduler's transaction for a party of this site, and for a request from another site.
-- Errors raised with ERRCODE 'NR000' carry "<code>:<text>" and reach the caller as that error;
-- 'NR001' means: somebody else was first, read again.

-- (STABLE as what it calls is: else it would be called, not inlined)
CREATE FUNCTION norn.ms(t timestamptz) RETURNS bigint LANGUAGE sql STABLE AS
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

-- Daily partitions of the history, made ahead. To make one is to lock the default partition, which a backup reads for
-- hours: better later than that a node cannot register, or that everybody waits behind it.
CREATE FUNCTION norn.event_partitions_ensure(days integer) RETURNS integer LANGUAGE plpgsql
SET lock_timeout = '500ms' AS $$
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
EXCEPTION WHEN lock_not_available THEN
    RAISE NOTICE 'the history is in use: partitions are made later';
    RETURN 0;
END $$;

-- The jobs of these whose rows the running transaction has updated: every write of a scheduler hangs on it.
-- (These small functions are in PL/pgSQL, which keeps their plans; those in SQL are planned anew with every call.)
CREATE FUNCTION norn.mine_of(nos bigint[]) RETURNS bigint[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT array_agg(j.job_no) FROM norn.job j
             WHERE j.job_no = ANY (nos) AND j.xmin = pg_current_xact_id()::xid);
END $$;

-- Due at once, and in the order of the queue among all that are: due_at is both, so that a claim reads no more rows
-- of its index than it takes.
CREATE FUNCTION norn.due_now(prio bigint) RETURNS timestamptz LANGUAGE sql STABLE AS
$$ SELECT LEAST(now(), to_timestamp(GREATEST(prio, 0) / 1000.0)) $$;

-- How much later, in ms of prio, a job may have come and still get resources before one that waits for them. Bounds
-- the overtaking of large jobs by small ones.
CREATE FUNCTION norn.overtake_ms() RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT 600000::bigint $$;

-- The row that schedulers claim, of a new job or one that runs again.
CREATE FUNCTION norn.job_work_add(p_job_no bigint, p_prio bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO norn.job_work (job_no, prio, due_at, need_cores, need_memory_mb, local_only)
    SELECT p_job_no, p_prio, norn.due_now(p_prio), COALESCE(sum(p.cores) FILTER (WHERE p.local), 0),
           COALESCE(sum(p.memory_mb) FILTER (WHERE p.local), 0), COALESCE(bool_and(p.local), true)
      FROM norn.job_party p WHERE p.job_no = p_job_no;
END $$;

-- Something happened to these jobs. While a scheduler holds the lease of one it only counts; else the job is due now.
-- Taken in the order of their numbers so that two callers cannot deadlock. Returns those that are over (null: none is).
CREATE FUNCTION norn.jobs_poke(nos bigint[]) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    v_over bigint[];
BEGIN
    WITH l AS MATERIALIZED (
        SELECT x.job_no FROM norn.job_work x WHERE x.job_no = ANY (nos) ORDER BY x.job_no FOR UPDATE),
    poked AS (
        UPDATE norn.job_work w SET poke = w.poke + 1,
               due_at = CASE WHEN w.lease_until > now() THEN w.due_at ELSE LEAST(w.due_at, norn.due_now(w.prio)) END
          FROM l WHERE w.job_no = ANY (ARRAY[l.job_no])
        RETURNING w.job_no)
    SELECT array_agg(n.no) INTO v_over FROM unnest(nos) AS n(no) WHERE n.no NOT IN (SELECT job_no FROM poked);
    RETURN v_over;
END $$;

CREATE FUNCTION norn.job_poke(no bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM norn.jobs_poke(ARRAY[no]);
END $$;

-- Parties have ended their parts of these tasks (pairs, one or more of each): their schedulers are to look. A report
-- that came behind the end of its job leaves nothing behind.
CREATE FUNCTION norn.tasks_reported(p_job_nos bigint[], p_task_nos integer[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_over bigint[];
BEGIN
    INSERT INTO norn.task_work (job_no, task_no, stage)
    SELECT DISTINCT a.job_no, a.task_no, 'reported'::norn.task_stage
      FROM unnest(p_job_nos, p_task_nos) AS a(job_no, task_no) ORDER BY 1, 2
        ON CONFLICT (job_no, task_no) DO UPDATE SET mark = nextval('norn.mark_seq'), stage = 'reported';
    v_over := norn.jobs_poke(p_job_nos);
    IF v_over IS NOT NULL THEN
        -- unless the job has been run again while this waited for another one
        DELETE FROM norn.task_work t
         WHERE t.job_no = ANY (v_over) AND NOT EXISTS (SELECT 1 FROM norn.job_work w WHERE w.job_no = t.job_no);
    END IF;
END $$;
