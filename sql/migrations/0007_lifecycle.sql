-- What becomes of jobs after their end: clean-up and retention, tasks taken over by a later job, and where the time
-- went.

-- ------------------------------------------------------------------ chores
-- What a site does now and then, once for all its nodes: whoever finds the row due takes it.
CREATE TABLE norn.chore (
    name            text PRIMARY KEY,
    due_at          timestamptz NOT NULL DEFAULT now(),
    node_id         text
);
INSERT INTO norn.chore (name) VALUES ('retention');

-- ------------------------------------------------------------------ files
-- Directories whose rows are gone and which are to be removed; a row goes when its directory has gone, so that a node
-- that dies in between leaves nothing behind. model: one file, or the directory of an import that is not over, by its path
-- below the data directory. Nothing is removed before added_at.
CREATE TABLE norn.gc_dir (
    root            text NOT NULL CHECK (root IN ('work', 'logs', 'tables', 'model')),
    name            text NOT NULL,
    added_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (root, name)
);

-- Only the front is indexed: a component chooses how long its URIs are.
CREATE INDEX data_table_uri ON norn.data_table (left(uri, 500) text_pattern_ops);
CREATE INDEX output_data_uri ON norn.output_data (left(uri, 500) text_pattern_ops);

-- Whether a row still points below the directory p_prefix (a URI that ends in '/'), those of the job p_but aside. What
-- is unresolved is found by its name, not by its URI.
CREATE FUNCTION norn.uri_used(p_prefix text, p_but text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT length(p_prefix) > 400
        OR EXISTS (SELECT 1 FROM norn.output_data o
                    WHERE left(o.uri, 500) ~>=~ p_prefix AND left(o.uri, 500) ~<~ (left(p_prefix, -1) || '0')
                      AND o.type_name <> 'data_unresolved' AND (p_but IS NULL OR o.job_id <> p_but))
        OR EXISTS (SELECT 1 FROM norn.data_table d
                    WHERE left(d.uri, 500) ~>=~ p_prefix AND left(d.uri, 500) ~<~ (left(p_prefix, -1) || '0')
                      AND (p_but IS NULL OR NOT EXISTS (
                           SELECT 1 FROM norn.output_data o WHERE o.job_id = p_but AND o.namespace = d.namespace
                              AND o.name = d.name AND o.namespace = o.job_id || '_' || o.task_name))) $$;

-- ------------------------------------------------------------------ retention
-- The oldest jobs that ended longer than p_keep ago. In the order in which they came, so that no more is read than
-- given back; one with messages still to be delivered is not over.
CREATE OR REPLACE FUNCTION norn.gc_candidates(p_keep interval, p_limit integer)
RETURNS TABLE (job_id text, end_at timestamptz) LANGUAGE sql STABLE AS $$
    WITH old AS (
        (SELECT p.job_id, p.end_at FROM norn.party_job p
          WHERE p.create_at < now() - p_keep AND p.end_at < now() - p_keep
            AND NOT EXISTS (SELECT 1 FROM norn.party_job o WHERE o.job_id = p.job_id
                               AND (o.end_at IS NULL OR o.end_at >= now() - p_keep))
            AND NOT EXISTS (SELECT 1 FROM norn.job j WHERE j.job_id = p.job_id
                               AND (j.end_at IS NULL OR j.end_at >= now() - p_keep))
            AND NOT EXISTS (SELECT 1 FROM norn.outbox b WHERE b.job_id = p.job_id)
          ORDER BY p.create_at LIMIT p_limit)
        UNION ALL
        (SELECT j.job_id, j.end_at FROM norn.job j
          WHERE j.submitted_at < now() - p_keep AND j.end_at < now() - p_keep
            AND NOT EXISTS (SELECT 1 FROM norn.party_job o WHERE o.job_id = j.job_id
                               AND (o.end_at IS NULL OR o.end_at >= now() - p_keep))
            AND NOT EXISTS (SELECT 1 FROM norn.outbox b WHERE b.job_id = j.job_id)
          ORDER BY j.submitted_at LIMIT p_limit))
    SELECT o.job_id, max(o.end_at) FROM old o GROUP BY 1 ORDER BY 2, 1 LIMIT p_limit $$;

-- The directories of jobs whose rows go, and those of jobs they took tasks over from. p_data_uri: file URI of the data
-- directory, with '/'.
CREATE FUNCTION norn.gc_dirs_add(p_job_ids text[], p_data_uri text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO norn.gc_dir (root, name)
    SELECT r.root, i.id FROM unnest(p_job_ids) AS i(id), unnest(ARRAY['work', 'logs', 'tables']) AS r(root)
    UNION
    SELECT split_part(substr(o.uri, length(p_data_uri) + 1), '/', 1),
           split_part(substr(o.uri, length(p_data_uri) + 1), '/', 2)
      FROM norn.output_data o
     WHERE o.job_id = ANY (p_job_ids) AND o.type_name <> 'data_unresolved'
       AND (starts_with(o.uri, p_data_uri || 'tables/') OR starts_with(o.uri, p_data_uri || 'work/'))
    ON CONFLICT DO NOTHING $$;

-- Rows of ended jobs go, and their directories are marked.
CREATE FUNCTION norn.gc_jobs(p_job_ids text[], p_data_uri text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    v_ids text[];
BEGIN
    -- Until the end of this transaction nobody takes anything over from these jobs.
    PERFORM 1 FROM norn.party_job WHERE job_id = ANY (p_job_ids) ORDER BY party_job_no FOR UPDATE;
    SELECT array_agg(c.job_id) INTO v_ids FROM unnest(p_job_ids) AS c(job_id)
     WHERE NOT EXISTS (SELECT 1 FROM norn.job j WHERE j.job_id = c.job_id AND j.end_at IS NULL)
       AND NOT EXISTS (SELECT 1 FROM norn.party_job p WHERE p.job_id = c.job_id AND p.end_at IS NULL)
       AND NOT EXISTS (SELECT 1 FROM norn.outbox o WHERE o.job_id = c.job_id);
    IF v_ids IS NULL THEN
        RETURN;
    END IF;
    PERFORM norn.gc_dirs_add(v_ids, p_data_uri);
    RETURN QUERY SELECT * FROM norn.gc_delete(v_ids);
END $$;

-- Drops old partitions of the history. To drop one is to lock the history: better later than that everybody waits.
CREATE FUNCTION norn.events_drop(p_keep interval, p_dry boolean) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('lock_timeout', '500ms', true);
    BEGIN
        RETURN QUERY SELECT * FROM norn.event_partitions_drop(p_keep, p_dry);
    EXCEPTION WHEN lock_not_available THEN
        RAISE NOTICE 'the history is in use: no partition was dropped';
    END;
END $$;

-- A job goes from this site with all that its parties here have made of it: outputs, metrics and models. Files are
-- marked. True when there was such a job.
CREATE FUNCTION norn.job_clean(p_job_id text, p_data_uri text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_status text;
    v_paths text[];
BEGIN
    PERFORM 1 FROM norn.party_job WHERE job_id = p_job_id ORDER BY party_job_no FOR UPDATE;
    SELECT x.status INTO v_status FROM (
        SELECT status FROM norn.job WHERE job_id = p_job_id
        UNION ALL SELECT status FROM norn.party_job WHERE job_id = p_job_id) x
     ORDER BY norn.is_end(x.status) LIMIT 1;
    IF v_status IS NULL THEN
        RETURN false;
    END IF;
    IF NOT norn.is_end(v_status) THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000',
            MESSAGE = format('1004:Kill job failed: job %s is still %s', p_job_id, v_status);
    END IF;
    PERFORM norn.gc_dirs_add(ARRAY[p_job_id], p_data_uri);
    SELECT array_agg(DISTINCT path) INTO v_paths FROM norn.model WHERE job_id = p_job_id;
    DELETE FROM norn.model WHERE job_id = p_job_id;
    DELETE FROM norn.data_table t USING norn.output_data o
     WHERE o.job_id = p_job_id AND t.namespace = o.namespace AND t.name = o.name
       AND t.namespace = o.job_id || '_' || o.task_name;
    PERFORM norn.job_rows_delete(ARRAY[p_job_id]);
    INSERT INTO norn.gc_dir (root, name)
    SELECT 'model', v.path FROM unnest(v_paths) AS v(path)
     WHERE NOT EXISTS (SELECT 1 FROM norn.model m WHERE m.path = v.path)
       AND NOT EXISTS (SELECT 1 FROM norn.output_data o WHERE left(o.uri, 500) = left(p_data_uri || v.path, 500))
    ON CONFLICT DO NOTHING;
    RETURN true;
END $$;

-- ------------------------------------------------------------------ tasks taken over from an earlier job
-- p: a party's part of a job as norn.party_job_create takes it, with inherit {job_id, task_list}: those of the tasks
-- that this party has are not run; what the same party has kept of them becomes this job's.
CREATE FUNCTION norn.party_inherit(p json) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_old text := p #>> '{inherit,job_id}';
    v_role text := p->>'role';
    v_party text := p->>'party_id';
    v_job text := p->>'job_id';
    v_model_id text;
    v_model_version text;
    v_old_model text;
    v_had text;
    t record;
    o norn.party_task;
BEGIN
    SELECT model_id, model_version INTO v_model_id, v_model_version FROM norn.party_job
     WHERE job_id = v_job AND role = v_role AND party_id = v_party;
    FOR t IN SELECT n.run_no, n.task_name, n.component FROM norn.party_task n
              WHERE n.job_id = v_job AND n.role = v_role AND n.party_id = v_party AND n.attempt = 0
                AND n.task_name IN (SELECT json_array_elements_text(p #> '{inherit,task_list}'))
              ORDER BY n.task_no LOOP
        SELECT model_id INTO v_old_model FROM norn.party_job
         WHERE job_id = v_old AND role = v_role AND party_id = v_party FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'NR000', MESSAGE = format(
                '1007:Inheritance job failed: job_id[%s],detail[no found job %s]', v_old, v_old);
        END IF;
        SELECT * INTO o FROM norn.party_task x
         WHERE x.job_id = v_old AND x.task_name = t.task_name AND x.role = v_role AND x.party_id = v_party
           AND x.party_status = 'success' AND x.status IN ('success', 'pass', 'running')
         ORDER BY x.attempt DESC LIMIT 1;
        IF NOT FOUND THEN
            SELECT x.status INTO v_had FROM norn.party_task x
             WHERE x.job_id = v_old AND x.task_name = t.task_name AND x.role = v_role AND x.party_id = v_party
             ORDER BY x.attempt DESC LIMIT 1;
            RAISE EXCEPTION USING ERRCODE = 'NR000', MESSAGE = CASE WHEN v_had IS NULL THEN format(
                '1007:Inheritance job failed: job_id[%s],task_name[%s],detail[no found task name]', v_old, t.task_name)
                ELSE format('1007:Inheritance job failed: job_id[%s],task_name[%s],task_status[%s],'
                            'detail[task status need in [success, pass]]', v_old, t.task_name, v_had) END;
        END IF;
        IF o.component <> t.component THEN
            RAISE EXCEPTION USING ERRCODE = 'NR000', MESSAGE = format(
                '1007:Inheritance job failed: job_id[%s],task_name[%s],detail[it was a task of component %s there, not %s]',
                v_old, t.task_name, o.component, t.component);
        END IF;
        UPDATE norn.party_task SET status = 'success', party_status = 'success', exit_code = o.exit_code,
               user_ms = o.user_ms, sys_ms = o.sys_ms, max_rss_kb = o.max_rss_kb, start_at = o.start_at,
               end_at = o.end_at, version = version + 1, update_at = now()
         WHERE run_no = t.run_no;
        INSERT INTO norn.output_data (run_no, job_id, task_name, attempt, role, party_id, output_key, output_index,
                namespace, name, uri, type_name, metadata)
        SELECT t.run_no, v_job, t.task_name, 0, v_role, v_party, d.output_key, d.output_index,
               CASE WHEN d.namespace = v_old || '_' || t.task_name THEN v_job || '_' || t.task_name
                    WHEN d.namespace = v_old_model AND d.name = t.task_name THEN v_model_id
                    ELSE d.namespace END,
               d.name, d.uri, d.type_name, d.metadata
          FROM norn.output_data d WHERE d.run_no = o.run_no;
        INSERT INTO norn.data_table (namespace, name, uri, data_type, engine, partitions, row_count, schema, samples,
                source)
        SELECT v_job || '_' || t.task_name, d.name, d.uri, d.data_type, d.engine, d.partitions, d.row_count, d.schema,
               d.samples, d.source
          FROM norn.output_data x JOIN norn.data_table d USING (namespace, name)
         WHERE x.run_no = o.run_no AND d.namespace = v_old || '_' || t.task_name
            ON CONFLICT DO NOTHING;
        INSERT INTO norn.model (model_id, model_version, role, party_id, task_name, output_key, output_index, job_id,
                attempt, component, type_name, path, sha256, size_bytes, metadata)
        SELECT v_model_id, v_model_version, v_role, v_party, t.task_name, m.output_key, m.output_index, v_job, 0,
               m.component, m.type_name, m.path, m.sha256, m.size_bytes, m.metadata
          FROM norn.model m
         WHERE m.job_id = v_old AND m.task_name = t.task_name AND m.role = v_role AND m.party_id = v_party
           AND m.attempt = o.attempt
            ON CONFLICT DO NOTHING;
        INSERT INTO norn.metric (run_no, name, type, groups, step_axis, data, create_at)
        SELECT t.run_no, m.name, m.type, m.groups, m.step_axis, m.data, m.create_at
          FROM norn.metric m WHERE m.run_no = o.run_no ORDER BY m.metric_no;
        INSERT INTO norn.event (job_id, object, task_name, role, party_id, attempt, from_status, to_status, reason,
                detail, actor)
        VALUES (v_job, 'run', t.task_name, v_role, v_party, 0, 'waiting', 'success', 'inherited',
                format('attempt %s of job %s', o.attempt, v_old), 'party ' || v_party);
    END LOOP;
END $$;

CREATE FUNCTION norn.party_job_create_inherit(p json) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT norn.party_job_create(p) THEN
        RETURN false;
    END IF;
    PERFORM norn.party_inherit(p);
    RETURN true;
END $$;

-- After norn.job_submit in its transaction: the named tasks of {job_id, task_list} count as success from the start. A job
-- that the same idempotency key has found has had them before.
CREATE FUNCTION norn.job_inherit(p_job_id text, p_inherit json) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_old text := p_inherit->>'job_id';
    v_no bigint;
    v_tasks integer[];
    v_bad text;
BEGIN
    SELECT job_no INTO v_no FROM norn.job WHERE job_id = p_job_id AND xmin = pg_current_xact_id()::xid;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT array_agg(task_no) INTO v_tasks FROM norn.task
     WHERE job_no = v_no AND task_name IN (SELECT json_array_elements_text(p_inherit->'task_list'));
    -- Where this site has scheduled the earlier job too, it knows how the tasks ended for all parties.
    SELECT format('task_name[%s],task_status[%s]', t.task_name, t.status) INTO v_bad
      FROM norn.job j JOIN norn.task t USING (job_no)
     WHERE j.job_id = v_old AND t.status NOT IN ('success', 'pass')
       AND t.task_name IN (SELECT json_array_elements_text(p_inherit->'task_list'))
     ORDER BY t.task_no LIMIT 1;
    IF v_bad IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000', MESSAGE = format(
            '1007:Inheritance job failed: job_id[%s],%s,detail[task status need in [success, pass]]', v_old, v_bad);
    END IF;
    PERFORM norn.party_inherit(json_build_object('job_id', p_job_id, 'role', x.role, 'party_id', x.party_id,
                                                 'inherit', p_inherit))
       FROM (SELECT role, party_id FROM norn.job_party WHERE job_no = v_no AND local ORDER BY party_no) x;
    UPDATE norn.task SET status = 'success', end_at = now() WHERE job_no = v_no AND task_no = ANY (v_tasks);
    INSERT INTO norn.task_party (job_no, task_no, attempt, party_no, status, final, end_at)
    SELECT v_no, t.task_no, 0, x.party_no, 'success', true, now()
      FROM norn.task t, unnest(t.parties) AS x(party_no) JOIN norn.job_party p ON p.job_no = v_no AND p.party_no = x.party_no
     WHERE t.job_no = v_no AND t.task_no = ANY (v_tasks) AND NOT p.local;
    UPDATE norn.task t SET deps_left = t.deps_left - e.n
      FROM (SELECT child_no, count(*)::integer AS n FROM norn.task_edge
             WHERE job_no = v_no AND parent_no = ANY (v_tasks) GROUP BY 1) e
     WHERE t.job_no = v_no AND t.task_no = e.child_no;
    DELETE FROM norn.task_work WHERE job_no = v_no AND task_no = ANY (v_tasks);
    INSERT INTO norn.task_work (job_no, task_no)
    SELECT v_no, task_no FROM norn.task WHERE job_no = v_no AND deps_left = 0 AND status = 'waiting'
        ON CONFLICT DO NOTHING;
    UPDATE norn.job SET n_success = cardinality(v_tasks) WHERE job_no = v_no;
    INSERT INTO norn.event (job_id, object, task_name, attempt, from_status, to_status, reason, detail, actor)
    SELECT p_job_id, 'task', task_name, 0, 'waiting', 'success', 'inherited', 'from job ' || v_old, 'scheduler'
      FROM norn.task WHERE job_no = v_no AND task_no = ANY (v_tasks) ORDER BY task_no;
END $$;

-- ------------------------------------------------------------------ where the time goes
CREATE FUNCTION norn.span_ms(p_from timestamptz, p_to timestamptz) RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT CASE WHEN p_from IS NOT NULL AND p_to IS NOT NULL THEN GREATEST(0, norn.ms(p_to) - norn.ms(p_from)) END $$;

-- A row a run, in ms; null where this site cannot know.
--   queued    from when the task could have run (its parents, its earlier attempt, the submission) to the decision
--   sent      to the claim by an executor; of a party elsewhere, until its word of the start came, but no longer
--             than the task took beside its run there (that word may come together with the one of the end)
--   ran       from the claim to the end of the process; of a party elsewhere, by its own clock
--   reported  from the end, or the word of it, to the scheduler's decision about the task
-- It reads the rows of one job and no others. With the owner's rights: norn_read may read the view below.
CREATE FUNCTION norn.job_timing(p_job_id text)
RETURNS TABLE (task_no integer, task_name text, attempt integer, role text, party_id text, status text,
               queued_ms bigint, sent_ms bigint, ran_ms bigint, reported_ms bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog SET enable_hashjoin = on SET enable_seqscan = on AS $$
#variable_conflict use_column
DECLARE
    v_no bigint;
    v_since timestamptz;
BEGIN
    SELECT j.job_no, j.submitted_at INTO v_no, v_since FROM norn.job j WHERE j.job_id = p_job_id;
    RETURN QUERY
    WITH ev AS MATERIALIZED (
        SELECT v.at, v.object, v.task_name, v.role, v.party_id, v.attempt, v.to_status, v.reason
          FROM norn.event v WHERE v.job_id = p_job_id AND v_no IS NOT NULL),
    again AS MATERIALIZED (
        SELECT e.at FROM ev e WHERE e.object = 'job' AND e.reason = 'rerun' AND e.role IS NULL),
    step AS MATERIALIZED (
        SELECT e.task_name, e.attempt, min(e.at) FILTER (WHERE e.to_status = 'running') AS started_at,
               max(e.at) FILTER (WHERE norn.is_end(e.to_status)) AS ended_at
          FROM ev e WHERE e.object = 'task' AND e.reason <> 'inherited' GROUP BY 1, 2),
    parents AS (
        SELECT g.child_no, max(p.end_at) AS at
          FROM norn.task_edge g JOIN norn.task p ON p.job_no = g.job_no AND p.task_no = g.parent_no
         WHERE g.job_no = v_no GROUP BY 1),
    ready AS MATERIALIZED (
        SELECT t.task_no, s.task_name, s.attempt, s.started_at, s.ended_at,
               GREATEST(v_since, CASE WHEN a.at <= s.started_at THEN a.at END, b.ended_at,
                        (SELECT max(x.at) FROM again x WHERE x.at <= s.started_at))
                   AS ready_at
          FROM step s JOIN norn.task t ON t.job_no = v_no AND t.task_name = s.task_name
          LEFT JOIN parents a ON a.child_no = t.task_no
          LEFT JOIN step b ON b.task_name = s.task_name AND b.attempt = s.attempt - 1),
    heard AS (
        SELECT e.task_name, e.attempt, e.role, e.party_id, min(e.at) AS at
          FROM ev e WHERE e.object = 'run' AND e.reason = 'reported' AND e.to_status = 'running' GROUP BY 1, 2, 3, 4)
    SELECT x.* FROM (
        SELECT t.task_no, t.task_name, t.attempt, t.role, t.party_id, t.party_status::text,
               norn.span_ms(r.ready_at, r.started_at), norn.span_ms(r.started_at, t.start_at),
               CASE WHEN t.end_at >= t.create_at THEN norn.span_ms(t.start_at, t.end_at) END,
               CASE WHEN t.start_at IS NOT NULL THEN norn.span_ms(t.end_at, r.ended_at) END
          FROM norn.party_task t LEFT JOIN ready r ON r.task_name = t.task_name AND r.attempt = t.attempt
         WHERE t.job_id = p_job_id
        UNION ALL
        SELECT t.task_no, t.task_name, y.attempt, p.role, p.party_id, y.status::text,
               norn.span_ms(r.ready_at, r.started_at),
               LEAST(norn.span_ms(r.started_at, h.at),
                     GREATEST(0, norn.span_ms(r.started_at, r.ended_at) - norn.span_ms(y.start_at, y.end_at))),
               norn.span_ms(y.start_at, y.end_at), norn.span_ms(y.end_at, r.ended_at)
          FROM norn.task_party y JOIN norn.task t USING (job_no, task_no)
          JOIN norn.job_party p ON p.job_no = y.job_no AND p.party_no = y.party_no AND NOT p.local
          LEFT JOIN ready r ON r.task_no = y.task_no AND r.attempt = y.attempt
          LEFT JOIN heard h ON h.task_name = t.task_name AND h.attempt = y.attempt AND h.role = p.role
               AND h.party_id = p.party_id
         WHERE y.job_no = v_no) x
     ORDER BY 1, 3, 4, 5;
END $$;

DROP VIEW norn.timing_view;
CREATE VIEW norn.timing_view AS
SELECT d.job_id, t.task_name, t.attempt, t.role, t.party_id, t.queued_ms, t.sent_ms, t.ran_ms, t.reported_ms
  FROM norn.job_dag d CROSS JOIN LATERAL norn.job_timing(d.job_id) t;

DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'norn_read') THEN
        GRANT SELECT ON norn.timing_view TO norn_read;
    END IF;
END $$;
