-- Of each (vehicle, geofence) whose crossings changed from a time on, the first of them: what may raise alerts, from the
-- visit on in which that time lies, and the alerts from there on.
SELECT given.vehicle_id, given.geofence_id, g.name, g.version, g.alert_enter, g.alert_exit, g.dwell_s,
    CASE WHEN g.alerts_from IS NOT NULL THEN
        (extract(epoch FROM greatest(g.alerts_from, clock_timestamp() - $4::double precision * interval '1 second')) * 1e6)::bigint
    END AS live_from_us,
    ARRAY(
        SELECT json_build_array(a.id, a.kind, (extract(epoch FROM a.at) * 1e6)::bigint,
            (extract(epoch FROM a.holds_at) * 1e6)::bigint)::text
        FROM fleet.alert AS a
        WHERE a.vehicle_id = given.vehicle_id AND a.geofence_id = given.geofence_id AND a.version = g.version
            AND (a.at >= visit.start OR a.holds_at >= visit.start)
        ORDER BY a.at, a.id
    ) AS alerts,
    ARRAY(
        SELECT json_build_array(c.geofence_id, (extract(epoch FROM c.at) * 1e6)::bigint, c.kind,
            (extract(epoch FROM c.before_at) * 1e6)::bigint, c.silence, c.lat, c.lon)::text
        FROM fleet.geofence_crossing AS c
        WHERE c.vehicle_id = given.vehicle_id AND c.geofence_id = given.geofence_id AND c.at >= visit.start
        ORDER BY c.at, c.kind
    ) AS crossings
FROM unnest($1::integer[], $2::integer[], $3::bigint[]) AS given (vehicle_id, geofence_id, since_us)
JOIN fleet.geofence AS g ON g.id = given.geofence_id AND g.removed_at IS NULL
CROSS JOIN LATERAL (
    SELECT coalesce(max(c.at), 'epoch'::timestamptz + given.since_us * interval '1 microsecond') AS start
    FROM fleet.geofence_crossing AS c
    WHERE c.vehicle_id = given.vehicle_id AND c.geofence_id = given.geofence_id AND c.kind = 'enter'
        AND c.at < 'epoch'::timestamptz + given.since_us * interval '1 microsecond'
) AS visit
