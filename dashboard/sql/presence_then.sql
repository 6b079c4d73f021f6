-- What was so of a vehicle at $3, as it was known at $2; null: as it is known now, or what was known to be so then.
-- $1 vehicle.
SELECT at, learned_at, state, reason, evidence, deadline, epoch, n, region, cell, address, seen_address, cursor
FROM api.presence_events
WHERE vehicle_id = $1
    AND ($2::timestamptz IS NULL OR learned_at <= $2)
    AND ($3::timestamptz IS NULL OR at <= $3)
ORDER BY cursor DESC
LIMIT 1
