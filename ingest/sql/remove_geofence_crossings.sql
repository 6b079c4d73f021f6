DELETE FROM fleet.geofence_crossing AS c
USING unnest($1::integer[], $2::integer[], $3::bigint[], $4::text[]) AS given (vehicle_id, geofence_id, at_us, kind)
WHERE c.vehicle_id = given.vehicle_id AND c.geofence_id = given.geofence_id
    AND c.at = 'epoch'::timestamptz + given.at_us * interval '1 microsecond' AND c.kind = given.kind
