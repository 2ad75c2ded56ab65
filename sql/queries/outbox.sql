-- name: outbox_claim
-- the oldest messages of each job and destination that has any due, since they must arrive in order: $1 jobs and
-- destinations at most, $2 lease ms, $3 messages of one, $4 bytes of them, $5 commands that may go in a group. One group has
-- one lease number; a lease holds while lease_no is not 0 and due_at has not come: $2 from here, and not from the beginning of
-- the transaction, which is somebody else's and may have waited. A group whose oldest has been tried three times may be more
-- than the site carries out in time: a quarter goes, and then the oldest alone. While the oldest is under way, others that
-- are due are put off, and outbox_done brings them back: the lock on the oldest makes it wait for that. When it is just being
-- removed nobody would bring them back, so they stay due, and a row without a number says that there are such: look again soon.
WITH d AS (
    SELECT o.outbox_no, o.job_id, o.dest_party_id, o.due_at FROM norn.outbox o
     WHERE o.due_at <= now() ORDER BY o.due_at LIMIT 8 * $1::integer FOR UPDATE SKIP LOCKED),
m AS MATERIALIZED (
    SELECT k.job_id, k.dest_party_id, k.due_at, x.outbox_no, x.tries, b.due_at AS behind
      FROM (SELECT d.job_id, d.dest_party_id, min(d.due_at) AS due_at FROM d GROUP BY 1, 2) k
     CROSS JOIN LATERAL (
           SELECT o.outbox_no, o.tries FROM norn.outbox o
            WHERE o.job_id = k.job_id AND o.dest_party_id = k.dest_party_id ORDER BY o.outbox_no LIMIT 1) x
      LEFT JOIN LATERAL (
           SELECT o.due_at FROM norn.outbox o
            WHERE o.outbox_no = x.outbox_no AND o.lease_no <> 0 AND o.due_at > now() FOR KEY SHARE SKIP LOCKED) b ON true),
heads AS MATERIALIZED (
    SELECT m.outbox_no, m.job_id, m.dest_party_id, l.nos, nextval('norn.lease_seq') AS lease_no,
           COALESCE(r.single_until <= now(), true) AS may_group
      FROM m LEFT JOIN norn.site_route r ON r.party_id = m.dest_party_id
     CROSS JOIN LATERAL (
           SELECT ARRAY(SELECT o.outbox_no FROM norn.outbox o
                         WHERE o.job_id = m.job_id AND o.dest_party_id = m.dest_party_id AND o.outbox_no >= m.outbox_no
                           AND (o.lease_no = 0 OR o.due_at <= now())
                         ORDER BY o.outbox_no
                         LIMIT CASE WHEN m.tries <= 2 THEN $3 WHEN m.tries = 3 THEN GREATEST($3 / 4, 1) ELSE 1 END
                           FOR UPDATE SKIP LOCKED) AS nos OFFSET 0) l
     WHERE m.behind IS NULL AND l.nos[1] = m.outbox_no ORDER BY m.due_at LIMIT $1),
-- With each what stands right behind it: up to the first that is under way or locked by somebody else, that goes alone, or
-- is too much.
g AS MATERIALIZED (
    SELECT x.outbox_no, heads.lease_no
      FROM heads CROSS JOIN LATERAL (
           SELECT a.outbox_no, a.outbox_no = heads.outbox_no OR bool_and(a.fits) OVER (ORDER BY a.outbox_no) AS goes
             FROM (SELECT n.outbox_no, heads.may_group AND n.command = ANY ($5::text[])
                          AND n.outbox_no = ANY (heads.nos) AND COALESCE(n.give_up_at > now(), true)
                          AND sum(n.size) OVER (ORDER BY n.outbox_no) <= $4::bigint AS fits
                     FROM (SELECT o.outbox_no, o.command, o.give_up_at, octet_length(o.body::text) AS size
                             FROM norn.outbox o
                            WHERE o.job_id = heads.job_id AND o.dest_party_id = heads.dest_party_id
                              AND o.outbox_no >= heads.outbox_no
                            ORDER BY o.outbox_no LIMIT $3) n) a) x
     WHERE x.goes),
