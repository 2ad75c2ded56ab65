-- name: outbox_claim
-- the oldest message of each job and destination, since they must arrive in order; $1 at most, $2 lease ms
WITH c AS (
    SELECT o.outbox_no FROM norn.outbox o
     WHERE o.due_at <= now()
       AND NOT EXISTS (SELECT 1 FROM norn.outbox b WHERE b.job_id = o.job_id AND b.dest_party_id = o.dest_party_id
                          AND b.outbox_no < o.outbox_no)
     ORDER BY o.due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
UPDATE norn.outbox o
   SET lease_no = nextval('norn.lease_seq'), tries = o.tries + 1,
       due_at = now() + make_interval(secs => $2::integer / 1000.0)
  FROM c LEFT JOIN norn.outbox x USING (outbox_no) LEFT JOIN norn.site_route r ON r.party_id = x.dest_party_id
 WHERE o.outbox_no = c.outbox_no
RETURNING o.outbox_no, o.lease_no, o.dest_party_id, o.src_party_id, o.job_id, o.job_no, o.party_no, o.command, o.body,
          o.tries, r.url, o.give_up_at <= now() AS too_late, o.last_error;

-- name: outbox_next_due
SELECT CASE WHEN count(*) > 0 THEN greatest(0, norn.ms(min(due_at)) - norn.ms(clock_timestamp())) END AS wait_ms
  FROM norn.outbox;

-- name: outbox_done
DELETE FROM norn.outbox WHERE outbox_no = $1 AND lease_no = $2;

-- name: outbox_failed
-- $3 why, $4 when to try again, in ms
UPDATE norn.outbox SET last_error = $3, due_at = now() + make_interval(secs => $4::integer / 1000.0)
 WHERE outbox_no = $1 AND lease_no = $2;

-- name: outbox_refused
-- an answer that says no is the end of the message, and stands in the history
INSERT INTO norn.event (job_id, object, role, party_id, reason, detail, actor)
VALUES ($1, 'message', $2, $3, $4, $5, $6);

-- name: route_ok
UPDATE norn.site_route SET last_ok_at = now() WHERE party_id = $1
   AND (last_ok_at IS NULL OR last_ok_at < now() - interval '10 seconds' OR last_error_at > last_ok_at);

-- name: route_error
UPDATE norn.site_route SET last_error = $2, last_error_at = now() WHERE party_id = $1;

-- name: route_list
SELECT party_id, url, norn.ms(last_ok_at) AS last_ok_ms, last_error, norn.ms(last_error_at) AS last_error_ms
  FROM norn.site_route ORDER BY party_id;

-- name: route_get
SELECT url FROM norn.site_route WHERE party_id = $1;

-- name: route_set
INSERT INTO norn.site_route (party_id, url) VALUES ($1, $2)
    ON CONFLICT (party_id) DO UPDATE SET url = EXCLUDED.url, last_error = NULL, last_error_at = NULL;

-- name: route_delete
DELETE FROM norn.site_route WHERE party_id = $1;
