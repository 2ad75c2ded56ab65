-- Copies of one job, many times over, straight into the tables: what years of use leave behind. The template is a
-- real job, so that the copies have every column as the server writes it.

-- clone_rows(table, key column, key of the template, how many, column -> expression): in an expression, t is the row of
-- the template and g the number of the copy.
CREATE FUNCTION pg_temp.clone_rows(p_table text, p_key text, p_value text, p_from bigint, p_to bigint, p_set jsonb)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_columns text;
    v_values text;
    v_n bigint;
BEGIN
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
           string_agg(COALESCE(p_set ->> a.attname, 't.' || quote_ident(a.attname)), ', ' ORDER BY a.attnum)
      INTO v_columns, v_values
      FROM pg_attribute a
     WHERE a.attrelid = ('norn.' || p_table)::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
    EXECUTE format('INSERT INTO norn.%I (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM norn.%I t, generate_series(%s, %s) AS g '
                   'WHERE t.%I = %L', p_table, v_columns, v_values, p_table, p_from, p_to, p_key, p_value);
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END $$;

-- clone_job(job id, from, to): every table of a job of one task at one party.
CREATE FUNCTION pg_temp.clone_job(p_job_id text, p_from bigint, p_to bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    -- far from the numbers that the sequences give
    c_no constant text := '(1000000000 + 10000000 * abs(hashtext(''%s'')::bigint % 100) + g)';
    v_no text := replace(c_no, '%s', p_job_id);
    v_id text := format('(%L || g)', p_job_id || 'x');
    v_job_no text;
    v_party_no text;
    v_run text;
BEGIN
    SELECT job_no::text INTO STRICT v_job_no FROM norn.job WHERE job_id = p_job_id;
    SELECT party_job_no::text INTO STRICT v_party_no FROM norn.party_job WHERE job_id = p_job_id;
    SELECT run_no::text INTO STRICT v_run FROM norn.party_task WHERE job_id = p_job_id;
    PERFORM pg_temp.clone_rows('job_dag', 'job_id', p_job_id, p_from, p_to, jsonb_build_object('job_id', v_id));
    PERFORM pg_temp.clone_rows('job', 'job_no', v_job_no, p_from, p_to, jsonb_build_object(
        'job_no', v_no, 'job_id', v_id, 'idempotency_key', 'NULL'));
    PERFORM pg_temp.clone_rows(x, 'job_no', v_job_no, p_from, p_to, jsonb_build_object('job_no', v_no))
       FROM unnest(ARRAY['job_party', 'task', 'task_edge', 'task_party', 'task_work']) AS x;
    PERFORM pg_temp.clone_rows('job_work', 'job_no', v_job_no, p_from, p_to, jsonb_build_object(
        'job_no', v_no, 'prio', '(t.prio + g)', 'due_at', '(GREATEST(t.due_at, now()) + random() * interval ''15 seconds'')'));
    PERFORM pg_temp.clone_rows('party_job', 'party_job_no', v_party_no, p_from, p_to, jsonb_build_object(
        'party_job_no', v_no, 'job_no', v_no, 'job_id', v_id));
    PERFORM pg_temp.clone_rows('party_task', 'run_no', v_run, p_from, p_to, jsonb_build_object(
        'run_no', v_no, 'party_job_no', v_no, 'job_id', v_id));
    PERFORM pg_temp.clone_rows('event', 'job_id', p_job_id, p_from, p_to, jsonb_build_object(
        'event_no', 'nextval(''norn.event_seq'')', 'job_id', v_id));
END $$;

-- Foreign keys hold by construction.
SET session_replication_role = replica;
SET synchronous_commit = off;
SELECT pg_temp.clone_job(:'job_id', :from, :to);
