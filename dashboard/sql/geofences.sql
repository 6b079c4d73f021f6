-- Geofences by number. $1 number of the only one, $2 number of the last before, $3 with their geometry, $4 limit.
SELECT id, name, CASE WHEN $3::boolean THEN geometry END AS geometry, radius_m, margin_m, vehicles, alert_enter, alert_exit,
    dwell_s, version, pending, created_at, created_by, updated_at, updated_by
FROM api.geofences
WHERE ($1::integer IS NULL OR id = $1) AND ($2::integer IS NULL OR id > $2)
ORDER BY id
LIMIT $4