f AS (
    SELECT outbox_no, lease_no, NULL::timestamptz AS behind FROM g
    UNION ALL
    SELECT d.outbox_no, NULL, COALESCE(m.behind, now())
      FROM d JOIN m USING (job_id, dest_party_id) LEFT JOIN heads ON heads.outbox_no = m.outbox_no
     WHERE (m.behind IS NOT NULL OR heads.outbox_no IS NOT NULL)
       AND d.outbox_no <> ALL (ARRAY(SELECT g.outbox_no FROM g))),
u AS (
    UPDATE norn.outbox o
       SET lease_no = COALESCE(f.lease_no, 0), tries = o.tries + (f.lease_no IS NOT NULL)::integer,
           due_at = CASE WHEN f.lease_no IS NOT NULL
                              THEN (SELECT clock_timestamp()) + make_interval(secs => $2::integer / 1000.0)
                         ELSE GREATEST(f.behind, now()) + interval '1 minute' END
      FROM f WHERE o.outbox_no = ANY (ARRAY[f.outbox_no])
    RETURNING o.*, f.lease_no IS NOT NULL AS goes)
SELECT u.outbox_no, u.lease_no, u.dest_party_id, u.src_party_id, u.job_id, u.job_no, u.party_no, u.command, u.body,
       u.tries, r.url, COALESCE(r.single_until <= now(), true) AS may_group, u.give_up_at <= now() AS too_late, u.last_error
  FROM u LEFT JOIN norn.site_route r ON r.party_id = u.dest_party_id
 WHERE u.goes
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
 WHERE EXISTS (SELECT 1 FROM d WHERE d.outbox_no <> ALL (ARRAY(SELECT f.outbox_no FROM f)))
 ORDER BY 2, 1; -- nulls last

-- name: outbox_next_due
SELECT greatest(0, norn.ms(due_at) - norn.ms(clock_timestamp())) AS wait_ms FROM norn.outbox ORDER BY due_at LIMIT 1;

-- name: outbox_done
-- numbers, lease: an error when somebody else has sent one of them again meanwhile, so that nothing of these answers is
-- written
SELECT norn.outbox_done($1::bigint[], $2);

-- name: outbox_failed
-- $3 why, $4 when to try again, in ms; what was sent with it waits for it, and only waiting is no try
WITH f AS (
    UPDATE norn.outbox SET last_error = $3, due_at = now() + make_interval(secs => $4::integer / 1000.0)
     WHERE outbox_no = $1 AND lease_no = $2
    RETURNING job_id, dest_party_id)
UPDATE norn.outbox o SET lease_no = 0, tries = GREATEST(o.tries - 1, 0)
  FROM f WHERE o.job_id = f.job_id AND o.dest_party_id = f.dest_party_id AND o.outbox_no > $1 AND o.lease_no = $2;

-- name: outbox_unsent
-- a group whose site takes none, or whose node goes down: as if it had not been sent. Numbers, lease
UPDATE norn.outbox SET tries = tries - 1, lease_no = 0, due_at = now() WHERE outbox_no = ANY ($1::bigint[]) AND lease_no = $2;

-- name: outbox_refused
-- an answer that says no is the end of the message, and stands in the history
INSERT INTO norn.event (job_id, object, role, party_id, reason, detail, actor)
VALUES ($1, 'message', $2, $3, $4, $5, $6);

-- name: route_ok
UPDATE norn.site_route SET last_ok_at = now() WHERE party_id = $1
   AND (last_ok_at IS NULL OR last_ok_at < now() - interval '10 seconds' OR last_error_at > last_ok_at);

-- name: route_error
UPDATE norn.site_route SET last_error = $2, last_error_at = now() WHERE party_id = $1;

-- name: route_single
-- until when messages go one by one, in s: the site, or what stands before it, takes no groups
UPDATE norn.site_route SET single_until = now() + make_interval(secs => $2::integer) WHERE party_id = $1;

-- name: route_get
SELECT url FROM norn.site_route WHERE party_id = $1;

-- name: route_set
INSERT INTO norn.site_route (party_id, url) VALUES ($1, $2)
    ON CONFLICT (party_id) DO UPDATE SET url = EXCLUDED.url, last_error = NULL, last_error_at = NULL, single_until = NULL;

-- name: route_delete
DELETE FROM norn.site_route WHERE party_id = $1;
