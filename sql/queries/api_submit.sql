-- Submitting jobs, and waiting until their parties have accepted them.

-- name: api_job_submit
SELECT o_job_id, o_new, o_status FROM norn.job_submit($1);

-- name: api_submit_state
SELECT status, reason_code, reason, model_id, model_version FROM norn.job WHERE job_id = $1;

-- name: api_routes
SELECT party_id, url FROM norn.site_route;
