-- The newest of its name.
SELECT id, (extract(epoch FROM reference_at) * 1000)::bigint AS reference_ms,
    ended_at IS NOT NULL OR valid_until <= clock_timestamp() AS over
FROM fleet.hazard
WHERE region = $1 AND station_id = $2 AND sequence = $3
ORDER BY id DESC
LIMIT 1
