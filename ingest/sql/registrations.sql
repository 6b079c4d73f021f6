SELECT v.name AS vehicle, v.created_at, v.erased_at, r.* FROM fleet.registration AS r
JOIN fleet.vehicle AS v ON v.id = r.vehicle_id WHERE r.vehicle_id = ANY ($1::integer[])
