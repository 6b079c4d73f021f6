-- What these buckets had ended; write_journeys puts what they end now.
DELETE FROM fleet.journey AS j USING unnest($1::integer[], $2::integer[]) AS given (vehicle_id, number)
WHERE j.vehicle_id = given.vehicle_id AND j.bucket = 'epoch'::timestamptz + given.number * interval '10 minutes'
    AND NOT j.open
