-- The buckets of a vehicle, from number $2 on, that have readings or a rollup.
SELECT DISTINCT (extract(epoch FROM date_bin('10 minutes', time, 'epoch')) / 600)::integer AS number
FROM fleet.telemetry
WHERE vehicle_id = $1 AND time >= 'epoch'::timestamptz + $2::integer * interval '10 minutes' AND quality & 1 = 0
UNION
SELECT (extract(epoch FROM bucket) / 600)::integer
FROM fleet.rollup WHERE vehicle_id = $1 AND bucket >= 'epoch'::timestamptz + $2::integer * interval '10 minutes'
ORDER BY number
