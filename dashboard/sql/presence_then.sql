-- What was so of a vehicle at $3, as it was known at $2; null: as it is known now, or what was known to be so then.
-- $1 vehicle. While its gateway was silent nobody knew: unknown, as dashboards showed it (without_gateway in shapes.py).
WITH held AS (
    SELECT at, learned_at, state, reason, evidence, deadline, epoch, n, region, cell, address, seen_address, cursor
    FROM api.presence_events
    WHERE vehicle_id = $1
        AND ($2::timestamptz IS NULL OR learned_at <= $2)
        AND ($3::timestamptz IS NULL OR at <= $3)
    ORDER BY cursor DESC
    LIMIT 1
), silence AS (
    SELECT q.since FROM api.silences AS q JOIN held AS h ON q.region = h.region
    WHERE h.reason <> 'revoked' AND ($3::timestamptz IS NULL OR q.since <= $3)
        AND CASE WHEN $2 IS NULL THEN q.until IS NULL AND h.state IN ('online', 'suspect')
            ELSE q.since + api.silent_after() <= $2 AND (q.until IS NULL OR q.until > $2) END
)
SELECT CASE WHEN q.since IS NULL THEN h.at ELSE greatest(q.since, h.at) END AS at,
    CASE WHEN q.since IS NULL THEN h.learned_at ELSE greatest(q.since + api.silent_after(), h.learned_at) END AS learned_at,
    CASE WHEN q.since IS NULL THEN h.state ELSE 'unknown' END AS state,
    CASE WHEN q.since IS NULL THEN h.reason ELSE 'gateway' END AS reason,
    CASE WHEN q.since IS NULL THEN h.evidence ELSE jsonb_build_object('kind', 'heartbeat', 'last_heartbeat', q.since,
        'registered', jsonb_build_object('state', h.state, 'reason', h.reason, 'since', h.at)) END AS evidence,
    CASE WHEN q.since IS NULL THEN h.deadline END AS deadline,
    h.epoch, h.n, h.region, h.cell, h.address, h.seen_address, h.cursor
FROM held AS h LEFT JOIN silence AS q ON true
