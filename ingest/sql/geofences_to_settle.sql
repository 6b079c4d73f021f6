-- The (vehicle, geofence) pairs of crossings that came, changed or went, whose alerts are to be looked at: the crossing is
-- recent enough for an alert ($4 seconds), or an alert is of its time.
SELECT DISTINCT given.vehicle_id, given.geofence_id
FROM unnest($1::integer[], $2::integer[], $3::bigint[]) AS given (vehicle_id, geofence_id, at_us)
JOIN fleet.geofence AS g ON g.id = given.geofence_id AND g.removed_at IS NULL
CROSS JOIN LATERAL (SELECT 'epoch'::timestamptz + given.at_us * interval '1 microsecond' AS at) AS moment
WHERE ((g.alert_enter OR g.alert_exit OR g.dwell_s IS NOT NULL)
        AND moment.at >= greatest(g.alerts_from, clock_timestamp() - $4::double precision * interval '1 second')
        AND g.alerts_from IS NOT NULL)
    OR EXISTS (
        SELECT FROM fleet.alert AS a
        WHERE a.vehicle_id = given.vehicle_id AND a.geofence_id = given.geofence_id AND moment.at IN (a.at, a.holds_at))
