-- What changed after a cursor in a region: vehicles that it serves, and those that left it.
SELECT cursor, vehicle_id FROM fleet.presence_event
WHERE cursor > $1 AND (region = $2 OR previous_region = $2) ORDER BY cursor LIMIT $3
