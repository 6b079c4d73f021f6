INSERT INTO fleet.gateway (region, heartbeat_at, storing, lag_s, address_pool, started_at)
VALUES ($1, clock_timestamp(), $2, $3, $4, clock_timestamp() - $5::double precision * interval '1 second')
ON CONFLICT (region) DO UPDATE SET heartbeat_at = excluded.heartbeat_at, storing = excluded.storing,
    lag_s = excluded.lag_s, address_pool = excluded.address_pool, started_at = excluded.started_at
