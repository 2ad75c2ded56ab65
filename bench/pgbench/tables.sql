-- What a task costs a queue at the least: a row that is claimed, a row with its state, and its history.
-- The tables have the columns and indexes of run_work, party_task and event that a claim and an end touch.
DROP TABLE IF EXISTS bench_work, bench_task, bench_event;
DROP SEQUENCE IF EXISTS bench_lease, bench_event_no;
CREATE SEQUENCE bench_lease;
CREATE SEQUENCE bench_event_no;
CREATE TABLE bench_task (
    no          bigint PRIMARY KEY,
    job_id      text NOT NULL,
    status      text NOT NULL DEFAULT 'waiting',
    version     bigint NOT NULL DEFAULT 0,
    node_id     text,
    start_at    timestamptz,
    end_at      timestamptz
) WITH (fillfactor = 60);
CREATE TABLE bench_work (
    no          bigint PRIMARY KEY,
    prio        bigint NOT NULL,
    node_id     text,
    lease_no    bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX bench_work_waiting ON bench_work (prio) WHERE node_id IS NULL;
CREATE TABLE bench_event (
    event_no    bigint NOT NULL DEFAULT nextval('bench_event_no'),
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    job_id      text NOT NULL,
    from_status text,
    to_status   text,
    reason      text NOT NULL,
    actor       text NOT NULL
);
CREATE INDEX bench_event_job ON bench_event (job_id, event_no);
INSERT INTO bench_task (no, job_id) SELECT i, 'job' || i / 10 FROM generate_series(1, :tasks) AS i;
INSERT INTO bench_work (no, prio) SELECT no, no FROM bench_task;
ANALYZE bench_task, bench_work;
CHECKPOINT;
