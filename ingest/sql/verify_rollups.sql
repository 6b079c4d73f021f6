-- The rollups of a vehicle between two buckets, both included, with their columns in the order of Rollup.
SELECT (extract(epoch FROM bucket) / 600)::integer AS number, count, (extract(epoch FROM first_at) * 1e6)::bigint,
    (extract(epoch FROM last_at) * 1e6)::bigint, distance_m, moving_s, speed_count, speed_sum, speed_min, speed_max,
    soc_used, soc_charged, fuel_used, fuel_filled
FROM fleet.rollup
WHERE vehicle_id = $1 AND bucket BETWEEN 'epoch'::timestamptz + $2::integer * interval '10 minutes'
    AND 'epoch'::timestamptz + $3::integer * interval '10 minutes'
