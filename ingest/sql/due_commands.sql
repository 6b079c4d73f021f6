-- The longest due at $3, of these the oldest. Only of vehicles that this region serves: one that hands over is served by
-- its new region.
SELECT c.id, v.name AS vehicle, c.name, c.args, c.require, c.state, c.not_after, c.epoch, c.sent, c.pages,
    r.state AS vehicle_state, r.epoch AS vehicle_epoch, r.reason, r.lost
FROM fleet.command AS c
JOIN fleet.registration AS r ON r.vehicle_id = c.vehicle_id
JOIN fleet.vehicle AS v ON v.id = c.vehicle_id
WHERE c.state IN ('queued', 'paged', 'sent', 'delivered') AND c.next_at <= $3 AND c.not_after > $3 AND r.region = $1
ORDER BY c.next_at, c.created_at, c.id LIMIT $2 FOR UPDATE OF c SKIP LOCKED
