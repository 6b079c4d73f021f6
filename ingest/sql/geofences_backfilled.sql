-- The history of geofences $1 is marked up to vehicle $2; null: all of it is derived, and alerts begin. Not of those that
-- were changed meanwhile: they begin anew.
UPDATE fleet.geofence AS g
SET backfill_after = $2::integer, marked_at = clock_timestamp(),
    alerts_from = CASE WHEN $2::integer IS NULL THEN clock_timestamp() ELSE g.alerts_from END
FROM unnest($1::integer[], $3::integer[]) AS given (id, version)
WHERE g.id = given.id AND g.version = given.version
