-- Seconds that a vehicle spent in each state between $2 (null: its first change) and $3 (null: now). $1 vehicle.
WITH bounds AS (
    SELECT coalesce($2, min(at)) AS since, least(coalesce($3, now()), now()) AS until
    FROM api.presence_events WHERE vehicle_id = $1
), spans AS (
    SELECT state, at AS since, lead(at, 1, 'infinity') OVER (ORDER BY cursor) AS until
    FROM api.presence_events WHERE vehicle_id = $1
)
SELECT bounds.since, bounds.until, spans.state,
    sum(extract(epoch FROM least(spans.until, bounds.until) - greatest(spans.since, bounds.since)))::double precision
        AS seconds
FROM bounds
LEFT JOIN spans ON least(spans.until, bounds.until) > greatest(spans.since, bounds.since)
WHERE bounds.since IS NOT NULL
GROUP BY bounds.since, bounds.until, spans.state
