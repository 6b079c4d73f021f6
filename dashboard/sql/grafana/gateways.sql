SELECT region, storing, lag_s, heartbeat_age_s, address_pool, started_at FROM api.gateways ORDER BY region
