-- A page of vehicles in the order of their ids.
--
-- $1 shown states, $2 regions, $3 part of the id (lower case), $4..$7 west, south, east, north, $8 revoked ones
-- instead of the others, $9 seconds after which a gateway counts as silent, $10 last id of the page before, $11 limit.
-- A null lets everything through. A vehicle whose gateway is silent is shown as unknown.
SELECT v.vehicle, v.created_at, v.revoked_at, v.state, v.reason, v.since, v.evidence, v.deadline, v.epoch, v.n,
    v.region, v.cell, v.address, v.seen_address, v.update_interval_s, v.keep_alive_s, v.sleep_s,
    coalesce(v.cursor, 0) AS cursor, v.lat, v.lon, v.heading, v.speed,
    coalesce(v.position_time, v.latest_time) AS position_time, v.signals,
    CASE WHEN g.heartbeat_age_s > $9 THEN g.heartbeat_at END AS silent_since, clock_timestamp() AS now
FROM api.vehicles AS v
LEFT JOIN api.gateways AS g ON g.region = v.region
WHERE ($1::text[] IS NULL
        OR CASE WHEN g.heartbeat_age_s > $9 THEN 'unknown' ELSE coalesce(v.state, 'unknown') END = ANY ($1))
    AND ($2::text[] IS NULL OR v.region = ANY ($2))
    AND ($3::text IS NULL OR position($3 IN lower(v.vehicle)) > 0)
    AND ($4::double precision IS NULL OR (
        v.lat BETWEEN $5::double precision AND $7::double precision
        AND CASE WHEN $4 <= $6::double precision THEN v.lon BETWEEN $4 AND $6 ELSE v.lon >= $4 OR v.lon <= $6 END))
    AND (v.revoked_at IS NOT NULL) = $8::boolean
    AND ($10::text IS NULL OR v.vehicle > $10)
ORDER BY v.vehicle
LIMIT $11
