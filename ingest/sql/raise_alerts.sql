INSERT INTO fleet.alert (vehicle_id, geofence_id, geofence, version, kind, at, lat, lon, holds_at)
SELECT vehicle_id, geofence_id, geofence, version, kind, at, lat, lon, at
FROM unnest($1::integer[], $2::integer[], $3::text[], $4::integer[], $5::text[], $6::bigint[], $7::double precision[],
    $8::double precision[]) AS given (vehicle_id, geofence_id, geofence, version, kind, at_us, lat, lon)
CROSS JOIN LATERAL (SELECT 'epoch'::timestamptz + at_us * interval '1 microsecond' AS at) AS moment
ON CONFLICT (vehicle_id, geofence_id, version, kind, at) DO NOTHING
