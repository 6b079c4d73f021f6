-- SKIP LOCKED: what another transaction is changing at this moment is due again at the next sweep, if it still is.
SELECT v.name AS vehicle, r.* FROM fleet.registration AS r JOIN fleet.vehicle AS v ON v.id = r.vehicle_id
WHERE r.region = $1 AND r.deadline <= $2 ORDER BY r.deadline LIMIT $3 FOR UPDATE OF r SKIP LOCKED
