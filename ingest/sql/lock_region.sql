-- A part of the region's registrations in these states, after this vehicle.
SELECT v.name AS vehicle, r.* FROM fleet.registration AS r JOIN fleet.vehicle AS v ON v.id = r.vehicle_id
WHERE r.region = $1 AND r.state = ANY ($2::text[]) AND r.vehicle_id > $3
ORDER BY r.vehicle_id LIMIT $4 FOR UPDATE OF r
