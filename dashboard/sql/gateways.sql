SELECT region, heartbeat_at, heartbeat_age_s, storing, lag_s, address_pool, started_at
FROM api.gateways
ORDER BY region
