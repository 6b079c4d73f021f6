-- The trips and stops of a vehicle, with the bucket that ended them.
SELECT (extract(epoch FROM bucket) / 600)::integer AS number, open, kind, (extract(epoch FROM start_at) * 1e6)::bigint AS start_us,
    (extract(epoch FROM end_at) * 1e6)::bigint AS end_us, distance_m, moving_s, speed_max, soc_used, soc_charged,
    fuel_used, fuel_filled
FROM fleet.journey WHERE vehicle_id = $1
