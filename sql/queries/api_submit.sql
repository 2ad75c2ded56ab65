-- Submitting jobs, and waiting until their parties have accepted them.

-- name: api_job_submit
-- the order is that of submit_doc_bind()
SELECT o_job_id, o_new, o_status
  FROM norn.job_submit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
                       $22, $23, $24);

-- name: api_submit_state
SELECT status, reason_code, reason, model_id, model_version FROM norn.job WHERE job_id = $1;

-- name: api_routes
SELECT party_id, url FROM norn.site_route;
