-- The sub-statement sees the row as it was: a silence that ends with this heartbeat is kept.
WITH silence AS (
    INSERT INTO fleet.gateway_silence (region, since, until)
    SELECT region, heartbeat_at, clock_timestamp() FROM fleet.gateway
    WHERE region = $1 AND heartbeat_at < clock_timestamp() - api.silent_after()
    ON CONFLICT DO NOTHING
)
INSERT INTO fleet.gateway (region, heartbeat_at, storing, lag_s, address_pool, started_at)
VALUES ($1, clock_timestamp(), $2, $3, $4, clock_timestamp() - $5::double precision * interval '1 second')
ON CONFLICT (region) DO UPDATE SET heartbeat_at = excluded.heartbeat_at, storing = excluded.storing,
    lag_s = excluded.lag_s, address_pool = excluded.address_pool, started_at = excluded.started_at
