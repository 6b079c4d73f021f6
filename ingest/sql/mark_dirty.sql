-- Marks buckets as dirty, in the order of the locks. Marking twice counts: the worker takes off only what it has seen.
INSERT INTO fleet.dirty_bucket AS d (vehicle_id, bucket)
SELECT vehicle_id, 'epoch'::timestamptz + number * interval '10 minutes'
FROM unnest($1::integer[], $2::integer[]) AS given (vehicle_id, number)
ORDER BY vehicle_id, number
ON CONFLICT (vehicle_id, bucket) DO UPDATE SET marks = d.marks + 1
