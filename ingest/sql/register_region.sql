-- A region's own entry; the other regions are told only where it has changed.
WITH written AS (
    INSERT INTO fleet.region AS r (name, url, cells, address_pool) VALUES ($1, $2, $3::text[], $4)
    ON CONFLICT (name) DO UPDATE SET url = excluded.url, cells = excluded.cells, address_pool = excluded.address_pool,
        registered_at = excluded.registered_at
    WHERE (r.url, r.cells, r.address_pool) IS DISTINCT FROM (excluded.url, excluded.cells, excluded.address_pool)
    RETURNING r.name
)
SELECT pg_notify('fleetcell_directory', name) FROM written
