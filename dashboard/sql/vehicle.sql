-- One vehicle, revoked or not. $1 id, $2 seconds after which a gateway counts as silent.
SELECT v.vehicle, v.created_at, v.revoked_at, v.state, v.reason, v.since, v.evidence, v.deadline, v.epoch, v.n,
    v.region, v.cell, v.address, v.seen_address, v.update_interval_s, v.keep_alive_s, v.sleep_s,
    coalesce(v.cursor, 0) AS cursor, v.lat, v.lon, v.heading, v.speed,
    coalesce(v.position_time, v.latest_time) AS position_time, v.signals,
    CASE WHEN g.heartbeat_age_s > $2 THEN g.heartbeat_at END AS silent_since, clock_timestamp() AS now
FROM api.vehicles AS v
LEFT JOIN api.gateways AS g ON g.region = v.region
WHERE v.vehicle = $1
