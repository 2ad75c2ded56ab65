-- What a scheduler writes: reports that it gets, jobs as clients submit and stop them, what it has decided.

-- ------------------------------------------------------------------ reports to the scheduler
-- Reports from other sites, in the order in which they came. Stale ones are recorded and change nothing. Of several on one
-- attempt at a party the first that is an end counts, else the last: the others say what was on the way there.
-- p_elapsed_ms: how long a run took by the party's own clock, since a report arrives later than what it tells of; null
-- when it does not say. Returns whether each was taken, under its place (from 1); none for a task that is not known.
CREATE FUNCTION norn.sched_remote_reports(p_job_ids text[], p_task_names text[], p_attempts integer[], p_roles text[],
        p_party_ids text[], p_statuses text[], p_exit_codes integer[], p_signals integer[], p_errors text[],
        p_tails text[], p_node_lost boolean[], p_elapsed_ms bigint[])
RETURNS TABLE (place integer, taken boolean) LANGUAGE plpgsql AS $$
DECLARE
    v_job_nos bigint[];  -- of the tasks that a party has ended, beside v_task_nos
    v_task_nos integer[];
    v_places bigint[];
    v_taken boolean[];
BEGIN
    WITH a AS MATERIALIZED (
        SELECT a.*, j.job_no, t.task_no, p.party_no,
               (SELECT x.status FROM norn.task_party x
                 WHERE x.job_no = j.job_no AND x.task_no = t.task_no AND x.attempt = a.attempt
                   AND x.party_no = p.party_no) AS had
          FROM unnest(p_job_ids, p_task_names, p_attempts, p_roles, p_party_ids, p_statuses, p_exit_codes, p_signals,
                      p_errors, p_tails, p_node_lost, p_elapsed_ms) WITH ORDINALITY
               AS a(job_id, task_name, attempt, role, party_id, status, exit_code, signal, error, tail, node_lost,
                    elapsed_ms, place)
         CROSS JOIN LATERAL (SELECT j.job_no FROM norn.job j WHERE j.job_id = a.job_id OFFSET 0) j
         CROSS JOIN LATERAL (SELECT t.task_no FROM norn.task t
                              WHERE t.job_no = j.job_no AND t.task_name = a.task_name OFFSET 0) t
         CROSS JOIN LATERAL (SELECT p.party_no FROM norn.job_party p
                              WHERE p.job_no = j.job_no AND p.role = a.role AND p.party_id = a.party_id OFFSET 0) p),
    s AS MATERIALIZED (
        SELECT a.*,
               lag(a.status, 1, a.had) OVER (PARTITION BY a.job_no, a.task_no, a.attempt, a.party_no ORDER BY a.place) AS before,
               first_value(a.place) OVER (PARTITION BY a.job_no, a.task_no, a.attempt, a.party_no
                   ORDER BY NOT norn.is_end(a.status), CASE WHEN norn.is_end(a.status) THEN a.place ELSE -a.place END) AS counts
          FROM a),
    u AS (
        UPDATE norn.task_party x SET status = s.status, exit_code = s.exit_code, signal = s.signal, error = s.error,
               stderr_tail = s.tail, node_lost = COALESCE(s.node_lost, false), final = norn.is_end(s.status),
               start_at = CASE WHEN norn.is_end(s.status) AND s.elapsed_ms BETWEEN 0 AND 10000000000
                               THEN now() - make_interval(secs => s.elapsed_ms / 1000.0)
                               ELSE COALESCE(x.start_at, now()) END,
               end_at = CASE WHEN norn.is_end(s.status) THEN now() END
          FROM s
         WHERE s.place = s.counts AND x.job_no = ANY (ARRAY[s.job_no]) AND x.task_no = s.task_no
           AND x.attempt = s.attempt AND x.party_no = s.party_no
           AND NOT x.final AND x.status <> s.status AND norn.task_step_ok(x.status, s.status)
        RETURNING s.place, x.job_no, x.task_no, x.final),
    r AS MATERIALIZED (
        SELECT s.*, s.place <= s.counts AND s.status IS DISTINCT FROM s.before
               AND EXISTS (SELECT 1 FROM u WHERE u.place = s.counts) AS taken
          FROM s),
    said AS (
        INSERT INTO norn.event (job_id, object, task_name, role, party_id, attempt, from_status, to_status, reason,
                                detail, actor)
        SELECT r.job_id, 'run', r.task_name, r.role, r.party_id, r.attempt, r.before, r.status,
               CASE WHEN r.taken THEN 'reported' ELSE 'stale_report' END, left(r.error, 1000), 'party ' || r.party_id
          FROM r ORDER BY r.place)
    SELECT array_agg(r.place), array_agg(r.taken), array_agg(u.job_no) FILTER (WHERE u.final),
           array_agg(u.task_no) FILTER (WHERE u.final)
      INTO v_places, v_taken, v_job_nos, v_task_nos FROM r LEFT JOIN u USING (place);
    IF v_job_nos IS NOT NULL THEN
        PERFORM norn.tasks_reported(v_job_nos, v_task_nos);
    END IF;
    RETURN QUERY SELECT x.place::integer, x.taken FROM unnest(v_places, v_taken) AS x(place, taken);
