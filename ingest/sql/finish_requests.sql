UPDATE fleet.derive_request AS r SET done = greatest(r.done, given.asked)
FROM unnest($1::integer[], $2::bigint[]) AS given (vehicle_id, asked)
WHERE r.vehicle_id = given.vehicle_id
