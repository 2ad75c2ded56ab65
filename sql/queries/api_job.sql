-- Jobs and tasks as clients see them. A statement with a column "data" gives the answer as JSON text.

-- name: api_job_query
-- job_id, role, party_id, status, user_name; all but the first may be null
SELECT json_agg(x) AS data FROM (
    SELECT 'fate' AS protocol, '' AS flow_id, p.job_id, p.user_name, p.description, p.tag, d.dag,
           d.dag #> '{dag,parties}' AS parties, p.initiator_party_id, p.scheduler_party_id, p.status,
           NULL::integer AS status_code, CASE WHEN strpos(d.dag::text, '"inheritance"') > 0
               THEN COALESCE(d.dag #> '{dag,conf,inheritance}', '{}') ELSE '{}' END AS inheritance, p.role,
           p.party_id, p.progress, p.model_id, p.model_version, p.engine AS engine_name, p.cores,
           p.memory_mb AS memory, CASE WHEN r.party_job_no IS NULL THEN 0 ELSE p.cores END AS remaining_cores,
           CASE WHEN r.party_job_no IS NULL THEN 0 ELSE p.memory_mb END AS remaining_memory,
           r.party_job_no IS NOT NULL AS resource_in_use, norn.ms(p.apply_at) AS apply_resource_time,
           norn.ms(p.return_at) AS return_resource_time, norn.ms(p.create_at) AS create_time,
           norn.ms(p.update_at) AS update_time, norn.ms(p.start_at) AS start_time, norn.ms(p.end_at) AS end_time,
           norn.ms(p.end_at) - norn.ms(p.start_at) AS elapsed, p.reason
      FROM norn.party_job p JOIN norn.job_dag d USING (job_id)
      LEFT JOIN norn.reservation r ON r.party_job_no = p.party_job_no
     WHERE p.job_id = $1 AND ($2::text IS NULL OR p.role = $2) AND ($3::text IS NULL OR p.party_id = $3)
       AND ($4::text IS NULL OR p.status = $4) AND ($5::text IS NULL OR p.user_name = $5)
     ORDER BY p.party_job_no) x;

-- name: api_job_find
-- without a job id: role, party_id, status, user_name
SELECT array_agg(party_job_no ORDER BY party_job_no) AS nos, count(*) AS n FROM norn.party_job
 WHERE ($1::text IS NULL OR role = $1) AND ($2::text IS NULL OR party_id = $2)
   AND ($3::text IS NULL OR status = $3) AND ($4::text IS NULL OR user_name = $4);

-- name: api_job_list
-- substrings job_id, description, party_id; any of roles, statuses; user_name; limit, offset; order_by, descending
SELECT array_agg(x.party_job_no ORDER BY x.rank) AS nos,
       (SELECT count(*) FROM norn.party_job
         WHERE ($1::text IS NULL OR strpos(job_id, $1) > 0) AND ($2::text IS NULL OR strpos(description, $2) > 0)
           AND ($3::text IS NULL OR strpos(party_id, $3) > 0) AND ($4::text[] IS NULL OR role = ANY ($4))
           AND ($5::text[] IS NULL OR status = ANY ($5)) AND ($6::text IS NULL OR user_name = $6)) AS n
  FROM (SELECT party_job_no, row_number() OVER () AS rank
          FROM (SELECT party_job_no FROM norn.party_job
                 WHERE ($1::text IS NULL OR strpos(job_id, $1) > 0)
                   AND ($2::text IS NULL OR strpos(description, $2) > 0)
                   AND ($3::text IS NULL OR strpos(party_id, $3) > 0) AND ($4::text[] IS NULL OR role = ANY ($4))
                   AND ($5::text[] IS NULL OR status = ANY ($5)) AND ($6::text IS NULL OR user_name = $6)
                 ORDER BY
                       CASE WHEN $10::boolean THEN NULL ELSE CASE $9::text WHEN 'job_id' THEN job_id
                            WHEN 'role' THEN role WHEN 'party_id' THEN party_id WHEN 'status' THEN status
                            WHEN 'user_name' THEN user_name WHEN 'description' THEN description END END,
                       CASE WHEN $10 THEN CASE $9 WHEN 'job_id' THEN job_id
                            WHEN 'role' THEN role WHEN 'party_id' THEN party_id WHEN 'status' THEN status
                            WHEN 'user_name' THEN user_name WHEN 'description' THEN description END END DESC,
                       CASE WHEN $10 THEN 1 ELSE -1 END * CASE $9 WHEN 'create_time' THEN -norn.ms(create_at)
                            WHEN 'update_time' THEN -norn.ms(update_at) WHEN 'start_time' THEN -norn.ms(start_at)
                            WHEN 'end_time' THEN -norn.ms(end_at) WHEN 'progress' THEN -progress
                            WHEN 'elapsed' THEN -(norn.ms(end_at) - norn.ms(start_at)) END,
                       create_at DESC, party_job_no DESC
                 LIMIT NULLIF($7::integer, 0) OFFSET $8::bigint) page) x;

-- name: api_job_page
-- the newest jobs, in the order that the index gives
SELECT (SELECT array_agg(party_job_no ORDER BY create_at DESC, party_job_no DESC)
          FROM (SELECT party_job_no, create_at FROM norn.party_job ORDER BY create_at DESC, party_job_no DESC
                 LIMIT NULLIF($1::integer, 0) OFFSET $2::bigint) x) AS nos,
       (SELECT count(*) FROM norn.party_job) AS n;

-- name: api_job_records
-- numbers of party_job rows, in the order wanted; partner
SELECT COALESCE(json_agg(x), '[]') AS data FROM (
    SELECT 'fate' AS protocol, '' AS flow_id, p.job_id, p.user_name, p.description, p.tag, d.dag,
           d.dag #> '{dag,parties}' AS parties, p.initiator_party_id, p.scheduler_party_id, p.status,
           NULL::integer AS status_code, CASE WHEN strpos(d.dag::text, '"inheritance"') > 0
               THEN COALESCE(d.dag #> '{dag,conf,inheritance}', '{}') ELSE '{}' END AS inheritance, p.role,
           p.party_id, p.progress, p.model_id, p.model_version, p.engine AS engine_name, p.cores,
           p.memory_mb AS memory, CASE WHEN r.party_job_no IS NULL THEN 0 ELSE p.cores END AS remaining_cores,
           CASE WHEN r.party_job_no IS NULL THEN 0 ELSE p.memory_mb END AS remaining_memory,
           r.party_job_no IS NOT NULL AS resource_in_use, norn.ms(p.apply_at) AS apply_resource_time,
           norn.ms(p.return_at) AS return_resource_time, norn.ms(p.create_at) AS create_time,
           norn.ms(p.update_at) AS update_time, norn.ms(p.start_at) AS start_time, norn.ms(p.end_at) AS end_time,
           norn.ms(p.end_at) - norn.ms(p.start_at) AS elapsed, p.reason,
           COALESCE((SELECT json_agg(DISTINCT i.id ORDER BY i.id)
                       FROM json_array_elements(d.dag #> '{dag,parties}') AS y,
                            json_array_elements_text(y -> 'party_id') AS i(id) WHERE i.id <> p.party_id), '[]')
               AS partners
      FROM unnest($1::bigint[]) WITH ORDINALITY AS u(no, rank) JOIN norn.party_job p ON p.party_job_no = u.no
      JOIN norn.job_dag d USING (job_id) LEFT JOIN norn.reservation r ON r.party_job_no = p.party_job_no
     ORDER BY u.rank) x
 WHERE $2::text IS NULL OR x.partners::jsonb ? $2;

-- name: api_job_scheduler
-- who schedules a job that this site takes part in, which party of the site speaks, and the way there
SELECT p.scheduler_party_id, p.party_id, p.status, p.attempt, r.url
  FROM norn.party_job p LEFT JOIN norn.site_route r ON r.party_id = p.scheduler_party_id
 WHERE p.job_id = $1 ORDER BY p.party_job_no LIMIT 1;

-- name: api_job_stop
SELECT o_found, o_status FROM norn.job_stop($1, 'canceled', $2, $3);

-- name: api_job_stop_later
-- a stop that the scheduler of another site has to carry out is kept as a message to it
INSERT INTO norn.outbox (dest_party_id, src_party_id, job_id, command, body)
VALUES ($1, $2, $3, 'job_stop', json_build_object('job_id', $3::text, 'stop_status', 'canceled', 'attempt', $4::integer));

-- name: api_job_notes
UPDATE norn.party_job SET description = $4, update_at = now()
 WHERE job_id = $1 AND role = $2 AND party_id = $3 RETURNING 'true'::json AS data;

-- name: api_job_dag
SELECT d.dag FROM norn.party_job p JOIN norn.job_dag d USING (job_id)
 WHERE p.job_id = $1 AND p.role = $2 AND p.party_id = $3;

-- name: api_events
-- job_id, after, limit
SELECT CASE WHEN EXISTS (SELECT 1 FROM norn.job_dag WHERE job_id = $1) THEN COALESCE((
    SELECT json_agg(json_build_object('id', e.event_no, 'at_ms', norn.ms(e.at), 'task_name', e.task_name,
               'role', e.role, 'party_id', e.party_id, 'attempt', e.attempt, 'object', e.object,
               'from', e.from_status, 'to', e.to_status, 'reason', e.reason, 'detail', e.detail, 'actor', e.actor)
               ORDER BY e.event_no)
      FROM (SELECT * FROM norn.event WHERE job_id = $1 AND event_no > $2 ORDER BY event_no LIMIT $3) e), '[]')
    END AS data;

-- name: api_jobs_waiting
SELECT DISTINCT job_id FROM norn.party_job WHERE status = 'waiting' ORDER BY job_id LIMIT 10000;
