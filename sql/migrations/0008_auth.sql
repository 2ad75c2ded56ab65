-- Who may use the API of this site: client apps, their roles, permissions of other parties, and the record of changes.

-- ------------------------------------------------------------------ apps
-- app_token in clear: the signature of a request is computed from it. No view shows it; norn_read cannot see it.
CREATE TABLE norn.app (
    app_id          text PRIMARY KEY,
    app_name        text NOT NULL,
    app_token       text NOT NULL,
    app_type        text NOT NULL CHECK (app_type IN ('client', 'site', 'admin')),
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX app_name ON norn.app (app_name);
CREATE UNIQUE INDEX app_site ON norn.app (app_name) WHERE app_type = 'site';

CREATE TABLE norn.app_role (
    app_id          text NOT NULL REFERENCES norn.app ON DELETE CASCADE,
    role            text NOT NULL,
    granted_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (app_id, role)
);

-- What another site has given us, to sign our requests to it.
CREATE TABLE norn.partner_app (
    party_id        text PRIMARY KEY,
    app_id          text NOT NULL,
    app_token       text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);

-- Signatures that were taken, until nobody would take them any more: each is good once.
CREATE TABLE norn.signature_used (
    app_id          text NOT NULL,
    signature       text NOT NULL,
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (app_id, signature)
);
CREATE INDEX signature_used_expires ON norn.signature_used (expires_at);

-- True the first time. Each call also removes a few that have expired, more than it adds.
CREATE FUNCTION norn.signature_take(p_app_id text, p_signature text, p_keep_s integer) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    -- If the change that follows is kept, so is this: it stands before it in the log.
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM norn.signature_used WHERE (app_id, signature) IN (
        SELECT s.app_id, s.signature FROM norn.signature_used s WHERE s.expires_at < now()
         ORDER BY s.expires_at LIMIT 8 FOR UPDATE SKIP LOCKED);
    INSERT INTO norn.signature_used (app_id, signature, expires_at)
    VALUES (p_app_id, p_signature, now() + make_interval(secs => p_keep_s)) ON CONFLICT DO NOTHING;
    RETURN FOUND;
END $$;

-- ------------------------------------------------------------------ roles
CREATE FUNCTION norn.is_admin(p_app_id text) RETURNS boolean LANGUAGE sql STABLE AS
$$ SELECT p_app_id IS NULL OR EXISTS (SELECT 1 FROM norn.app WHERE app_id = p_app_id AND app_type = 'admin') $$;

-- p_caller: the app that asks; null when nobody has to say who he is. Eight digits that no app has; the token comes
-- from the caller, who has the better random numbers.
CREATE FUNCTION norn.app_create(p_name text, p_type text, p_token text, p_role text) RETURNS norn.app
LANGUAGE plpgsql AS $$
DECLARE
    v norn.app;
BEGIN
    LOOP
        INSERT INTO norn.app (app_id, app_name, app_token, app_type)
        VALUES ((10000000 + floor(random() * 90000000))::bigint::text, p_name, p_token, p_type)
        ON CONFLICT (app_id) DO NOTHING RETURNING * INTO v;
        EXIT WHEN v.app_id IS NOT NULL;
    END LOOP;
    IF p_role IS NOT NULL THEN
        INSERT INTO norn.app_role (app_id, role) VALUES (v.app_id, p_role);
    END IF;
    RETURN v;
END $$;

-- The app of a site exists once.
CREATE FUNCTION norn.app_site_create(p_party_id text, p_token text) RETURNS norn.app LANGUAGE plpgsql AS $$
DECLARE
    v norn.app;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('norn.app_site'), hashtext(p_party_id));
    SELECT * INTO v FROM norn.app WHERE app_type = 'site' AND app_name = p_party_id;
    IF NOT FOUND THEN
        SELECT * INTO v FROM norn.app_create(p_party_id, 'site', p_token, 'site');
    END IF;
    RETURN v;
END $$;

