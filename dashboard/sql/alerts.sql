-- Alerts, last raised first. $1 number of the only one, $2 vehicle, $3 geofence, $4 kinds, $5 states, $6 since, $7 until (when
-- it was raised), $8 number of the last before, $9 limit.
SELECT id, vehicle, geofence_id, geofence, kind, at, lat, lon, raised_at, state, holds_at, correction, corrected_at,
    acknowledged_at, acknowledged_by
FROM api.alerts
WHERE ($1::bigint IS NULL OR id = $1)
    AND ($2::text IS NULL OR vehicle = $2)
    AND ($3::integer IS NULL OR geofence_id = $3)
    AND ($4::text[] IS NULL OR kind = ANY ($4))
    AND ($5::text[] IS NULL OR state = ANY ($5))
    AND ($6::timestamptz IS NULL OR raised_at >= $6)
    AND ($7::timestamptz IS NULL OR raised_at < $7)
    AND ($8::bigint IS NULL OR id < $8)
ORDER BY id DESC
LIMIT $9
