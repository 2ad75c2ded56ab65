-- name: party_job_create
SELECT norn.party_job_create($1) AS created;

-- name: party_message
-- job_id, role, party_id, number of the message or of the first of several, of the last, whom the caller speaks for; null
-- where it is not known or asked. An error when a later message has come already, or when the job is not here
SELECT norn.party_message($1, $2, $3, $4::bigint, $5::bigint, $6::text[]) AS status;

-- name: party_reserve
SELECT result, detail FROM norn.party_reserve($1, $2, $3, $4::integer);

-- name: party_release
SELECT norn.party_release($1, $2, $3, false) AS released;

-- name: party_job_start
SELECT norn.party_job_start($1, $2, $3) AS started;

-- name: party_task_start
SELECT norn.party_task_start(ARRAY[$1], ARRAY[$2], ARRAY[$3::integer], ARRAY[$4], ARRAY[$5]) AS n;

-- name: party_task_state
-- job_id, task_name, attempt, role, party_id
SELECT t.status, t.party_status, p.status AS job_status, norn.ms(t.start_at) AS start_ms, norn.ms(t.end_at) AS end_ms,
       norn.ms(t.update_at) AS update_ms, p.scheduler_party_id
  FROM norn.party_job p LEFT JOIN norn.party_task t
       ON t.party_job_no = p.party_job_no AND t.job_id = $1 AND t.task_name = $2 AND t.attempt = $3::integer
          AND t.role = $4 AND t.party_id = $5
 WHERE p.job_id = $1 AND p.role = $4 AND p.party_id = $5;

-- name: party_tasks_start
-- arrays: job_id, task_name, attempt, role, party_id
SELECT norn.party_task_start($1::text[], $2::text[], $3::integer[], $4::text[], $5::text[]) AS n;

-- name: party_tasks_state
-- the same; a row each, in their order
SELECT t.status, p.status AS job_status
  FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::text[]) WITH ORDINALITY
       AS a(job_id, task_name, attempt, role, party_id, place)
  LEFT JOIN LATERAL (SELECT x.status FROM norn.party_task x
                      WHERE x.job_id = a.job_id AND x.task_name = a.task_name AND x.attempt = a.attempt
                        AND x.role = a.role AND x.party_id = a.party_id OFFSET 0) t ON true
  LEFT JOIN LATERAL (SELECT x.status FROM norn.party_job x
                      WHERE x.job_id = a.job_id AND x.role = a.role AND x.party_id = a.party_id OFFSET 0) p ON true
 ORDER BY a.place;

-- name: party_tasks_finish
-- the same, and status and progress of each
SELECT norn.party_task_finish($1::text[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::integer[]);

-- name: party_task_rerun
-- job_id, task_name, attempt, role, party_id, new attempt: it waits; its start comes by another command
INSERT INTO norn.party_task (party_job_no, job_id, task_name, task_no, attempt, role, party_id, party_no, component,
       provider, config, cores, memory_mb, timeout_s)
SELECT t.party_job_no, t.job_id, t.task_name, t.task_no, $6::integer, t.role, t.party_id, t.party_no, t.component,
       t.provider, t.config, t.cores, t.memory_mb, t.timeout_s
  FROM norn.party_task t
 WHERE t.job_id = $1 AND t.task_name = $2 AND t.attempt = $3::integer AND t.role = $4 AND t.party_id = $5 AND $6::integer > $3::integer
ON CONFLICT (job_id, task_name, attempt, role, party_id) DO NOTHING;

-- name: party_task_finish
SELECT norn.party_task_finish(ARRAY[$1], ARRAY[$2], ARRAY[$3::integer], ARRAY[$4], ARRAY[$5], ARRAY[$6],
                              ARRAY[$7::integer]);

-- name: party_job_finish
SELECT norn.party_job_finish($1, $2, $3, $4, $5::integer, $6, $7, $8) AS found;

-- name: party_scheduler
-- who may command this job here
SELECT scheduler_party_id, status FROM norn.party_job WHERE job_id = $1 AND role = $2 AND party_id = $3;

-- name: party_progress
UPDATE norn.party_job SET progress = $4::integer, update_at = now()
 WHERE job_id = $1 AND role = $2 AND party_id = $3 AND progress < $4::integer;

-- name: job_has_party
-- the scheduler's side: does this party take part in this job
SELECT j.job_no, p.role FROM norn.job j JOIN norn.job_party p USING (job_no) WHERE j.job_id = $1 AND p.party_id = $2;

-- name: job_stop
-- job id, end status, who, why, attempt of the job or null
SELECT o_found, o_status FROM norn.job_stop($1, $2, $3, $4, $5);

-- name: channel_node
-- where a party's attempt runs: execution's job_id, task_name, attempt, role, party_id
SELECT t.node_id, t.party_status, n.address, p.scheduler_party_id,
       n.stopped_at IS NULL AND n.seen_at > now() - make_interval(secs => n.lease_ms / 1000.0) AS alive
  FROM norn.party_task t JOIN norn.party_job p USING (party_job_no) LEFT JOIN norn.node n USING (node_id)
 WHERE t.job_id = $1 AND t.task_name = $2 AND t.attempt = $3::integer AND t.role = $4 AND t.party_id = $5;

-- name: job_control_find
-- the scheduler's side of a job, and its definition
SELECT j.job_no, j.status, j.initiator_party_id, j.scheduler_party_id, d.dag
  FROM norn.job j JOIN norn.job_dag d USING (job_id) WHERE j.job_id = $1;

-- name: job_rerun
-- job id, all, from task, who, new definition or null, {party_no: tasks} of this site or null
SELECT norn.job_rerun($1, $2, $3, $4, $5, $6) AS n;

-- name: job_suspend
SELECT o_found, o_status FROM norn.job_suspend($1, $2, $3);

-- name: party_job_rerun
SELECT norn.party_job_rerun($1) AS rerun;
