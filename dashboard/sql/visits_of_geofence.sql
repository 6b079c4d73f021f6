-- Visits of a geofence, the newest first. $1 geofence, $2 vehicle, $3 since, $4 until: those that are partly between, $5, $6 entry
-- and number of the vehicle of the last before, $7 limit.
SELECT vehicle_id, vehicle, geofence_id, geofence, entered_at, outside_at, left_at, left_unseen, last_at, open, gap
FROM api.visits
WHERE geofence_id = $1 AND ($2::integer IS NULL OR vehicle_id = $2)
    AND ($3::timestamptz IS NULL OR left_at IS NULL OR left_at > $3)
    AND ($4::timestamptz IS NULL OR entered_at < $4)
    AND ($5::timestamptz IS NULL OR (entered_at, vehicle_id) < ($5, $6::integer))
ORDER BY entered_at DESC, vehicle_id DESC
LIMIT $7
