UPDATE fleet.vehicle_latest AS l SET
    time = 'epoch'::timestamptz + given.time_ms * interval '1 millisecond',
    position_time = 'epoch'::timestamptz + given.position_ms * interval '1 millisecond',
    lat = given.lat, lon = given.lon, heading = given.heading, speed = given.speed,
    signals = given.signals::jsonb,
    received_at = now()
FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::double precision[], $5::double precision[],
    $6::double precision[], $7::double precision[], $8::text[]) AS given (vehicle_id, time_ms, position_ms, lat, lon,
    heading, speed, signals)
WHERE l.vehicle_id = given.vehicle_id
