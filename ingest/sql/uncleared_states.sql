-- Erased vehicles whose retained state in a region may still be there. erased: false where the name is in use again.
SELECT e.id, v.name AS vehicle, v.erased_at IS NOT NULL AS erased FROM fleet.erasure AS e
JOIN fleet.vehicle AS v ON v.id = e.vehicle_id
WHERE e.regions <> '{}' AND $1 = ANY (e.regions) ORDER BY e.id LIMIT $2
