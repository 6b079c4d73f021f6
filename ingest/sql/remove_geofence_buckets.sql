-- Buckets that have no readings any more, or that are derived while there is no geofence.
DELETE FROM fleet.geofence_bucket AS b USING unnest($1::integer[], $2::integer[]) AS given (vehicle_id, number)
WHERE b.vehicle_id = given.vehicle_id AND b.bucket = 'epoch'::timestamptz + given.number * interval '10 minutes'
