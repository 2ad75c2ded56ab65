-- The state of a site. Times come from the database clock. Every mutable row has a version or a lease number;
-- see doc/architecture.md. The scheduler's side: job, job_party, task, task_edge, task_party, job_work,
-- task_work. A party's side: party_job, party_task, run_work, reservation. Both: the rest.

CREATE SEQUENCE norn.lease_seq;
CREATE SEQUENCE norn.mark_seq;
CREATE SEQUENCE norn.job_id_seq;

-- ------------------------------------------------------------------ what columns may hold
-- Domains, because PostgreSQL keeps their conditions ready for use; those of a table it reads anew from their text with
-- every statement that writes there, which was a fifth of what a small submission costs.
CREATE DOMAIN norn.party_role AS text CHECK (VALUE IN ('guest','host','arbiter','local'));
CREATE DOMAIN norn.job_status AS text
    CHECK (VALUE IN ('ready','waiting','running','canceled','timeout','failed','success'));
CREATE DOMAIN norn.task_status AS text
    CHECK (VALUE IN ('waiting','running','canceled','timeout','failed','pass','success'));
CREATE DOMAIN norn.stop_status AS text CHECK (VALUE IN ('canceled','timeout','failed'));
CREATE DOMAIN norn.create_state AS text CHECK (VALUE IN ('asked','ok','refused'));
CREATE DOMAIN norn.reserve_state AS text CHECK (VALUE IN ('none','asked','granted','refused','never'));
CREATE DOMAIN norn.progress AS integer CHECK (VALUE BETWEEN 0 AND 100);

-- ------------------------------------------------------------------ the definition, written once, never updated
CREATE TABLE norn.job_dag (
    job_id          text PRIMARY KEY CHECK (length(job_id) BETWEEN 1 AND 64),
    dag             json NOT NULL
);

