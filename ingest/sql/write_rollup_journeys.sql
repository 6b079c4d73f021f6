-- Late readings of an earlier bucket changed what is under way at the end of these.
UPDATE fleet.rollup AS r SET journey = given.journey::json
FROM unnest($1::integer[], $2::integer[], $3::text[]) AS given (vehicle_id, number, journey)
WHERE r.vehicle_id = given.vehicle_id AND r.bucket = 'epoch'::timestamptz + given.number * interval '10 minutes'
