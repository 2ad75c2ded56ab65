-- name: api_log_run
-- where a task's log stands and whether more will come: job_id, role, party_id, task_name, attempt (or null: latest)
SELECT t.attempt, norn.is_end(t.party_status) OR (norn.is_end(t.status) AND t.party_status = 'waiting') AS over
  FROM norn.party_task t
 WHERE t.job_id = $1 AND t.role = $2 AND t.party_id = $3 AND t.task_name = $4
   AND ($5::integer IS NULL OR t.attempt = $5)
 ORDER BY t.attempt DESC LIMIT 1;

-- name: api_log_job
SELECT 0 AS attempt, COALESCE((SELECT norn.is_end(j.status) FROM norn.job j WHERE j.job_id = $1),
                              (SELECT bool_and(norn.is_end(p.status)) FROM norn.party_job p WHERE p.job_id = $1)) AS over
  FROM norn.job_dag d WHERE d.job_id = $1;

-- name: api_metric_after
-- job_id, role, party_id, task_name, last seen number, limit: metrics of the latest attempt, and whether more will come
SELECT t.attempt, norn.is_end(t.party_status) OR (norn.is_end(t.status) AND t.party_status = 'waiting') AS over,
       m.metric_no, json_build_object('name', m.name, 'type', m.type, 'groups', m.groups, 'step_axis', m.step_axis,
                                      'data', m.data) AS metric
  FROM (SELECT * FROM norn.party_task t
         WHERE t.job_id = $1 AND t.role = $2 AND t.party_id = $3 AND t.task_name = $4
         ORDER BY t.attempt DESC LIMIT 1) t
  LEFT JOIN LATERAL (SELECT * FROM norn.metric m WHERE m.run_no = t.run_no AND m.metric_no > $5::bigint
                      ORDER BY m.metric_no LIMIT $6::integer) m ON true
 ORDER BY m.metric_no;