-- Clients go on anybody's word who may call this; an administrator on that of another one.
CREATE FUNCTION norn.app_delete(p_caller text, p_app_id text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM norn.app WHERE app_id = p_app_id
       AND (app_type = 'client' OR (app_type = 'admin' AND p_caller <> p_app_id AND norn.is_admin(p_caller)));
    RETURN FOUND;
END $$;

CREATE FUNCTION norn.role_type(p_role text) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT CASE p_role WHEN 'client' THEN 'client' WHEN 'super_client' THEN 'client' WHEN 'site' THEN 'site' END $$;

CREATE FUNCTION norn.role_check(p_caller text, p_app_id text, p_role text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_type text;
BEGIN
    SELECT app_type INTO v_type FROM norn.app WHERE app_id = p_app_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000', MESSAGE = format('5002:No found appid: app_id[%s]', p_app_id);
    END IF;
    IF norn.is_admin(p_caller) THEN
        IF p_caller = p_app_id THEN
            RAISE EXCEPTION USING ERRCODE = 'NR000', MESSAGE = '5005:No Permission: an admin cannot change its own roles';
        END IF;
    ELSIF p_role <> 'client' OR EXISTS (SELECT 1 FROM norn.app_role WHERE app_id = p_app_id AND role <> 'client') THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000',
            MESSAGE = format('5005:No Permission: only an admin may change the role %s of app %s', p_role, p_app_id);
    END IF;
    IF v_type IS DISTINCT FROM norn.role_type(p_role) THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000', MESSAGE = format('5009:Role Type Error: role[%s]', p_role);
    END IF;
END $$;

-- The only role an app has from now on.
CREATE FUNCTION norn.role_grant(p_caller text, p_app_id text, p_role text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF norn.role_type(p_role) IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000', MESSAGE = format('5009:Role Type Error: role[%s]', p_role);
    END IF;
    PERFORM norn.role_check(p_caller, p_app_id, p_role);
    DELETE FROM norn.app_role WHERE app_id = p_app_id AND role <> p_role;
    INSERT INTO norn.app_role (app_id, role) VALUES (p_app_id, p_role) ON CONFLICT DO NOTHING;
    RETURN true;
END $$;

CREATE FUNCTION norn.role_delete(p_caller text, p_app_id text, p_role text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF norn.role_type(p_role) IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000', MESSAGE = format('5001:Invalid parameter: role[%s]', p_role);
    END IF;
    PERFORM norn.role_check(p_caller, p_app_id, p_role);
    DELETE FROM norn.app_role WHERE app_id = p_app_id AND role = p_role;
    RETURN FOUND;
END $$;

-- ------------------------------------------------------------------ components and data for other parties
-- value: the name of a component, or of a table as {"name", "namespace"} with the keys in this order.
CREATE TABLE norn.party_permission (
    party_id        text NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('component', 'dataset')),
    value           jsonb NOT NULL,
    granted_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (party_id, kind, value)
);

-- p_party_id: for whose sake a part of a job is created here. Components and tables that were not granted to it are
-- refused, and what earlier jobs of others have left.
CREATE FUNCTION norn.permission_check(p_party_id text, p_components text[], p_datasets json, p_jobs text[],
                                      p_models json) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_bad text;
    v_table jsonb;
BEGIN
    SELECT c INTO v_bad FROM unnest(p_components) WITH ORDINALITY AS u(c, rank)
     WHERE NOT EXISTS (SELECT 1 FROM norn.party_permission p
                        WHERE p.party_id = p_party_id AND p.kind = 'component' AND p.value = to_jsonb(c))
     ORDER BY rank LIMIT 1;
    IF v_bad IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000',
            MESSAGE = format('5005:No Permission: type[component],component_name[%s]', v_bad);
    END IF;
    SELECT d::jsonb INTO v_table FROM json_array_elements(p_datasets) WITH ORDINALITY AS u(d, rank)
     WHERE NOT EXISTS (SELECT 1 FROM norn.party_permission p
                        WHERE p.party_id = p_party_id AND p.kind = 'dataset' AND p.value = d::jsonb)
     ORDER BY rank LIMIT 1;
    IF v_table IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000',
            MESSAGE = format('5005:No Permission: type[dataset],dataset[%s]', v_table);
    END IF;
    SELECT j INTO v_bad FROM unnest(p_jobs) AS u(j)
     WHERE NOT EXISTS (SELECT 1 FROM norn.party_job p WHERE p.job_id = j AND p.initiator_party_id = p_party_id)
     ORDER BY 1 LIMIT 1;
    IF v_bad IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000',
            MESSAGE = format('5005:No Permission: type[dataset],dataset[{"job_id": "%s"}]', v_bad);
    END IF;
    -- A model is often named after its job, which may not be over yet. Of an id that several jobs share, all must be
    -- the party's; an imported model is of no job.
    SELECT m ->> 'model_id' INTO v_bad FROM json_array_elements(p_models) WITH ORDINALITY AS u(m, rank)
     WHERE EXISTS (SELECT 1 FROM norn.party_job p WHERE p.job_id = m ->> 'model_id' AND p.initiator_party_id <> p_party_id)
        OR EXISTS (SELECT 1 FROM norn.model o
                    WHERE o.model_id = m ->> 'model_id' AND o.model_version = COALESCE(m ->> 'model_version', '0')
                      AND NOT EXISTS (SELECT 1 FROM norn.party_job p
                                       WHERE p.job_id = o.job_id AND p.initiator_party_id = p_party_id))
     ORDER BY rank LIMIT 1;
    IF v_bad IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'NR000', MESSAGE = format('5005:No Permission: type[model],model_id[%s]', v_bad);
    END IF;
END $$;

-- ------------------------------------------------------------------ audit
-- Every change asked for through the API. Written before the change is tried; code is null while it is under way, and
-- stays so when the node died over it.
CREATE TABLE norn.audit (
    audit_no        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              timestamptz NOT NULL DEFAULT now(),
    request_id      text NOT NULL,
    app_id          text,                        -- null: authentication is off
    user_name       text NOT NULL DEFAULT '',    -- as the client says
    remote          text NOT NULL,
    method          text NOT NULL,
    path            text NOT NULL,
    object          text NOT NULL DEFAULT '',
    code            integer
);
CREATE INDEX audit_at ON norn.audit (at);

CREATE FUNCTION norn.audit_begin(p_request_id text, p_app_id text, p_user_name text, p_remote text, p_method text,
                                 p_path text, p_object text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_no bigint;
BEGIN
    -- The change comes later in the log: when it is kept, so is this row.
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO norn.audit (request_id, app_id, user_name, remote, method, path, object)
    VALUES (p_request_id, p_app_id, p_user_name, p_remote, p_method, p_path, p_object) RETURNING audit_no INTO v_no;
    RETURN v_no;
END $$;

CREATE FUNCTION norn.audit_end(p_audit_no bigint, p_code integer, p_job_id text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE norn.audit SET code = p_code,
           object = CASE WHEN p_job_id IS NULL OR position(p_job_id IN object) > 0 THEN object
                         ELSE concat_ws(',', format('job_id[%s]', p_job_id), NULLIF(object, '')) END
     WHERE audit_no = p_audit_no;
END $$;

CREATE VIEW norn.audit_view AS
SELECT audit_no, at, request_id, app_id, user_name, remote, method, path, object, code FROM norn.audit;

-- Apps without their tokens.
CREATE VIEW norn.app_view AS
SELECT a.app_id, a.app_name, a.app_type, a.created_at,
       (SELECT string_agg(r.role, ', ' ORDER BY r.role) FROM norn.app_role r WHERE r.app_id = a.app_id) AS roles
  FROM norn.app a;

CREATE VIEW norn.permission_view AS
SELECT party_id, kind, value, granted_at FROM norn.party_permission;

DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'norn_read') THEN
        GRANT SELECT ON norn.audit_view, norn.app_view, norn.permission_view TO norn_read;
    END IF;
END $$;
