-- What was believed of a vehicle at a time: the newest change that was known then. $1 vehicle, $2 time.
SELECT at, learned_at, state, reason, evidence, deadline, epoch, n, region, cell, address, seen_address, cursor
FROM api.presence_events
WHERE vehicle_id = $1 AND learned_at <= $2
ORDER BY learned_at DESC, cursor DESC
LIMIT 1
