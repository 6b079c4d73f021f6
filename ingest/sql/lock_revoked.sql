-- Registrations of a region whose vehicle's credential was ended, and that do not say so yet.
SELECT v.name AS vehicle, r.* FROM fleet.registration AS r JOIN fleet.vehicle AS v ON v.id = r.vehicle_id
WHERE v.revoked_at IS NOT NULL AND v.erased_at IS NULL AND r.region = $1 AND r.reason <> $2
ORDER BY r.vehicle_id LIMIT $3 FOR UPDATE OF r
