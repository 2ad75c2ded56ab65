-- name: node_register
INSERT INTO norn.node (node_id, name, duties, address, version, lease_ms) VALUES ($1, $2, $3, $4, $5, $6);

-- name: clock_check
SELECT norn.clock_check() AS back_ms;

-- name: node_beat
-- no row: this node was given up as dead and must not go on under its old name
UPDATE norn.node SET seen_at = now() WHERE node_id = $1 AND stopped_at IS NULL
   AND seen_at > now() - make_interval(secs => lease_ms / 1000.0)
RETURNING node_id;

-- name: node_stop
UPDATE norn.node SET stopped_at = now(), seen_at = now() - make_interval(secs => lease_ms / 1000.0 + 1)
 WHERE node_id = $1;

-- name: node_forget
DELETE FROM norn.node n WHERE seen_at < now() - interval '1 day'
   AND NOT EXISTS (SELECT 1 FROM norn.run_work w WHERE w.node_id = n.node_id);

-- name: engine_set
-- more of them may be what a job waits for
WITH changed AS (
    INSERT INTO norn.engine (name, cores, memory_mb) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET cores = EXCLUDED.cores, memory_mb = EXCLUDED.memory_mb
     WHERE norn.engine.cores <> EXCLUDED.cores OR norn.engine.memory_mb <> EXCLUDED.memory_mb
    RETURNING 1)
INSERT INTO norn.resource_freed (party_id, brief) SELECT '0', true FROM changed;

-- name: provider_set
INSERT INTO norn.provider (provider_name, name, version, device, metadata, components)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (provider_name) DO UPDATE SET metadata = EXCLUDED.metadata, components = EXCLUDED.components,
    update_at = now()
 WHERE norn.provider.metadata::text <> EXCLUDED.metadata::text
    OR norn.provider.components::text <> EXCLUDED.components::text;

-- name: provider_all
SELECT provider_name, name, version, device, metadata, components FROM norn.provider ORDER BY provider_name;

-- name: event_partitions
SELECT norn.event_partitions_ensure(7) AS made;
