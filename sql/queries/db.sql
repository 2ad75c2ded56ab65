-- Statements that belong to no concept: the connection itself.

-- name: db_ping
-- The database's clock; also shows that a connection answers.
SELECT now() AS now, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms;

-- name: db_notify
-- $1 channel, $2 payload. There is nothing to keep, so nobody waits for the disk.
SELECT pg_notify($1, $2), set_config('synchronous_commit', 'off', true);

-- name: db_lazy
-- The transaction does not wait for the disk: a crash of the server may undo it.
SELECT set_config('synchronous_commit', 'off', true);

-- name: db_barrier
-- Waits until all that was committed before is on the disk: a record in the log of a transaction that does wait.
SELECT pg_logical_emit_message(true, 'norn', '');
