-- A vehicle's changes of presence, newest first. $1 vehicle, $2 since, $3 until (of `at` or `learned_at`), $4 cursor of
-- the page before, $5 limit, $6 view: which of the two.
SELECT at, learned_at, state, reason, evidence, deadline, epoch, n, region, cell, address, seen_address, cursor
FROM api.presence_events
WHERE vehicle_id = $1
    AND ($2::timestamptz IS NULL OR CASE $6 WHEN 'at' THEN at ELSE learned_at END >= $2)
    AND ($3::timestamptz IS NULL OR CASE $6 WHEN 'at' THEN at ELSE learned_at END < $3)
    AND ($4::bigint IS NULL OR cursor < $4)
ORDER BY cursor DESC
LIMIT $5
