-- Dirty buckets of the vehicles $1, however new their marks; at most $2.
SELECT vehicle_id, (extract(epoch FROM bucket) / 600)::integer AS number, marks FROM fleet.dirty_bucket
WHERE vehicle_id = ANY ($1::integer[])
ORDER BY vehicle_id, bucket LIMIT $2
