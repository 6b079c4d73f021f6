-- Rollups of a vehicle, put together to wider ones, oldest first. $1 vehicle, $2 since, $3 until, $4 width (a multiple of
-- ten minutes), $5 start of the last before, $6 limit. They are counted from a Monday, midnight UTC, as buckets of telemetry.
SELECT date_bin($4::interval, bucket, timestamptz '2001-01-01T00:00:00Z') AS time, sum(count)::bigint AS count,
    min(first_at) AS first_at, max(last_at) AS last_at, sum(distance_m) AS distance_m, sum(moving_s) AS moving_s,
    min(speed_min) AS speed_min, sum(speed_sum) / nullif(sum(speed_count), 0) AS speed_avg, max(speed_max) AS speed_max,
    sum(soc_used) AS soc_used, sum(soc_charged) AS soc_charged, sum(fuel_used) AS fuel_used, sum(fuel_filled) AS fuel_filled
FROM api.rollups
WHERE vehicle_id = $1
    AND ($2::timestamptz IS NULL OR bucket >= $2)
    AND ($3::timestamptz IS NULL OR bucket < $3)
    AND ($5::timestamptz IS NULL OR bucket >= $5::timestamptz + $4::interval)
GROUP BY time
ORDER BY time
LIMIT $6
