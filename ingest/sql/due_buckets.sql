-- Dirty buckets after ($1 vehicle, $2 bucket number) that have waited $3 seconds; at most $4.
SELECT vehicle_id, (extract(epoch FROM bucket) / 600)::integer AS number, marks FROM fleet.dirty_bucket
WHERE (vehicle_id, bucket) > ($1::integer, 'epoch'::timestamptz + $2::integer * interval '10 minutes')
    AND since <= clock_timestamp() - $3::double precision * interval '1 second'
ORDER BY vehicle_id, bucket LIMIT $4
