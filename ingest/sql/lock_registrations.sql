SELECT v.name AS vehicle, r.* FROM fleet.registration AS r JOIN fleet.vehicle AS v ON v.id = r.vehicle_id
WHERE r.vehicle_id = ANY ($1::integer[]) ORDER BY r.vehicle_id FOR UPDATE OF r
