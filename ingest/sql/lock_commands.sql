SELECT c.id, v.name AS vehicle, c.state, c.outcome, c.epoch
FROM fleet.command AS c JOIN fleet.vehicle AS v ON v.id = c.vehicle_id
WHERE c.id = ANY ($1::uuid[]) ORDER BY c.id FOR UPDATE OF c
