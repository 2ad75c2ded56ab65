-- name: outbox_claim
-- the oldest message of each job and destination, since they must arrive in order; $1 at most, $2 lease ms. One that is
-- behind another is put off, and outbox_done brings it back: the lock on the other makes it wait for that. When the
-- other is just being removed nobody would bring this one back, so it stays due and is looked at again.
-- Nobody waits for the disk: after a crash of the server the message is sent again, and known by its number.
WITH lazy AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
d AS (
    SELECT o.outbox_no, o.job_id, o.dest_party_id, o.due_at FROM norn.outbox o
     WHERE o.due_at <= now() ORDER BY o.due_at LIMIT 8 * $1::integer FOR UPDATE SKIP LOCKED),
h AS (
    SELECT d.outbox_no, d.due_at, b.due_at AS behind,
           EXISTS (SELECT 1 FROM norn.outbox x
                    WHERE x.job_id = d.job_id AND x.dest_party_id = d.dest_party_id AND x.outbox_no < d.outbox_no) AS later
      FROM d LEFT JOIN LATERAL (
           SELECT x.due_at FROM norn.outbox x
            WHERE x.job_id = d.job_id AND x.dest_party_id = d.dest_party_id AND x.outbox_no < d.outbox_no
            ORDER BY x.outbox_no LIMIT 1 FOR KEY SHARE SKIP LOCKED) b ON true),
f AS (
    (SELECT outbox_no, true AS first, NULL::timestamptz AS behind FROM h WHERE NOT later ORDER BY due_at LIMIT $1)
    UNION ALL
    SELECT outbox_no, false, behind FROM h WHERE behind IS NOT NULL),
u AS (
    UPDATE norn.outbox o
       SET lease_no = CASE WHEN f.first THEN nextval('norn.lease_seq') ELSE o.lease_no END,
           tries = o.tries + f.first::integer,
           due_at = CASE WHEN f.first THEN now() + make_interval(secs => $2::integer / 1000.0)
                         ELSE GREATEST(f.behind, now()) + interval '1 minute' END
      FROM f WHERE o.outbox_no = f.outbox_no
    RETURNING o.*, f.first)
SELECT u.outbox_no, u.lease_no, u.dest_party_id, u.src_party_id, u.job_id, u.job_no, u.party_no, u.command, u.body,
       u.tries, r.url, u.give_up_at <= now() AS too_late, u.last_error
  FROM lazy CROSS JOIN u LEFT JOIN norn.site_route r ON r.party_id = u.dest_party_id
 WHERE u.first;

-- name: outbox_next_due
SELECT greatest(0, norn.ms(due_at) - norn.ms(clock_timestamp())) AS wait_ms FROM norn.outbox ORDER BY due_at LIMIT 1;

-- name: outbox_done
-- an error when somebody else has sent the message again meanwhile, so that nothing of this answer is written
SELECT norn.outbox_done($1, $2);

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
