-- Trips or stops of a vehicle, newest first. $1 vehicle, $2 kind, $3 since, $4 until: those that are partly between,
-- $5 start of the last before, $6 limit.
SELECT start_at, end_at, open, start_lat, start_lon, end_lat, end_lon, distance_m, moving_s, speed_max, soc_used,
    soc_charged, fuel_used, fuel_filled
FROM api.journeys
WHERE vehicle_id = $1 AND kind = $2
    AND ($3::timestamptz IS NULL OR end_at > $3)
    AND ($4::timestamptz IS NULL OR start_at < $4)
    AND ($5::timestamptz IS NULL OR start_at < $5)
ORDER BY start_at DESC
LIMIT $6
