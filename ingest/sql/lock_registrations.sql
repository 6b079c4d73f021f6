-- Not of those whose credential has ended meanwhile: nothing that they say counts any more.
SELECT v.name AS vehicle, r.* FROM fleet.registration AS r JOIN fleet.vehicle AS v ON v.id = r.vehicle_id
WHERE r.vehicle_id = ANY ($1::integer[]) AND v.revoked_at IS NULL AND v.erased_at IS NULL
ORDER BY r.vehicle_id FOR UPDATE OF r