-- ------------------------------------------------------------------ scheduler side
CREATE TABLE norn.job (
    job_no          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id          text NOT NULL UNIQUE,
    status          norn.job_status NOT NULL DEFAULT 'ready',
    version         bigint NOT NULL DEFAULT 0,
    attempt         integer NOT NULL DEFAULT 0,
    progress        norn.progress NOT NULL DEFAULT 0,
    priority        integer NOT NULL DEFAULT 0,
    initiator_party_id text NOT NULL,
    scheduler_party_id text NOT NULL,
    model_id        text NOT NULL,
    model_version   text NOT NULL,
    user_name       text NOT NULL DEFAULT '',
    idempotency_key text UNIQUE,
    auto_retries    integer NOT NULL DEFAULT 0,
    n_tasks         integer NOT NULL,
    n_running       integer NOT NULL DEFAULT 0,
    n_success       integer NOT NULL DEFAULT 0,
    n_interrupted   integer NOT NULL DEFAULT 0,
    stop_status     norn.stop_status,
    stop_actor      text,
    stop_reason     text,
    reason_code     text,
    reason          text,
    first_failure   json,
    submitted_at    timestamptz NOT NULL DEFAULT now(),
    deadline_at     timestamptz,
    asked_at        timestamptz,                 -- when its resources were first asked for
    start_at        timestamptz,
    end_at          timestamptz,
    reserve_tries   integer NOT NULL DEFAULT 0,
    CHECK ((status IN ('canceled','timeout','failed','success')) = (end_at IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX job_submitted ON norn.job (submitted_at);

CREATE TABLE norn.job_party (
    job_no          bigint NOT NULL REFERENCES norn.job ON DELETE CASCADE,
    party_no        smallint NOT NULL,
    role            norn.party_role NOT NULL,
    party_id        text NOT NULL,
    local           boolean NOT NULL,
    cores           integer NOT NULL DEFAULT 0,
    memory_mb       integer NOT NULL DEFAULT 0,
    create_state    norn.create_state NOT NULL DEFAULT 'asked',
    reserve_state   norn.reserve_state NOT NULL DEFAULT 'none',
    detail          text,
    PRIMARY KEY (job_no, party_no)
) WITH (fillfactor = 70);

CREATE TABLE norn.task (
    job_no          bigint NOT NULL REFERENCES norn.job ON DELETE CASCADE,
    task_no         integer NOT NULL,
    task_name       text NOT NULL,
    component       text NOT NULL,
    parties         smallint[] NOT NULL,
    cores           integer[] NOT NULL,
    status          norn.task_status NOT NULL DEFAULT 'waiting',
    attempt         integer NOT NULL DEFAULT 0,
    deps_left       integer NOT NULL,
    retries_left    integer NOT NULL DEFAULT 0,
    rescues         integer NOT NULL DEFAULT 0,
    timeout_s       bigint,                      -- the longest of its parties' limits; each party keeps its own
    retry_at        timestamptz,
    start_at        timestamptz,
    end_at          timestamptz,
    PRIMARY KEY (job_no, task_no),
    CHECK (deps_left >= 0)
) WITH (fillfactor = 70);

-- Reports of other sites name a task. No index looks at what changes while a job runs, so that an update writes none.
CREATE UNIQUE INDEX task_name ON norn.task (job_no, task_name);

CREATE TABLE norn.task_edge (
    job_no          bigint NOT NULL REFERENCES norn.job ON DELETE CASCADE,
    parent_no       integer NOT NULL,
    child_no        integer NOT NULL,
    PRIMARY KEY (job_no, parent_no, child_no)
);

-- What parties at other sites have reported. A party of this site needs no row: its runs say it (party_task).
CREATE TABLE norn.task_party (
    job_no          bigint NOT NULL REFERENCES norn.job ON DELETE CASCADE,
    task_no         integer NOT NULL,
    attempt         integer NOT NULL,
    party_no        smallint NOT NULL,
    status          norn.task_status NOT NULL DEFAULT 'waiting',
    node_lost       boolean NOT NULL DEFAULT false,
    final           boolean NOT NULL DEFAULT false,
    exit_code       integer,
    signal          integer,
    error           text,
    stderr_tail     text,
    start_at        timestamptz,
    end_at          timestamptz,
    PRIMARY KEY (job_no, task_no, attempt, party_no)
) WITH (fillfactor = 70);

-- What a scheduler claims. Narrow and short-lived: a row exists while the job is not over. The tables whose names end in
-- _work have no foreign keys: their rows come and go with every step, and whoever ends a job or a run removes them.
CREATE TABLE norn.job_work (
    job_no          bigint PRIMARY KEY,
    due_at          timestamptz NOT NULL DEFAULT now(),
    prio            bigint NOT NULL,             -- smaller first: submit time in ms less the bonus of its priority
    lease_no        bigint NOT NULL DEFAULT 0,   -- the fence: a new number with every claim
    lease_until     timestamptz,
    node_id         text,
    poke            bigint NOT NULL DEFAULT 0,   -- counts what happened while somebody held the lease
    blocked         boolean NOT NULL DEFAULT false, -- waits for resources: to be woken when some are released
    need_cores      bigint NOT NULL DEFAULT 0,   -- of all its parties of this site
    need_memory_mb  bigint NOT NULL DEFAULT 0,
    local_only      boolean NOT NULL DEFAULT false -- has no party elsewhere: only this site can hold it up
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX job_work_due ON norn.job_work (due_at);
CREATE INDEX job_work_blocked ON norn.job_work (prio) WHERE blocked;
CREATE INDEX job_work_local ON norn.job_work (prio) WHERE blocked AND local_only;
-- need_memory_mb: to pass over those that need too much without reading their rows
CREATE INDEX job_work_fit ON norn.job_work (need_cores, prio, need_memory_mb)
    WHERE blocked AND (need_cores > 0 OR need_memory_mb > 0);

-- The tasks of a job that its scheduler may have to look at: those that could start, and those that run.
CREATE TYPE norn.task_stage AS ENUM ('ready', 'running', 'reported');
CREATE TABLE norn.task_work (
    job_no          bigint NOT NULL,
    task_no         integer NOT NULL,
    mark            bigint NOT NULL DEFAULT nextval('norn.mark_seq'), -- a new number with every report
    stage           norn.task_stage NOT NULL DEFAULT 'ready', -- reported: a party has ended its part
    PRIMARY KEY (job_no, task_no)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);
-- Partial, so that a look for one task takes the primary key: a plan made while the table was empty would take either.
CREATE INDEX task_work_ready ON norn.task_work (job_no, task_no) WHERE stage = 'ready';
CREATE INDEX task_work_runs ON norn.task_work (job_no, stage, task_no) WHERE stage <> 'ready';

-- ------------------------------------------------------------------ a party's side
CREATE TABLE norn.engine (
    name            text PRIMARY KEY,
    cores           integer NOT NULL CHECK (cores >= 0),
    memory_mb       integer NOT NULL CHECK (memory_mb >= 0)
);

CREATE TABLE norn.party_job (
    party_job_no    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id          text NOT NULL REFERENCES norn.job_dag,
    role            norn.party_role NOT NULL,
    party_id        text NOT NULL,
    status          norn.job_status NOT NULL DEFAULT 'ready',
    version         bigint NOT NULL DEFAULT 0,
    attempt         integer NOT NULL DEFAULT 0,
    progress        norn.progress NOT NULL DEFAULT 0,
    job_no          bigint,                      -- set when this database also schedules the job
    message_no      bigint NOT NULL DEFAULT 0,   -- of the scheduler's latest message, when it is at another site
    initiator_party_id text NOT NULL,
    scheduler_party_id text NOT NULL,
    model_id        text NOT NULL,
    model_version   text NOT NULL,
    user_name       text NOT NULL DEFAULT '',
    description     text NOT NULL DEFAULT '',
    tag             text NOT NULL DEFAULT '',
    engine          text NOT NULL DEFAULT 'standalone',
    cores           integer NOT NULL DEFAULT 0,
    memory_mb       integer NOT NULL DEFAULT 0,
    reason_code     text,
    reason          text,
    first_failure   json,
    create_at       timestamptz NOT NULL DEFAULT now(),
    update_at       timestamptz NOT NULL DEFAULT now(),
    apply_at        timestamptz,
    return_at       timestamptz,
    start_at        timestamptz,
    end_at          timestamptz,
    UNIQUE (job_id, role, party_id),
    CHECK ((status IN ('canceled','timeout','failed','success')) = (end_at IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX party_job_create_at ON norn.party_job (create_at);

CREATE TABLE norn.party_task (
    run_no          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    party_job_no    bigint NOT NULL REFERENCES norn.party_job ON DELETE CASCADE,
    job_id          text NOT NULL,
    task_name       text NOT NULL,
    task_no         integer NOT NULL,
    attempt         integer NOT NULL DEFAULT 0,
    role            text NOT NULL,
    party_id        text NOT NULL,
    party_no        smallint NOT NULL,
    component       text NOT NULL,
    provider        text NOT NULL,
    config          json NOT NULL,               -- the party's view of the task: dag_party_task()
    status          norn.task_status NOT NULL DEFAULT 'waiting',
    party_status    norn.task_status NOT NULL DEFAULT 'waiting',
    version         bigint NOT NULL DEFAULT 0,
    cores           integer NOT NULL DEFAULT 0,
    memory_mb       integer NOT NULL DEFAULT 0,
    timeout_s       bigint NOT NULL,
    token_hash      text,
    node_id         text,
    pid             integer,
    cmd             json,
    exit_code       integer,
    signal          integer,
    error           text NOT NULL DEFAULT '',
    stderr_tail     text,
    user_ms         bigint,
    sys_ms          bigint,
    max_rss_kb      bigint,
    kill_status     boolean NOT NULL DEFAULT false,
    node_lost       boolean NOT NULL DEFAULT false, -- the node that ran it died
    create_at       timestamptz NOT NULL DEFAULT now(),
    update_at       timestamptz NOT NULL DEFAULT now(),
    start_at        timestamptz,
    end_at          timestamptz,
    UNIQUE (job_id, task_name, attempt, role, party_id)
) WITH (fillfactor = 60);
CREATE INDEX party_task_job ON norn.party_task (party_job_no);

-- What an executor claims, and what it runs. A row exists from the start command to the end of the process.
CREATE TABLE norn.run_work (
    run_no          bigint PRIMARY KEY,
    due_at          timestamptz NOT NULL DEFAULT now(),
    prio            bigint NOT NULL,
    node_id         text,                        -- null: waits for an executor
    lease_no        bigint NOT NULL DEFAULT 0,
    stop_status     text                         -- set: the process must be ended with this status
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX run_work_waiting ON norn.run_work (prio) WHERE node_id IS NULL;
CREATE INDEX run_work_node ON norn.run_work (node_id) WHERE node_id IS NOT NULL;

-- Cores and memory in use: a row a party of a job. Free resources are always derived from these rows.
CREATE TABLE norn.reservation (
    party_job_no    bigint PRIMARY KEY REFERENCES norn.party_job ON DELETE CASCADE,
    engine          text NOT NULL REFERENCES norn.engine,
    cores           integer NOT NULL CHECK (cores >= 0),
    memory_mb       integer NOT NULL CHECK (memory_mb >= 0),
    granted_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz                  -- null once the job has started
);
CREATE INDEX reservation_engine ON norn.reservation (engine);

-- Something was released, or the queue has moved: the next scheduler that looks wakes the jobs that fit now. A row of
-- its own, since whoever releases must not wait for rows of other jobs.
CREATE TABLE norn.resource_freed (
    freed_no        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    party_id        text NOT NULL,
    brief           boolean NOT NULL             -- given back unused: only jobs that need nothing elsewhere are woken
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

-- Jobs of other sites' schedulers that were refused here, to be told when something was released.
CREATE TABLE norn.resource_waiter (
    job_id          text NOT NULL,
    scheduler_party_id text NOT NULL,
    asked_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id)
);

-- ------------------------------------------------------------------ both sides
CREATE TABLE norn.outbox (
    outbox_no       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dest_party_id   text NOT NULL,
    src_party_id    text NOT NULL,
    job_id          text NOT NULL,
    job_no          bigint,
    party_no        smallint,
    command         text NOT NULL,
    body            json NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    give_up_at      timestamptz,                 -- null: sent until answered
    due_at          timestamptz NOT NULL DEFAULT now(),
    tries           integer NOT NULL DEFAULT 0,
    lease_no        bigint NOT NULL DEFAULT 0,
    last_error      text
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX outbox_due ON norn.outbox (due_at);
CREATE INDEX outbox_order ON norn.outbox (job_id, dest_party_id, outbox_no);

CREATE TABLE norn.node (
    node_id         text PRIMARY KEY,
    name            text NOT NULL,
    duties          text NOT NULL,
    address         text NOT NULL DEFAULT '',
    version         text NOT NULL,
    lease_ms        integer NOT NULL,
    started_at      timestamptz NOT NULL DEFAULT now(),
    seen_at         timestamptz NOT NULL DEFAULT now(),
    stopped_at      timestamptz
) WITH (fillfactor = 50);

CREATE TABLE norn.site_route (
    party_id        text PRIMARY KEY,
    url             text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    last_ok_at      timestamptz,
    last_error      text,
    last_error_at   timestamptz,
    single_until    timestamptz                  -- it takes no groups of messages; asked again behind this
);

CREATE TABLE norn.provider (
    provider_name   text PRIMARY KEY,            -- name:version@device
    name            text NOT NULL,
    version         text NOT NULL,
    device          text NOT NULL,
    metadata        json NOT NULL,
    components      json NOT NULL,               -- component name -> description
    create_at       timestamptz NOT NULL DEFAULT now(),
    update_at       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE norn.data_table (
    namespace       text NOT NULL,
    name            text NOT NULL,
    uri             text NOT NULL,
    data_type       text NOT NULL,
    engine          text NOT NULL DEFAULT 'file',
    partitions      integer NOT NULL DEFAULT 1,
    row_count       bigint,
    schema          json NOT NULL DEFAULT '{}',
    samples         json NOT NULL DEFAULT '[]',
    source          json NOT NULL DEFAULT '{}',
    create_at       timestamptz NOT NULL DEFAULT now(),
    update_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (namespace, name)
);

CREATE TABLE norn.output_data (
    run_no          bigint NOT NULL REFERENCES norn.party_task ON DELETE CASCADE,
    job_id          text NOT NULL,
    task_name       text NOT NULL,
    attempt         integer NOT NULL,
    role            text NOT NULL,
    party_id        text NOT NULL,
    output_key      text NOT NULL,
    output_index    integer NOT NULL DEFAULT 0,
    namespace       text NOT NULL,
    name            text NOT NULL,
    uri             text NOT NULL,
    type_name       text NOT NULL,
    metadata        json NOT NULL DEFAULT '{}',
    create_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_no, output_key, output_index)
);
CREATE INDEX output_data_task ON norn.output_data (job_id, task_name, role, party_id);

CREATE TABLE norn.model (
    model_id        text NOT NULL,
    model_version   text NOT NULL,
    role            text NOT NULL,
    party_id        text NOT NULL,
    task_name       text NOT NULL,
    output_key      text NOT NULL,
    output_index    integer NOT NULL DEFAULT 0,
    job_id          text NOT NULL,
    attempt         integer NOT NULL DEFAULT 0,
    component       text NOT NULL,
    type_name       text NOT NULL,
    path            text NOT NULL,               -- below the data directory
    sha256          text NOT NULL,
    size_bytes      bigint NOT NULL,
    metadata        json NOT NULL DEFAULT '{}',
    create_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model_id, model_version, role, party_id, task_name, output_key, output_index)
);
CREATE INDEX model_job ON norn.model (job_id, task_name);
CREATE INDEX model_path ON norn.model (path);

-- ------------------------------------------------------------------ registry
-- Servers and their services that clients have made known to each other; Norn itself uses none of them.
CREATE TABLE norn.server (
    server_name     text PRIMARY KEY,            -- in capitals
    host            text NOT NULL,
    port            integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    protocol        text NOT NULL,
    create_at       timestamptz NOT NULL DEFAULT now(),
    update_at       timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE norn.service (
    server_name     text NOT NULL REFERENCES norn.server ON DELETE CASCADE,
    service_name    text NOT NULL,
    url             text NOT NULL,
    method          text NOT NULL,
    params          json NOT NULL,
    data            json NOT NULL,
    headers         json NOT NULL,
    create_at       timestamptz NOT NULL DEFAULT now(),
    update_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (server_name, service_name)
);

-- Uploaded files that a job is to read, below uploads/ of the data directory: they go with the end of their job.
CREATE TABLE norn.upload (
    name            text PRIMARY KEY,
    job_id          text,                        -- null: not submitted yet
    create_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX upload_job ON norn.upload (job_id);

CREATE TABLE norn.metric (
    metric_no       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_no          bigint NOT NULL REFERENCES norn.party_task ON DELETE CASCADE,
    name            text NOT NULL,
    type            text,
    groups          json NOT NULL DEFAULT '[]',
    step_axis       text,
    data            json,
    create_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX metric_run ON norn.metric (run_no, metric_no);

-- History: one row a transition, partitioned by day; retention drops partitions.
CREATE SEQUENCE norn.event_seq;
CREATE TABLE norn.event (
    event_no        bigint NOT NULL DEFAULT nextval('norn.event_seq'),
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    job_id          text NOT NULL,
    object          text NOT NULL,               -- job, task, run, reservation, message, site
    task_name       text,
    role            text,
    party_id        text,
    attempt         integer,
    from_status     text,
    to_status       text,
    reason          text NOT NULL,               -- a stable code
    detail          text,
    actor           text NOT NULL
) PARTITION BY RANGE (at);
CREATE TABLE norn.event_default PARTITION OF norn.event DEFAULT;
CREATE INDEX event_job ON norn.event (job_id, event_no);