END $$;

-- One of them.
CREATE FUNCTION norn.sched_remote_report(p_job_id text, p_task_name text, p_attempt integer, p_role text,
        p_party_id text, p_status text, p_exit_code integer, p_signal integer, p_error text, p_tail text,
        p_node_lost boolean, p_elapsed_ms bigint DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_taken boolean;
BEGIN
    SELECT r.taken INTO v_taken
      FROM norn.sched_remote_reports(ARRAY[p_job_id], ARRAY[p_task_name], ARRAY[p_attempt], ARRAY[p_role],
               ARRAY[p_party_id], ARRAY[p_status], ARRAY[p_exit_code], ARRAY[p_signal], ARRAY[p_error], ARRAY[p_tail],
               ARRAY[p_node_lost], ARRAY[p_elapsed_ms]) r;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000',
            MESSAGE = format('2000:No found task: job_id[%s],task_name[%s],role[%s],party_id[%s]',
                             p_job_id, p_task_name, p_role, p_party_id);
    END IF;
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

-- Messages of one job and destination were answered: the next may go, which can have come with a smaller number, since
-- transactions end in any order. Under their lease only: a sender that was
-- given up must not act on answers that its successor had before it, and that may belong to an earlier round.
CREATE FUNCTION norn.outbox_done(p_outbox_nos bigint[], p_lease_no bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_gone record;
BEGIN
    WITH gone AS (
        DELETE FROM norn.outbox WHERE outbox_no = ANY (p_outbox_nos) AND lease_no = p_lease_no
        RETURNING job_id, dest_party_id)
    SELECT count(*) AS n, min(job_id) AS job_id, min(dest_party_id) AS dest INTO v_gone
      FROM gone;
    IF v_gone.n < cardinality(p_outbox_nos) THEN
        RAISE EXCEPTION USING ERRCODE = 'NR001',
            MESSAGE = format('the lease %s of messages %s is lost', p_lease_no, array_to_string(p_outbox_nos, ', '));
    END IF;
    UPDATE norn.outbox o SET due_at = LEAST(o.due_at, now())
     WHERE o.outbox_no = (SELECT min(n.outbox_no) FROM norn.outbox n
                           WHERE n.job_id = v_gone.job_id AND n.dest_party_id = v_gone.dest)
       AND o.lease_no = 0; -- else it is under way
END $$;

-- ------------------------------------------------------------------ jobs, as clients see them
-- Everything of a new job in one transaction. The same idempotency key gives the same job. p has what there is once; the
-- rest comes in arrays, which cost a fraction of JSON: parties; tasks, with lists of their parties and those' cores; edges;
-- runs, which are tasks at parties of this site; messages to parties elsewhere.
CREATE FUNCTION norn.job_submit(p json, p_dag json, p_roles text[], p_party_ids text[], p_local boolean[],
        p_party_cores integer[], p_party_memory integer[], p_names text[], p_components text[], p_parties text[],
        p_cores text[], p_deps integer[], p_limits bigint[], p_parents integer[], p_children integer[],
        p_run_tasks integer[], p_run_parties smallint[], p_run_providers text[], p_run_configs json[],
        p_run_cores integer[], p_run_memory integer[], p_run_limits bigint[], p_message_parties smallint[],
        p_messages json[], OUT o_job_id text, OUT o_new boolean, OUT o_status text)
LANGUAGE plpgsql AS $$
DECLARE
    v_no bigint;
    v_party_jobs bigint[]; -- by party, null elsewhere
    h record;
BEGIN
    SELECT * INTO h
      FROM json_to_record(p) AS x(job_id text, priority integer, initiator_party_id text, scheduler_party_id text,
           model_id text, model_version text, user_name text, engine text, idempotency_key text, auto_retries integer,
           timeout_s double precision, create_timeout_s double precision, priority_ms bigint, actor text);
    IF h.idempotency_key IS NOT NULL THEN
        SELECT j.job_id, false, j.status INTO o_job_id, o_new, o_status FROM norn.job j
         WHERE j.idempotency_key = h.idempotency_key;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    o_job_id := h.job_id;
    o_new := true;
    o_status := CASE WHEN cardinality(p_messages) = 0 THEN 'waiting' ELSE 'ready' END;
    INSERT INTO norn.job_dag (job_id, dag) VALUES (o_job_id, p_dag);
    INSERT INTO norn.job (job_id, status, priority, initiator_party_id, scheduler_party_id, model_id,
            model_version, user_name, idempotency_key, auto_retries, n_tasks, deadline_at)
    VALUES (o_job_id, o_status, h.priority, h.initiator_party_id, h.scheduler_party_id, h.model_id, h.model_version,
            COALESCE(h.user_name, ''), h.idempotency_key, h.auto_retries, cardinality(p_names),
            now() + make_interval(secs => NULLIF(h.timeout_s, 0)))
    RETURNING job_no INTO v_no;
    INSERT INTO norn.job_party (job_no, party_no, role, party_id, local, cores, memory_mb, create_state)
    SELECT v_no, n - 1, p_roles[n], p_party_ids[n], p_local[n], p_party_cores[n], p_party_memory[n],
           CASE WHEN p_local[n] THEN 'ok' ELSE 'asked' END
      FROM generate_subscripts(p_roles, 1) AS x(n);
    -- Sets beside FROM go row by row, those in it are put aside whole first.
    INSERT INTO norn.task (job_no, task_no, task_name, component, parties, cores, deps_left, retries_left, timeout_s)
    SELECT v_no, generate_subscripts(p_names, 1) - 1, unnest(p_names), unnest(p_components),
           unnest(p_parties)::smallint[], unnest(p_cores)::integer[], unnest(p_deps), h.auto_retries, unnest(p_limits);
    IF cardinality(p_parents) > 0 THEN
        INSERT INTO norn.task_edge (job_no, parent_no, child_no)
        SELECT v_no, unnest(p_parents), unnest(p_children);
    END IF;
    INSERT INTO norn.task_work (job_no, task_no)
    SELECT v_no, n - 1 FROM generate_subscripts(p_deps, 1) AS x(n) WHERE p_deps[n] = 0;
    WITH made AS (
        INSERT INTO norn.party_job (job_id, role, party_id, status, job_no, initiator_party_id, scheduler_party_id,
               model_id, model_version, user_name, engine, cores, memory_mb)
        SELECT o_job_id, p_roles[n], p_party_ids[n], 'waiting', v_no, h.initiator_party_id, h.scheduler_party_id,
               h.model_id, h.model_version, COALESCE(h.user_name, ''), COALESCE(h.engine, 'standalone'),
               p_party_cores[n], p_party_memory[n]
          FROM generate_subscripts(p_roles, 1) AS x(n) WHERE p_local[n]
        RETURNING party_job_no, role, party_id)
    SELECT array_agg(m.party_job_no ORDER BY x.n) INTO v_party_jobs
      FROM generate_subscripts(p_roles, 1) AS x(n)
      LEFT JOIN made m ON m.role = p_roles[x.n] AND m.party_id = p_party_ids[x.n];
    INSERT INTO norn.party_task (party_job_no, job_id, task_name, task_no, role, party_id, party_no, component,
            provider, config, cores, memory_mb, timeout_s)
    SELECT v_party_jobs[r.party + 1], o_job_id, p_names[r.task + 1], r.task, p_roles[r.party + 1],
           p_party_ids[r.party + 1], r.party, p_components[r.task + 1], r.provider, r.config, r.cores, r.memory_mb,
           r.timeout_s
      FROM (SELECT unnest(p_run_tasks) AS task, unnest(p_run_parties) AS party, unnest(p_run_providers) AS provider,
                   unnest(p_run_configs) AS config, unnest(p_run_cores) AS cores, unnest(p_run_memory) AS memory_mb,
                   unnest(p_run_limits) AS timeout_s) r;
    IF cardinality(p_messages) > 0 THEN
        INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, job_no, party_no, command, body, give_up_at)
        SELECT p_party_ids[m.party + 1], h.scheduler_party_id, o_job_id, v_no, m.party, 'job_create', m.body,
               now() + make_interval(secs => h.create_timeout_s)
          FROM unnest(p_message_parties, p_messages) AS m(party, body);
    END IF;
    PERFORM norn.job_work_add(v_no, norn.ms(now()) - h.priority * h.priority_ms);
    INSERT INTO norn.event (job_id, object, role, party_id, to_status, reason, actor)
    SELECT o_job_id, 'job', p_roles[n], p_party_ids[n], 'waiting', 'created', 'scheduler ' || h.scheduler_party_id
      FROM generate_subscripts(p_roles, 1) AS x(n) WHERE p_local[n]
     UNION ALL
    SELECT o_job_id, 'job', NULL, NULL, o_status, 'submitted', COALESCE(h.actor, 'client');
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

-- ------------------------------------------------------------------ what the parties have said
-- Of one attempt of a task: those of other sites by their reports, those of this site by their runs.
CREATE FUNCTION norn.task_reports(p_job_no bigint, p_job_id text, p_task_no integer, p_task_name text, p_attempt integer)
RETURNS TABLE (party_no smallint, status text, node_lost boolean, exit_code integer, signal integer, error text,
               stderr_tail text, start_at timestamptz, end_at timestamptz) LANGUAGE sql STABLE AS $$
    SELECT x.party_no, x.status, x.node_lost, x.exit_code, x.signal, x.error, x.stderr_tail, x.start_at, x.end_at
      FROM norn.task_party x
     WHERE x.job_no = p_job_no AND x.task_no = p_task_no AND x.attempt = p_attempt
    UNION ALL
    SELECT r.party_no, r.party_status, r.node_lost, r.exit_code, r.signal, r.error, r.stderr_tail, r.start_at, r.end_at
      FROM norn.party_task r
     WHERE r.job_id = p_job_id AND r.task_name = p_task_name AND r.attempt = p_attempt $$;

-- ------------------------------------------------------------------ what a scheduler has decided
-- Each takes arrays over a batch of jobs and works only on those whose row this transaction has updated
-- (norn.mine_of): the lost version of one job drops that job and nothing else.

-- Asks for resources. p_party_nos: the party that is asked, or null: all of the job at once.
CREATE FUNCTION norn.sched_reserve(p_job_nos bigint[], p_party_nos smallint[], p_ttl_ms integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_mine bigint[] := norn.mine_of(p_job_nos);
    v_here bigint[];
    v_rounds integer;    -- for how many times p_ttl_ms a grant lasts
BEGIN
    UPDATE norn.job_party x SET reserve_state = 'asked', detail = NULL
      FROM unnest(p_job_nos, p_party_nos) AS n(job_no, party_no)
     WHERE x.job_no = ANY (ARRAY[n.job_no]) AND n.job_no = ANY (v_mine) AND NOT x.local
       AND (n.party_no IS NULL OR x.party_no = n.party_no);
    -- When all are asked, here first: what this site refuses is not asked elsewhere. A question is open for p_ttl_ms at
    -- most.
    SELECT array_agg(p.party_job_no ORDER BY n.i, x.party_no) INTO v_here
      FROM unnest(p_job_nos, p_party_nos) WITH ORDINALITY AS n(job_no, party_no, i)
     CROSS JOIN LATERAL (SELECT j.job_id FROM norn.job j WHERE j.job_no = n.job_no OFFSET 0) j
     CROSS JOIN LATERAL (SELECT x.party_no, x.role, x.party_id FROM norn.job_party x
                          WHERE x.job_no = n.job_no AND x.local AND (n.party_no IS NULL OR x.party_no = n.party_no)
                         OFFSET 0) x
     CROSS JOIN LATERAL (SELECT p.party_job_no FROM norn.party_job p
                          WHERE p.job_id = j.job_id AND p.role = x.role AND p.party_id = x.party_id OFFSET 0) p
     WHERE n.job_no = ANY (v_mine);
    -- Asked one by one, the first grant has to outlive all questions.
    SELECT 2 + COALESCE(max(r.n), 0) INTO v_rounds
      FROM (SELECT count(*) AS n FROM unnest(p_job_nos, p_party_nos) AS n(job_no, party_no)
              JOIN norn.job_party x ON x.job_no = n.job_no AND x.reserve_state = 'none'
             WHERE n.party_no IS NOT NULL GROUP BY n.job_no) r;
    IF v_here IS NOT NULL THEN
        -- A refusal here is the whole answer, and is over with this transaction: a release that comes later finds the
        -- job ready to ask again. Unless others have granted before: they are told by the next plan.
        WITH answer AS MATERIALIZED (
            SELECT p.job_no, p.role, p.party_id, r.result, r.detail,
                   bool_or(r.result <> 'granted') OVER (PARTITION BY p.job_no) AS refused,
                   (SELECT count(*) FROM norn.job_party g
                     WHERE g.job_no = p.job_no AND g.reserve_state = 'granted') > 0 AS others
              FROM norn.parties_reserve(v_here, v_rounds * p_ttl_ms) r
             CROSS JOIN LATERAL (SELECT p.job_no, p.role, p.party_id FROM norn.party_job p
                                  WHERE p.party_job_no = r.party_job_no OFFSET 0) p),
        own AS (
            UPDATE norn.job_party x
               SET reserve_state = CASE WHEN a.refused AND a.result <> 'never' AND NOT a.others THEN 'none' ELSE a.result END,
                   detail = a.detail
              FROM answer a
             WHERE x.job_no = ANY (ARRAY[a.job_no]) AND x.role = a.role AND x.party_id = a.party_id)
        UPDATE norn.job_party x SET reserve_state = 'none'
          FROM (SELECT DISTINCT job_no FROM answer WHERE refused AND NOT others) a
         WHERE x.job_no = ANY (ARRAY[a.job_no]) AND NOT x.local;
    END IF;
    INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, job_no, party_no, command, body, give_up_at)
    SELECT x.party_id, j.scheduler_party_id, j.job_id, j.job_no, x.party_no, 'job_reserve',
           json_build_object('job_id', j.job_id, 'role', x.role, 'party_id', x.party_id,
                             'ttl_ms', v_rounds * p_ttl_ms),
           now() + make_interval(secs => p_ttl_ms / 1000.0)
      FROM norn.job j JOIN norn.job_party x USING (job_no)
     WHERE j.job_no = ANY (v_mine) AND NOT x.local AND x.reserve_state = 'asked';
    -- One that was woken by a release here and now asks elsewhere first leaves it to the next.
    INSERT INTO norn.resource_freed (party_id, brief)
    SELECT j.scheduler_party_id, true
      FROM unnest(p_job_nos, p_party_nos) AS n(job_no, party_no) JOIN norn.job j USING (job_no)
      JOIN norn.job_party x ON x.job_no = n.job_no AND x.party_no = n.party_no AND NOT x.local
      JOIN norn.job_work w ON w.job_no = n.job_no AND w.blocked
     WHERE n.job_no = ANY (v_mine) AND (w.need_cores > 0 OR w.need_memory_mb > 0) LIMIT 1;
END $$;

CREATE FUNCTION norn.sched_release(p_job_nos bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_mine bigint[] := norn.mine_of(p_job_nos);
BEGIN
    PERFORM norn.parties_release(array_agg(p.party_job_no), false)
       FROM norn.job_party x JOIN norn.job j USING (job_no)
       JOIN norn.party_job p ON p.job_id = j.job_id AND p.role = x.role AND p.party_id = x.party_id
      WHERE x.job_no = ANY (v_mine) AND x.local AND x.reserve_state = 'granted'
     HAVING count(*) > 0;
    INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, job_no, party_no, command, body)
    SELECT x.party_id, j.scheduler_party_id, j.job_id, j.job_no, x.party_no, 'job_release',
           json_build_object('job_id', j.job_id, 'role', x.role, 'party_id', x.party_id)
      FROM norn.job j JOIN norn.job_party x USING (job_no)
     WHERE j.job_no = ANY (v_mine) AND NOT x.local AND x.reserve_state = 'granted';
    UPDATE norn.job_party SET reserve_state = 'none' WHERE job_no = ANY (v_mine);
END $$;

CREATE FUNCTION norn.sched_start_jobs(p_job_nos bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_mine bigint[] := norn.mine_of(p_job_nos);
BEGIN
    PERFORM norn.parties_start(array_agg(p.party_job_no))
       FROM norn.party_job p WHERE p.job_no = ANY (v_mine)
     HAVING count(*) > 0;
    INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, job_no, party_no, command, body)
    SELECT x.party_id, j.scheduler_party_id, j.job_id, j.job_no, x.party_no, 'job_start',
           json_build_object('job_id', j.job_id, 'role', x.role, 'party_id', x.party_id,
                             'extra_info', json_build_object())
      FROM norn.job j JOIN norn.job_party x USING (job_no)
     WHERE j.job_no = ANY (v_mine) AND NOT x.local;
END $$;

-- Starts attempts. A task that the planner starts has no parent left to wait for.
CREATE FUNCTION norn.sched_start_tasks(p_job_nos bigint[], p_task_nos integer[], p_attempts integer[],
        p_reasons text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_mine bigint[] := norn.mine_of(p_job_nos);
    v_job_nos bigint[];
    v_job_ids text[];
    v_task_nos integer[];
    v_names text[];
    v_attempts integer[];
    v_away bigint[];
BEGIN
    WITH started AS (
        UPDATE norn.task t SET status = 'running', deps_left = 0, start_at = now(), end_at = NULL, retry_at = NULL
          FROM unnest(p_job_nos, p_task_nos, p_attempts, p_reasons) AS a(job_no, task_no, attempt, reason)
         WHERE t.job_no = ANY (ARRAY[a.job_no]) AND t.task_no = a.task_no AND t.attempt = a.attempt
           AND a.job_no = ANY (v_mine)
        RETURNING t.job_no, t.task_no, t.task_name, t.attempt, a.reason),
    s AS MATERIALIZED (
        SELECT j.job_id, t.* FROM started t
         CROSS JOIN LATERAL (SELECT j.job_id FROM norn.job j WHERE j.job_no = t.job_no OFFSET 0) j),
    said AS (
        INSERT INTO norn.event (job_id, object, task_name, attempt, from_status, to_status, reason, actor)
        SELECT job_id, 'task', task_name, attempt, 'waiting', 'running', reason, 'scheduler' FROM s)
    SELECT array_agg(job_no), array_agg(job_id), array_agg(task_no), array_agg(task_name), array_agg(attempt)
      INTO v_job_nos, v_job_ids, v_task_nos, v_names, v_attempts FROM s;
    IF v_job_nos IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO norn.task_work (job_no, task_no, stage)
    SELECT a.job_no, a.task_no, 'running' FROM unnest(v_job_nos, v_task_nos) AS a(job_no, task_no) ORDER BY 1, 2
        ON CONFLICT (job_no, task_no) DO UPDATE SET stage = 'running';
    PERFORM norn.party_task_start(v_job_ids, v_names, v_attempts, NULL, NULL);
    SELECT array_agg(DISTINCT job_no) INTO v_away FROM norn.job_party WHERE job_no = ANY (v_mine) AND NOT local;
    IF v_away IS NULL THEN
        RETURN;
    END IF;
    WITH a AS MATERIALIZED (
        SELECT a.*, p.party_no, p.role, p.party_id
          FROM unnest(v_job_nos, v_job_ids, v_task_nos, v_names, v_attempts)
               AS a(job_no, job_id, task_no, task_name, attempt)
         CROSS JOIN LATERAL (SELECT t.parties FROM norn.task t
                              WHERE t.job_no = a.job_no AND t.task_no = a.task_no OFFSET 0) t
         CROSS JOIN LATERAL (SELECT p.party_no, p.role, p.party_id FROM norn.job_party p
                              WHERE p.job_no = a.job_no AND p.party_no = ANY (t.parties) AND NOT p.local OFFSET 0) p
         WHERE a.job_no = ANY (v_away)),
    waited_for AS (
        INSERT INTO norn.task_party (job_no, task_no, attempt, party_no)
        SELECT job_no, task_no, attempt, party_no FROM a)
    INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, job_no, party_no, command, body)
    SELECT a.party_id, j.scheduler_party_id, a.job_id, a.job_no, a.party_no, 'task_start',
           json_build_object('job_id', a.job_id, 'role', a.role, 'party_id', a.party_id,
                             'task_id', a.job_id || '_' || a.task_name, 'task_version', a.attempt,
                             'task_name', a.task_name)
      FROM a CROSS JOIN LATERAL (SELECT j.scheduler_party_id FROM norn.job j WHERE j.job_no = a.job_no OFFSET 0) j;
END $$;

-- Attempts that are over. p_retry_at_ms not null: the task waits for a new attempt. p_child_*: tasks that have so many
-- parents less to wait for and do not start in the same plan; at zero they are ready.
CREATE FUNCTION norn.sched_end_tasks(p_job_nos bigint[], p_task_nos integer[], p_attempts integer[],
        p_statuses text[], p_reasons text[], p_party_nos smallint[], p_progress integer[], p_retry_at_ms bigint[],
        p_retries_left integer[], p_rescues integer[], p_child_job_nos bigint[], p_child_nos integer[],
        p_child_parents integer[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_mine bigint[] := norn.mine_of(p_job_nos);
    v_job_nos bigint[];
    v_job_ids text[];
    v_task_nos integer[];
    v_names text[];
    v_attempts integer[];
    v_statuses text[];
    v_progress integer[];
    v_over boolean[];
BEGIN
    WITH ended AS (
        UPDATE norn.task t SET
               status = CASE WHEN a.retry_at_ms IS NULL THEN a.status ELSE 'waiting' END,
               attempt = CASE WHEN a.retry_at_ms IS NULL THEN t.attempt ELSE t.attempt + 1 END,
               retry_at = to_timestamp(a.retry_at_ms / 1000.0), retries_left = a.retries_left, rescues = a.rescues,
               end_at = CASE WHEN a.retry_at_ms IS NULL THEN now() END
          FROM unnest(p_job_nos, p_task_nos, p_attempts, p_statuses, p_reasons, p_party_nos, p_progress,
                      p_retry_at_ms, p_retries_left, p_rescues)
               AS a(job_no, task_no, attempt, status, reason, party_no, progress, retry_at_ms, retries_left, rescues)
         WHERE t.job_no = ANY (ARRAY[a.job_no]) AND t.task_no = a.task_no AND t.attempt = a.attempt
           AND a.job_no = ANY (v_mine)
        RETURNING t.job_no, t.task_no, t.task_name, a.attempt, a.status, a.reason, a.party_no, a.progress,
                  a.retry_at_ms IS NULL AS over),
    e AS MATERIALIZED (
        SELECT j.job_id, t.* FROM ended t
         CROSS JOIN LATERAL (SELECT j.job_id FROM norn.job j WHERE j.job_no = t.job_no OFFSET 0) j),
    said AS (
        INSERT INTO norn.event (job_id, object, task_name, role, party_id, attempt, from_status, to_status, reason,
                                detail, actor)
        SELECT e.job_id, 'task', e.task_name, p.role, p.party_id, e.attempt, 'running', e.status, e.reason,
               left(p.error, 1000), 'scheduler'
          FROM e
          LEFT JOIN LATERAL (
               SELECT p.role, p.party_id, r.error
                 FROM norn.job_party p
                 LEFT JOIN norn.task_reports(e.job_no, e.job_id, e.task_no, e.task_name, e.attempt) r USING (party_no)
                WHERE p.job_no = e.job_no AND p.party_no = e.party_no OFFSET 0) p ON e.party_no IS NOT NULL)
    SELECT array_agg(job_no), array_agg(job_id), array_agg(task_no), array_agg(task_name), array_agg(attempt),
           array_agg(status), array_agg(progress), array_agg(over)
      INTO v_job_nos, v_job_ids, v_task_nos, v_names, v_attempts, v_statuses, v_progress, v_over FROM e;
    IF v_job_nos IS NULL THEN
        RETURN;
    END IF;
    PERFORM norn.party_task_finish(v_job_ids, v_names, v_attempts, NULL, NULL, v_statuses, v_progress);
    -- In the order in which a batch of reports takes these rows. What is reported meanwhile is of an attempt that is over.
    WITH l AS MATERIALIZED (
        SELECT x.job_no, x.task_no, a.over
          FROM (SELECT * FROM unnest(v_job_nos, v_task_nos, v_over) AS u(job_no, task_no, over) ORDER BY 1, 2 OFFSET 0) a
         CROSS JOIN LATERAL (SELECT w.job_no, w.task_no FROM norn.task_work w
                              WHERE w.job_no = a.job_no AND w.task_no = a.task_no FOR UPDATE OFFSET 0) x)
    DELETE FROM norn.task_work w USING l WHERE l.over AND w.job_no = ANY (ARRAY[l.job_no]) AND w.task_no = l.task_no;
    IF false = ANY (v_over) THEN
        INSERT INTO norn.task_work (job_no, task_no)
        SELECT a.job_no, a.task_no FROM unnest(v_job_nos, v_task_nos, v_over) AS a(job_no, task_no, over)
         WHERE NOT a.over ORDER BY 1, 2
            ON CONFLICT (job_no, task_no) DO UPDATE SET stage = 'ready';
    END IF;
    IF cardinality(p_child_nos) > 0 THEN
        WITH less AS (
            UPDATE norn.task t SET deps_left = t.deps_left - a.parents
              FROM unnest(p_child_job_nos, p_child_nos, p_child_parents) AS a(job_no, task_no, parents)
             WHERE t.job_no = ANY (ARRAY[a.job_no]) AND t.task_no = a.task_no AND a.job_no = ANY (v_mine)
            RETURNING t.job_no, t.task_no, t.deps_left)
        INSERT INTO norn.task_work (job_no, task_no) SELECT job_no, task_no FROM less WHERE deps_left = 0 ORDER BY 1, 2
            ON CONFLICT (job_no, task_no) DO UPDATE SET mark = nextval('norn.mark_seq');
    END IF;
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

-- Reports that have been looked at and have ended nothing yet: the task runs on with its other parties, or is over.
-- Locked in the order in which a batch of reports takes them.
CREATE FUNCTION norn.sched_done_marks(p_job_nos bigint[], p_task_nos integer[], p_marks bigint[], p_running boolean[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_mine bigint[] := norn.mine_of(p_job_nos);
BEGIN
    WITH l AS MATERIALIZED (
        SELECT x.job_no, x.task_no, u.running
          FROM (SELECT * FROM unnest(p_job_nos, p_task_nos, p_marks, p_running) AS u(job_no, task_no, mark, running)
                 WHERE u.job_no = ANY (v_mine) ORDER BY 1, 2) u
         CROSS JOIN LATERAL (SELECT w.job_no, w.task_no FROM norn.task_work w
                              WHERE w.job_no = u.job_no AND w.task_no = u.task_no AND w.mark = u.mark
                                FOR UPDATE OFFSET 0) x),
    gone AS (
        DELETE FROM norn.task_work w USING l
         WHERE NOT l.running AND w.job_no = ANY (ARRAY[l.job_no]) AND w.task_no = l.task_no)
    UPDATE norn.task_work w SET stage = 'running' FROM l
     WHERE l.running AND w.job_no = ANY (ARRAY[l.job_no]) AND w.task_no = l.task_no;
END $$;

-- Jobs that have ended (their row says how): the reason in words, and every party is told.
CREATE FUNCTION norn.sched_end_jobs(p_job_nos bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_mine bigint[] := norn.mine_of(p_job_nos);
    v_away bigint[];
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
                SELECT json_build_object('task_name', t.task_name, 'attempt', t.attempt, 'role', p.role,
                           'party_id', p.party_id, 'status', x.status, 'exit_code', x.exit_code, 'signal', x.signal,
                           'error', x.error, 'stderr_tail', x.stderr_tail, 'node_lost', x.node_lost)
                  FROM norn.task t
                 CROSS JOIN LATERAL norn.task_reports(n.job_no, n.job_id, t.task_no, t.task_name, t.attempt) x
                  JOIN norn.job_party p ON p.job_no = n.job_no AND p.party_no = x.party_no
                 WHERE t.job_no = n.job_no AND t.status NOT IN ('waiting', 'success', 'pass')
                   AND x.status IN ('failed', 'timeout') AND x.start_at IS NOT NULL -- one that never ran failed of nothing
                 ORDER BY x.end_at, x.party_no LIMIT 1) AS failure
              FROM norn.job n WHERE n.job_no = ANY (v_mine) AND n.status <> 'success') f
     WHERE j.job_no = f.job_no;
    PERFORM norn.parties_finish(array_agg(p.party_job_no), array_agg(j.status), array_agg(j.progress),
                                array_agg(j.reason_code), array_agg(j.reason), array_agg(j.first_failure))
       FROM norn.job j JOIN norn.party_job p USING (job_no)
      WHERE j.job_no = ANY (v_mine)
     HAVING count(*) > 0;
    DELETE FROM norn.task_work WHERE job_no = ANY (v_mine);
    SELECT array_agg(DISTINCT job_no) INTO v_away FROM norn.job_party WHERE job_no = ANY (v_mine) AND NOT local;
    IF v_away IS NULL THEN
        RETURN;
    END IF;
    -- Creation that has not been delivered yet is not needed any more.
    DELETE FROM norn.outbox o USING norn.job j
     WHERE j.job_no = ANY (v_away) AND o.job_id = j.job_id AND o.job_no = j.job_no
       AND o.command IN ('job_create', 'job_reserve') AND o.tries = 0;
    -- One that may have arrived is sent until it is answered: only behind the answer is the end heard.
    UPDATE norn.outbox o SET give_up_at = NULL FROM norn.job j
     WHERE j.job_no = ANY (v_away) AND o.job_id = j.job_id AND o.job_no = j.job_no
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
     WHERE j.job_no = ANY (v_away) AND NOT p.local;
END $$;

-- The end of a cycle: gives leases back, due at once when something happened meanwhile or this site has answered a
-- reservation (p_blocked says that the job waits for one), and takes ended jobs out of the queue. Only here does a
-- scheduler lock rows of job_work, in the order of their numbers, as whoever locks several does. Returns the jobs that
-- are due again.
CREATE FUNCTION norn.sched_leave(p_job_nos bigint[], p_lease_nos bigint[], p_pokes bigint[], p_due_ms bigint[],
        p_blocked boolean[]) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    v_ended bigint[];
    v_blocked bigint[];
BEGIN
    SELECT array_agg(l.job_no) INTO v_blocked
      FROM (SELECT w.job_no, w.blocked
              FROM (SELECT * FROM unnest(p_job_nos, p_lease_nos) AS a(job_no, lease_no) ORDER BY 1 OFFSET 0) a
             CROSS JOIN LATERAL (SELECT w.job_no, w.blocked FROM norn.job_work w
                                  WHERE w.job_no = a.job_no AND w.lease_no = a.lease_no FOR UPDATE OFFSET 0) w) l
     WHERE l.blocked;
    SELECT array_agg(j.job_no) INTO v_ended FROM norn.job j
     WHERE j.job_no = ANY (p_job_nos) AND norn.is_end(j.status) AND j.xmin = pg_current_xact_id()::xid;
    IF v_ended IS NOT NULL THEN
        DELETE FROM norn.job_work WHERE job_no = ANY (v_ended);
        DELETE FROM norn.task_work WHERE job_no = ANY (v_ended); -- of reports that came just now
    END IF;
    IF v_blocked IS NOT NULL THEN
        -- One that waits no longer, since it was suspended or has ended, may have held up others.
        INSERT INTO norn.resource_freed (party_id, brief)
        SELECT j.scheduler_party_id, true
          FROM unnest(p_job_nos, p_blocked) AS u(job_no, blocked) JOIN norn.job j USING (job_no)
         WHERE u.job_no = ANY (v_blocked) AND NOT u.blocked AND (j.suspended OR norn.is_end(j.status)) LIMIT 1;
    END IF;
    RETURN QUERY
        WITH left_now AS (
            UPDATE norn.job_work w
               SET lease_until = NULL, node_id = NULL,
                   blocked = u.blocked AND NOT EXISTS (
                             SELECT 1 FROM norn.job_party p
                              WHERE p.job_no = w.job_no AND p.reserve_state IN ('granted', 'asked')),
                   due_at = CASE WHEN w.poke <> u.poke OR (u.blocked AND (
                                          SELECT bool_or(p.reserve_state IN ('granted', 'refused', 'never'))
                                                 AND NOT bool_or(p.reserve_state = 'asked')
                                            FROM norn.job_party p WHERE p.job_no = w.job_no)) THEN norn.due_now(w.prio)
                                 ELSE COALESCE(to_timestamp(u.due_ms / 1000.0), now() + interval '30 seconds') END
              FROM unnest(p_job_nos, p_lease_nos, p_pokes, p_due_ms, p_blocked)
                   AS u(job_no, lease_no, poke, due_ms, blocked)
             WHERE w.job_no = u.job_no AND w.lease_no = u.lease_no
            RETURNING w.job_no, w.due_at)
        SELECT l.job_no FROM left_now l WHERE l.due_at <= now();
END $$;
