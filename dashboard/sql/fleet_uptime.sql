-- Vehicle seconds in each state between $1 and $2 (null: now), by region; at least one row. $3 view.
WITH bounds AS (
    SELECT $1::timestamptz AS since, least(coalesce($2, now()), now()) AS until
)
SELECT bounds.since, bounds.until, spent.region, spent.state, spent.seconds
FROM bounds
LEFT JOIN LATERAL api.uptime(bounds.since, bounds.until, $3) AS spent ON true
