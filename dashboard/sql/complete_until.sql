-- Until when what is derived of a vehicle has all readings in it that are stored. $1 vehicle.
SELECT coalesce(min(bucket), clock_timestamp()) FROM api.dirty_buckets WHERE vehicle_id = $1
