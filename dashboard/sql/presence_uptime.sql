-- Seconds that a vehicle spent in each state between $2 (null: its first change) and $3 (null: now). $1 vehicle, $4 view.
WITH bounds AS (
    SELECT coalesce($2, min(CASE $4 WHEN 'at' THEN at ELSE learned_at END)) AS since,
        least(coalesce($3, now()), now()) AS until
    FROM api.presence_events WHERE vehicle_id = $1
)
SELECT bounds.since, bounds.until, spent.state, sum(spent.seconds) AS seconds
FROM bounds
LEFT JOIN LATERAL api.uptime(bounds.since, bounds.until, $4, $1) AS spent ON true
WHERE bounds.since IS NOT NULL
GROUP BY bounds.since, bounds.until, spent.state
