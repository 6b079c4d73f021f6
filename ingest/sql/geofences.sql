-- The geofences, without their geometry. Changed again: another version. vehicles: null for all.
SELECT g.id, g.version, g.margin_m, g.dwell_s, g.created_at,
    CASE WHEN g.restricted THEN ARRAY(SELECT m.vehicle_id FROM fleet.geofence_vehicle AS m WHERE m.geofence_id = g.id ORDER BY 1) END
        AS vehicles,
    g.backfill_after IS NOT NULL AS pending
FROM fleet.geofence AS g
WHERE g.removed_at IS NULL
ORDER BY g.id
