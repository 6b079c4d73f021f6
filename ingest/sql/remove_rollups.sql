-- Buckets that have no readings any more.
DELETE FROM fleet.rollup AS r USING unnest($1::integer[], $2::integer[]) AS given (vehicle_id, number)
WHERE r.vehicle_id = given.vehicle_id AND r.bucket = 'epoch'::timestamptz + given.number * interval '10 minutes'
