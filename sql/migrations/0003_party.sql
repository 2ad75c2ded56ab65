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

-- Messages of a scheduler at another site, before they are carried out: the numbers of the first and the last of them
-- (null: of one alone), null when the site does not number its messages. Those that come behind later ones were under way for
-- long, and have been sent again and answered meanwhile: they must not end, start or release what the job has become
-- since. The number of the first is kept: a sender that has had no answer may send part of a group again.
-- p_parties: whom the caller speaks for, when that is not known yet. Returns the job's status here. A job that is not
-- known is an error, which keeps the command from being carried out: it would see a job that comes right after this look, of
-- which nobody has said that the caller may command it.
CREATE FUNCTION norn.party_message(p_job_id text, p_role text, p_party_id text, p_message_no bigint,
        p_last_no bigint DEFAULT NULL, p_parties text[] DEFAULT NULL) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    pj record;
BEGIN
    SELECT party_job_no, status, scheduler_party_id, message_no INTO pj FROM norn.party_job
     WHERE job_id = p_job_id AND role = p_role AND party_id = p_party_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000',
            MESSAGE = format('1001:No found job: job_id[%s],role[%s],party_id[%s]', p_job_id, p_role, p_party_id);
    END IF;
    IF pj.scheduler_party_id <> ALL (p_parties) THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000', MESSAGE =
            format('5005:No Permission: the certificate of the caller does not name party %s', pj.scheduler_party_id);
    END IF;
    IF pj.message_no > COALESCE(p_last_no, p_message_no) THEN
        RAISE EXCEPTION USING ERRCODE = 'NR001', MESSAGE =
            format('message %s of job %s came behind message %s', p_message_no, p_job_id, pj.message_no);
    END IF;
    IF pj.message_no < p_message_no THEN
        UPDATE norn.party_job SET message_no = p_message_no WHERE party_job_no = pj.party_job_no;
    END IF;
    RETURN pj.status;
END $$;

