-- Aggregates of one vehicle's readings by time. $1 vehicle, $2 since, $3 until, $4 width, $5 start of the last bucket
-- before, $6 limit. Buckets are counted from a Monday, midnight UTC. Readings with a wrong clock are left out.
-- {aggregates}: made from the signal catalogue.
SELECT date_bin($4::interval, time, timestamptz '2001-01-01T00:00:00Z') AS bucket, count(*) AS count{aggregates}
FROM api.telemetry
WHERE vehicle_id = $1
    AND ($2::timestamptz IS NULL OR time >= $2)
    AND ($3::timestamptz IS NULL OR time < $3)
    AND ($5::timestamptz IS NULL OR time >= $5::timestamptz + $4::interval)
    AND quality & 1 = 0
GROUP BY bucket
ORDER BY bucket
LIMIT $6