-- Grants that were never used go back, of one engine or (null) of all; in one order, since several may do it at once.
-- Whoever could use them is woken. Returns how many.
CREATE FUNCTION norn.reservations_expire(p_engine text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_gone bigint[];
BEGIN
    WITH late AS (
        SELECT party_job_no FROM norn.reservation
         WHERE expires_at <= now() AND (p_engine IS NULL OR engine = p_engine) ORDER BY party_job_no
           FOR UPDATE SKIP LOCKED), -- whoever has the row gives it back or starts with it
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

-- The number of a party's part of a job.
CREATE FUNCTION norn.party_job_no(p_job_id text, p_role text, p_party_id text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_no bigint;
BEGIN
    SELECT party_job_no INTO v_no FROM norn.party_job WHERE job_id = p_job_id AND role = p_role AND party_id = p_party_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000',
            MESSAGE = format('1001:No found job: job_id[%s],role[%s],party_id[%s]', p_job_id, p_role, p_party_id);
    END IF;
    RETURN v_no;
END $$;

-- The first in the queue of the jobs that wait for resources of this site alone, those with parties in p_but aside.
CREATE FUNCTION norn.longest_waiting(p_but bigint[], OUT job_no bigint, OUT job_id text, OUT prio bigint)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    SELECT w.job_no, j.job_id, w.prio INTO longest_waiting.job_no, longest_waiting.job_id, longest_waiting.prio
      FROM norn.job_work w JOIN norn.job j USING (job_no)
     WHERE w.blocked AND w.local_only
       AND NOT EXISTS (SELECT 1 FROM norn.job_party g WHERE g.job_no = w.job_no AND g.reserve_state = 'granted')
       AND NOT EXISTS (SELECT 1 FROM norn.party_job b WHERE b.party_job_no = ANY (p_but) AND b.job_no = w.job_no)
     ORDER BY w.prio LIMIT 1;
END $$;

-- Writes what was granted until p_until. p_prio: the first in the queue of those it was granted to.
CREATE FUNCTION norn.reservations_write(p_nos bigint[], p_until timestamptz, p_prio bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(p_nos) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO norn.reservation (party_job_no, engine, cores, memory_mb, expires_at)
    SELECT party_job_no, engine, cores, memory_mb, p_until FROM norn.party_job WHERE party_job_no = ANY (p_nos);
    WITH given AS (
        UPDATE norn.party_job SET apply_at = now() WHERE party_job_no = ANY (p_nos)
        RETURNING job_id, role, party_id, cores, memory_mb)
    INSERT INTO norn.event (job_id, object, role, party_id, to_status, reason, detail, actor)
    SELECT job_id, 'reservation', role, party_id, 'granted', 'granted', format('%s cores, %s MiB', cores, memory_mb),
           'party ' || party_id
      FROM given;
    DELETE FROM norn.resource_waiter
     WHERE job_id IN (SELECT job_id FROM norn.party_job WHERE party_job_no = ANY (p_nos));
    -- Those that had to let these go first may have room beside them.
    INSERT INTO norn.resource_freed (party_id, brief)
    SELECT party_id, true FROM norn.party_job
     WHERE party_job_no = p_nos[1]
       AND EXISTS (SELECT 1 FROM norn.job_work w WHERE w.blocked AND w.prio > p_prio + norn.overtake_ms());
END $$;

-- Parties of this site ask for their cores and memory, each granted, refused (not now) or never; the first in p_nos
-- comes first, and those of one job stand side by side.
CREATE FUNCTION norn.parties_reserve(p_nos bigint[], p_ttl_ms integer)
RETURNS TABLE (party_job_no bigint, result text, detail text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    e norn.engine;
    p record;
    v_until timestamptz := now() + make_interval(secs => p_ttl_ms / 1000.0);
    v_nos bigint[];      -- the answers
    v_results text[];
    v_details text[];
    v_result text;
    v_detail text;
    v_job text;          -- whose parties the last answer was for
    v_granted bigint[] := '{}';
    v_prio bigint;       -- the first of those that were granted anything
    v_cores bigint;      -- in use
    v_memory bigint;
    v_ahead record;      -- the job that has waited longest
    v_holders text;
BEGIN
    PERFORM 1 FROM norn.party_job WHERE party_job_no = ANY (p_nos) ORDER BY party_job_no FOR NO KEY UPDATE;
    UPDATE norn.reservation SET expires_at = v_until WHERE party_job_no = ANY (p_nos) AND expires_at > now();
    SELECT array_agg(x.party_job_no), array_agg(x.result),
           array_agg(CASE x.result WHEN 'refused' THEN format('the job is %s here', x.status)
                                   WHEN 'never' THEN format('this site has no computing engine %s', x.engine) END)
      INTO v_nos, v_results, v_details
      FROM (SELECT j.party_job_no,
                   CASE WHEN norn.is_end(j.status) THEN 'refused'
                        WHEN j.cores = 0 AND j.memory_mb = 0 THEN 'granted'
                        WHEN EXISTS (SELECT 1 FROM norn.reservation r WHERE r.party_job_no = j.party_job_no
                                        AND (r.expires_at IS NULL OR r.expires_at > now())) THEN 'granted'
                        WHEN NOT EXISTS (SELECT 1 FROM norn.engine g WHERE g.name = j.engine) THEN 'never' END AS result,
                   j.status, j.engine
              FROM norn.party_job j WHERE j.party_job_no = ANY (p_nos)) x
     WHERE x.result IS NOT NULL;
    v_nos := COALESCE(v_nos, '{}');
    FOR e IN SELECT g.* FROM norn.engine g
              WHERE g.name IN (SELECT j.engine FROM norn.party_job j
                                WHERE j.party_job_no = ANY (p_nos) AND j.party_job_no <> ALL (v_nos))
              ORDER BY g.name FOR NO KEY UPDATE LOOP
        PERFORM norn.reservations_expire(e.name);
        SELECT COALESCE(sum(r.cores), 0), COALESCE(sum(r.memory_mb), 0) INTO v_cores, v_memory
          FROM norn.reservation r WHERE r.engine = e.name;
        v_ahead := norn.longest_waiting(v_granted);
        v_job := NULL;
        -- All parties of a job here count, so that no job holds resources for one while another cannot get any.
        FOR p IN
            SELECT j.party_job_no, j.job_id, j.job_no, j.cores, j.memory_mb, w.prio, s.*
              FROM unnest(p_nos) WITH ORDINALITY AS n(no, i)
             CROSS JOIN LATERAL (SELECT * FROM norn.party_job j WHERE j.party_job_no = n.no OFFSET 0) j
             CROSS JOIN LATERAL (
                   SELECT sum(x.cores) AS all_cores, sum(x.memory_mb) AS all_memory,
                          sum(x.cores) FILTER (WHERE r.party_job_no IS NULL) AS need_cores,
                          sum(x.memory_mb) FILTER (WHERE r.party_job_no IS NULL) AS need_memory
                     FROM norn.party_job x LEFT JOIN norn.reservation r ON r.party_job_no = x.party_job_no
                    WHERE x.job_id = j.job_id AND x.engine = e.name) s
              LEFT JOIN norn.job_work w ON w.job_no = j.job_no
             WHERE j.engine = e.name AND n.no <> ALL (v_nos)
             ORDER BY n.i LOOP
            IF p.job_id IS DISTINCT FROM v_job THEN
                v_job := p.job_id;
                v_detail := NULL;
                IF p.all_cores > e.cores OR (p.all_memory > e.memory_mb AND e.memory_mb > 0) THEN
                    v_result := 'never';
                    v_detail := format('needs %s cores and %s MiB; engine %s has %s cores and %s MiB in all (resources.cores, resources.memory_mb)',
                                       p.all_cores, p.all_memory, e.name, e.cores, e.memory_mb);
                ELSIF v_cores + p.need_cores <= e.cores AND (e.memory_mb = 0 OR v_memory + p.need_memory <= e.memory_mb)
                      AND NOT COALESCE(v_ahead.job_no <> p.job_no AND v_ahead.prio < p.prio - norn.overtake_ms(), false) THEN
                    v_result := 'granted';
                ELSE
                    v_result := 'refused';
                    v_holders := COALESCE(v_holders, (
                        SELECT string_agg(h.job_id, ', ') FROM (
                            SELECT j.job_id FROM norn.reservation r JOIN norn.party_job j ON j.party_job_no = r.party_job_no
                             WHERE r.engine = e.name ORDER BY r.granted_at LIMIT 5) h), '-');
                    v_detail := format('needs %s cores and %s MiB, free are %s of %s cores and %s of %s MiB; held by jobs %s%s',
                                       p.need_cores, p.need_memory, e.cores - v_cores, e.cores, e.memory_mb - v_memory,
                                       e.memory_mb, v_holders,
                                       CASE WHEN v_ahead.job_no <> p.job_no AND v_ahead.prio < p.prio - norn.overtake_ms()
                                            THEN '; job ' || v_ahead.job_id || ' has waited longer and goes first' ELSE '' END);
                END IF;
            END IF;
            v_nos := v_nos || p.party_job_no;
            v_results := v_results || v_result;
            v_details := v_details || v_detail;
            IF v_result = 'granted' THEN
                v_granted := v_granted || p.party_job_no;
                v_cores := v_cores + p.cores;
                v_memory := v_memory + p.memory_mb;
                v_prio := LEAST(v_prio, p.prio);
                IF v_ahead.job_no = p.job_no THEN
                    v_ahead := norn.longest_waiting(v_granted);
                END IF;
            END IF;
        END LOOP;
    END LOOP;
    PERFORM norn.reservations_write(v_granted, v_until, v_prio);
    INSERT INTO norn.resource_waiter (job_id, scheduler_party_id)
    SELECT j.job_id, j.scheduler_party_id
      FROM unnest(v_nos, v_results) AS a(no, result) JOIN norn.party_job j ON j.party_job_no = a.no
     WHERE a.result = 'refused' AND j.job_no IS NULL AND NOT norn.is_end(j.status)
        ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT * FROM unnest(v_nos, v_results, v_details);
END $$;

-- One party of one job, of a scheduler anywhere.
CREATE FUNCTION norn.party_reserve(p_job_id text, p_role text, p_party_id text, p_ttl_ms integer,
        OUT result text, OUT detail text) LANGUAGE plpgsql AS $$
BEGIN
    SELECT r.result, r.detail INTO result, detail
      FROM norn.parties_reserve(ARRAY[norn.party_job_no(p_job_id, p_role, p_party_id)], p_ttl_ms) r;
END $$;

-- The first in the queue of the blocked jobs that fit into p_cores and p_memory and are not in p_but. One look into
-- the index for each number of cores that anybody waits for.
CREATE FUNCTION norn.resource_next(p_cores bigint, p_memory_mb bigint, p_local_only boolean, p_but bigint[])
RETURNS norn.job_work LANGUAGE plpgsql AS $$
DECLARE
    v_next norn.job_work;
BEGIN
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
    SELECT x.* INTO v_next FROM need CROSS JOIN LATERAL (
           SELECT w.* FROM norn.job_work w
            WHERE w.blocked AND (w.need_cores > 0 OR w.need_memory_mb > 0) AND w.need_cores >= need.n
              AND w.need_memory_mb <= p_memory_mb AND (w.local_only OR NOT p_local_only) AND w.job_no <> ALL (p_but)
            ORDER BY w.need_cores, w.prio LIMIT 1) x
     WHERE need.n <= p_cores AND x.need_cores <= p_cores
       AND x.prio <= COALESCE((SELECT prio FROM oldest) + norn.overtake_ms(), x.prio)
     ORDER BY x.prio LIMIT 1;
    RETURN v_next;
END $$;

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

-- Reservations go back, and whoever could use them is woken. p_wake: not when a job only gives back what it could not
-- use, or two jobs could wake each other for ever. Returns those that had one.
CREATE FUNCTION norn.reservations_return(p_nos bigint[], p_wake boolean) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    v_gone bigint[];
BEGIN
    WITH held AS MATERIALIZED (
        SELECT party_job_no FROM norn.reservation WHERE party_job_no = ANY (p_nos) ORDER BY party_job_no FOR UPDATE),
    gone AS (
        DELETE FROM norn.reservation r USING held h WHERE r.party_job_no = h.party_job_no RETURNING r.party_job_no)
    SELECT array_agg(party_job_no) INTO v_gone FROM gone;
    IF p_wake THEN
        DELETE FROM norn.resource_waiter
         WHERE job_id IN (SELECT job_id FROM norn.party_job WHERE party_job_no = ANY (p_nos));
    END IF;
    IF v_gone IS NULL THEN
        RETURN '{}';
    END IF;
    INSERT INTO norn.event (job_id, object, role, party_id, from_status, to_status, reason, actor)
    SELECT job_id, 'reservation', role, party_id, 'granted', 'released', 'released', 'party ' || party_id
      FROM norn.party_job WHERE party_job_no = ANY (v_gone);
    INSERT INTO norn.resource_freed (party_id, brief)
    SELECT party_id, NOT p_wake FROM norn.party_job WHERE party_job_no = ANY (v_gone) LIMIT 1;
    RETURN v_gone;
END $$;

CREATE FUNCTION norn.parties_release(p_nos bigint[], p_wake boolean) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_gone bigint[] := norn.reservations_return(p_nos, p_wake);
BEGIN
    UPDATE norn.party_job SET return_at = now() WHERE party_job_no = ANY (v_gone);
    RETURN cardinality(v_gone);
END $$;

CREATE FUNCTION norn.party_release(p_job_id text, p_role text, p_party_id text, p_wake boolean) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    RETURN norn.parties_release(array_agg(party_job_no), p_wake) > 0 FROM norn.party_job
     WHERE job_id = p_job_id AND role = p_role AND party_id = p_party_id;
END $$;

-- Parties of this site that have their resources start; those that have started stay as they are.
CREATE FUNCTION norn.parties_start(p_nos bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_late bigint[];
    v_none bigint;
BEGIN
    PERFORM 1 FROM norn.party_job WHERE party_job_no = ANY (p_nos) ORDER BY party_job_no FOR NO KEY UPDATE;
    UPDATE norn.reservation SET expires_at = NULL WHERE party_job_no = ANY (p_nos) AND expires_at > now();
    SELECT array_agg(p.party_job_no) INTO v_late FROM norn.party_job p
     WHERE p.party_job_no = ANY (p_nos) AND p.status = 'waiting' AND (p.cores > 0 OR p.memory_mb > 0)
       AND NOT EXISTS (SELECT 1 FROM norn.reservation r WHERE r.party_job_no = p.party_job_no AND r.expires_at IS NULL);
    IF v_late IS NOT NULL THEN
        -- Granted too long ago: there may still be room.
        SELECT r.party_job_no INTO v_none FROM norn.parties_reserve(v_late, 60000) r WHERE r.result <> 'granted' LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'NR000', MESSAGE = (
                SELECT format('1005:Job resource exception: job_id[%s],role[%s],party_id[%s],detail[the reservation has expired]',
                              job_id, role, party_id)
                  FROM norn.party_job WHERE party_job_no = v_none);
        END IF;
        UPDATE norn.reservation SET expires_at = NULL WHERE party_job_no = ANY (v_late);
    END IF;
    WITH started AS (
        UPDATE norn.party_job SET status = 'running', version = version + 1, update_at = now(),
               start_at = COALESCE(start_at, now())
         WHERE party_job_no = ANY (p_nos) AND status = 'waiting'
        RETURNING job_id, role, party_id, scheduler_party_id)
    INSERT INTO norn.event (job_id, object, role, party_id, from_status, to_status, reason, actor)
    SELECT job_id, 'job', role, party_id, 'waiting', 'running', 'started', 'scheduler ' || scheduler_party_id FROM started;
END $$;

-- True when the party's part runs.
CREATE FUNCTION norn.party_job_start(p_job_id text, p_role text, p_party_id text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_no bigint := norn.party_job_no(p_job_id, p_role, p_party_id);
BEGIN
    PERFORM norn.parties_start(ARRAY[v_no]);
    RETURN status = 'running' FROM norn.party_job WHERE party_job_no = v_no;
END $$;

-- Puts runs into the executors' queue; rows of earlier attempts are the pattern for new ones. Without roles: all parties
-- of this site. Returns how many.
CREATE FUNCTION norn.party_task_start(p_job_ids text[], p_task_names text[], p_attempts integer[], p_roles text[],
        p_party_ids text[]) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_n integer;
BEGIN
    IF 0 < ANY (p_attempts) THEN
        INSERT INTO norn.party_task (party_job_no, job_id, task_name, task_no, attempt, role, party_id, party_no,
                component, provider, config, cores, memory_mb, timeout_s)
        SELECT t.party_job_no, t.job_id, t.task_name, t.task_no, a.attempt, t.role, t.party_id, t.party_no, t.component,
               t.provider, t.config, t.cores, t.memory_mb, t.timeout_s
          FROM unnest(p_job_ids, p_task_names, p_attempts, p_roles, p_party_ids)
               AS a(job_id, task_name, attempt, role, party_id)
          JOIN norn.party_task t ON t.job_id = a.job_id AND t.task_name = a.task_name AND t.attempt = 0
               AND (a.role IS NULL OR (t.role = a.role AND t.party_id = a.party_id))
         WHERE a.attempt > 0
        ON CONFLICT (job_id, task_name, attempt, role, party_id) DO NOTHING;
    END IF;
    WITH started AS (
        UPDATE norn.party_task t SET status = 'running', version = t.version + 1, update_at = now()
          FROM unnest(p_job_ids, p_task_names, p_attempts, p_roles, p_party_ids)
               AS a(job_id, task_name, attempt, role, party_id)
         WHERE t.job_id = ANY (ARRAY[a.job_id]) AND t.task_name = a.task_name AND t.attempt = a.attempt
           AND (a.role IS NULL OR (t.role = a.role AND t.party_id = a.party_id))
           AND t.status = 'waiting' AND t.party_status = 'waiting'
           AND (SELECT p.status FROM norn.party_job p WHERE p.party_job_no = t.party_job_no) = 'running'
        RETURNING t.run_no)
    INSERT INTO norn.run_work (run_no, prio) SELECT run_no, run_no FROM started;
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END $$;

-- The scheduler has decided the status of an attempt. What still runs here is to be ended with it. Without roles: all
-- parties of this site.
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
            WHERE t.job_id = a.job_id AND t.task_name = a.task_name AND t.attempt = a.attempt
              AND (a.role IS NULL OR (t.role = a.role AND t.party_id = a.party_id)) OFFSET 0) t
     WHERE a.status NOT IN ('success', 'pass');
    IF v_runs IS NOT NULL THEN
        PERFORM 1 FROM norn.run_work w WHERE w.run_no = ANY (v_runs) ORDER BY w.run_no FOR UPDATE;
    END IF;
    UPDATE norn.party_task t SET status = a.status, kill_status = true, version = t.version + 1, update_at = now()
      FROM unnest(p_job_ids, p_task_names, p_attempts, p_roles, p_party_ids, p_statuses)
           AS a(job_id, task_name, attempt, role, party_id, status)
     WHERE t.job_id = ANY (ARRAY[a.job_id]) AND t.task_name = a.task_name AND t.attempt = a.attempt
       AND (a.role IS NULL OR (t.role = a.role AND t.party_id = a.party_id)) AND t.status = 'running';
    IF v_runs IS NOT NULL THEN
        WITH r AS (
            SELECT t.run_no, t.job_id, t.task_name, t.attempt, t.role, t.party_id, a.status
              FROM unnest(p_job_ids, p_task_names, p_attempts, p_roles, p_party_ids, p_statuses)
                   AS a(job_id, task_name, attempt, role, party_id, status)
              JOIN norn.party_task t ON t.job_id = a.job_id AND t.task_name = a.task_name AND t.attempt = a.attempt
                   AND (a.role IS NULL OR (t.role = a.role AND t.party_id = a.party_id))
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
     WHERE p.job_id = ANY (ARRAY[a.job_id]) AND (a.role IS NULL OR (p.role = a.role AND p.party_id = a.party_id))
       AND p.progress < a.progress;
END $$;

-- Jobs are over at these parties: whatever still runs is stopped, resources go back. Repeats change nothing.
CREATE FUNCTION norn.parties_finish(p_nos bigint[], p_statuses text[], p_progress integer[], p_reason_codes text[],
        p_reasons text[], p_first_failures json[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_returned bigint[];
BEGIN
    PERFORM 1 FROM norn.party_job WHERE party_job_no = ANY (p_nos) ORDER BY party_job_no FOR NO KEY UPDATE;
    PERFORM norn.party_task_finish(array_agg(t.job_id), array_agg(t.task_name), array_agg(t.attempt),
            array_agg(t.role), array_agg(t.party_id), array_agg(a.status), array_agg(0))
       FROM unnest(p_nos, p_statuses) AS a(no, status) JOIN norn.party_task t ON t.party_job_no = a.no
      WHERE a.status <> 'success' AND t.status = 'running'
     HAVING count(*) > 0;
    v_returned := norn.reservations_return(p_nos, true);
    WITH ended AS (
        UPDATE norn.party_job p SET status = a.status, version = p.version + 1, tag = 'job_end', update_at = now(),
               progress = GREATEST(p.progress, COALESCE(a.progress, 0)), end_at = now(), reason_code = a.reason_code,
               reason = a.reason, first_failure = a.first_failure,
               return_at = CASE WHEN a.no = ANY (v_returned) THEN now() ELSE p.return_at END
          FROM unnest(p_nos, p_statuses, p_progress, p_reason_codes, p_reasons, p_first_failures)
               AS a(no, status, progress, reason_code, reason, first_failure)
         CROSS JOIN LATERAL (SELECT o.status AS was FROM norn.party_job o WHERE o.party_job_no = a.no OFFSET 0) o
         WHERE p.party_job_no = a.no AND NOT norn.is_end(p.status)
        RETURNING p.job_id, p.role, p.party_id, o.was, a.status, a.reason_code, a.reason, p.scheduler_party_id)
    INSERT INTO norn.event (job_id, object, role, party_id, from_status, to_status, reason, detail, actor)
    SELECT job_id, 'job', role, party_id, was, status, COALESCE(reason_code, 'finished'), reason,
           'scheduler ' || scheduler_party_id
      FROM ended;
END $$;

-- One party of one job; false when it was never created here.
CREATE FUNCTION norn.party_job_finish(p_job_id text, p_role text, p_party_id text, p_status text,
        p_progress integer, p_reason_code text, p_reason text, p_first_failure json) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_no bigint;
BEGIN
    SELECT party_job_no INTO v_no FROM norn.party_job WHERE job_id = p_job_id AND role = p_role AND party_id = p_party_id;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM norn.parties_finish(ARRAY[v_no], ARRAY[p_status], ARRAY[p_progress], ARRAY[p_reason_code], ARRAY[p_reason],
                                ARRAY[p_first_failure]);
    RETURN true;
END $$;

-- ------------------------------------------------------------------ runs, as executors see them
-- Tells schedulers at other sites how these runs are. p_status null: each run's own party status.
-- p_share_tail: whether they may see the end of stderr (exec.share_error_tail).
CREATE FUNCTION norn.runs_report(p_run_nos bigint[], p_status text, p_node_lost boolean, p_share_tail boolean)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- That a run has begun is in no hurry: the end of a short one goes with it.
    INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, due_at, command, body)
    SELECT j.scheduler_party_id, t.party_id, t.job_id,
           CASE WHEN p_status = 'running' THEN now() + interval '100 ms' ELSE now() END,
           'task_report', json_strip_nulls(json_build_object(
               'job_id', t.job_id, 'role', t.role, 'party_id', t.party_id, 'task_id', t.job_id || '_' || t.task_name,
               'task_version', t.attempt, 'task_name', t.task_name, 'status', COALESCE(p_status, t.party_status),
               'exit_code', t.exit_code, 'signal', t.signal, 'error', t.error,
               'stderr_tail', CASE WHEN p_share_tail THEN t.stderr_tail END, 'node_lost', p_node_lost,
               'elapsed_ms', norn.ms(t.end_at) - norn.ms(t.start_at)))
      FROM norn.party_task t JOIN norn.party_job j USING (party_job_no)
     WHERE t.run_no = ANY (p_run_nos);
END $$;

-- Claims runs for a node, at most as many as hashes of fresh task tokens are brought; each claim is a lease with a
-- number of its own. hash_no: which of the tokens (from 1) is the run's. away: the scheduler is at another site.
CREATE FUNCTION norn.run_claim(p_node_id text, p_hashes text[])
RETURNS TABLE (run_no bigint, hash_no integer, lease_no bigint, job_id text, task_name text, attempt integer, role text,
               party_id text, component text, provider text, config json, timeout_s bigint, cores integer,
               memory_mb integer, model_id text, model_version text, sent_ms bigint, away boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_runs bigint[];
    v_away bigint[];     -- of schedulers at other sites
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
    WITH claimed AS (
        UPDATE norn.party_task t SET party_status = 'running', node_id = p_node_id, start_at = now(),
               version = t.version + 1, update_at = now(), token_hash = p_hashes[u.i]
          FROM unnest(v_runs) WITH ORDINALITY AS u(no, i)
         WHERE t.run_no = u.no
        RETURNING t.run_no, t.party_job_no, t.job_id, t.task_name, t.role, t.party_id, t.attempt),
    said AS (
        INSERT INTO norn.event (job_id, object, task_name, role, party_id, attempt, from_status, to_status, reason, actor)
        SELECT job_id, 'run', task_name, role, party_id, attempt, 'waiting', 'running', 'claimed',
               'node ' || COALESCE((SELECT n.name FROM norn.node n WHERE n.node_id = p_node_id), p_node_id)
          FROM claimed)
    SELECT array_agg(t.run_no) INTO v_away
      FROM claimed t
     CROSS JOIN LATERAL (SELECT j.job_no FROM norn.party_job j WHERE j.party_job_no = t.party_job_no OFFSET 0) j
     WHERE j.job_no IS NULL;
    IF v_away IS NOT NULL THEN
        PERFORM norn.runs_report(v_away, 'running', false, false);
    END IF;
    RETURN QUERY
        SELECT t.run_no, array_position(v_runs, t.run_no), w.lease_no, t.job_id, t.task_name, t.attempt, t.role, t.party_id, t.component, t.provider,
               t.config, t.timeout_s, t.cores, t.memory_mb, j.model_id, j.model_version,
               GREATEST(0, norn.ms(now()) - norn.ms(w.due_at)), j.job_no IS NULL
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
    v_job_nos bigint[];  -- of the jobs that are scheduled here, beside v_task_nos
    v_task_nos integer[];
    v_away bigint[];     -- runs of schedulers at other sites
BEGIN
    -- in the order of their numbers, as whoever takes several does
    WITH l AS MATERIALIZED (
        SELECT x.run_no
          FROM (SELECT * FROM unnest(p_run_nos, p_lease_nos) AS u(run_no, lease_no) ORDER BY 1 OFFSET 0) a
         CROSS JOIN LATERAL (SELECT w.run_no FROM norn.run_work w
                              WHERE w.run_no = a.run_no AND w.lease_no = a.lease_no FOR UPDATE OFFSET 0) x),
    gone AS (
        DELETE FROM norn.run_work w USING l WHERE w.run_no = ANY (ARRAY[l.run_no]) RETURNING w.run_no)
    SELECT array_agg(run_no) INTO v_runs FROM gone;
    IF v_runs IS NULL THEN
        RETURN;
    END IF;
    WITH ended AS (
        UPDATE norn.party_task t SET party_status = a.status, exit_code = a.exit_code, signal = a.signal,
               error = COALESCE(a.error, ''), stderr_tail = a.tail, user_ms = a.user_ms, sys_ms = a.sys_ms,
               max_rss_kb = a.max_rss_kb, end_at = now(), version = t.version + 1, update_at = now(),
               token_hash = NULL, node_lost = p_node_lost
          FROM unnest(p_run_nos, p_statuses, p_exit_codes, p_signals, p_errors, p_tails, p_user_ms, p_sys_ms,
                      p_max_rss_kb, p_reasons)
               AS a(run_no, status, exit_code, signal, error, tail, user_ms, sys_ms, max_rss_kb, reason)
         WHERE t.run_no = a.run_no AND t.run_no = ANY (v_runs)
        RETURNING t.run_no, t.party_job_no, t.task_no, t.job_id, t.task_name, t.role, t.party_id, t.attempt, a.status,
                  a.reason, a.error),
    e AS MATERIALIZED (
        SELECT t.*, j.job_no FROM ended t
         CROSS JOIN LATERAL (SELECT j.job_no FROM norn.party_job j WHERE j.party_job_no = t.party_job_no OFFSET 0) j),
    said AS (
        INSERT INTO norn.event (job_id, object, task_name, role, party_id, attempt, from_status, to_status, reason,
                                detail, actor)
        SELECT job_id, 'run', task_name, role, party_id, attempt, 'running', status, reason, left(error, 1000), p_actor
          FROM e)
    SELECT array_agg(job_no) FILTER (WHERE job_no IS NOT NULL), array_agg(task_no) FILTER (WHERE job_no IS NOT NULL),
           array_agg(run_no) FILTER (WHERE job_no IS NULL)
      INTO v_job_nos, v_task_nos, v_away FROM e;
    IF v_job_nos IS NOT NULL THEN
        PERFORM norn.tasks_reported(v_job_nos, v_task_nos);
    END IF;
    IF v_away IS NOT NULL THEN
        PERFORM norn.runs_report(v_away, NULL, p_node_lost, p_share_tail);
    END IF;
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
