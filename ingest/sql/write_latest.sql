UPDATE fleet.vehicle_latest AS l SET
    time = 'epoch'::timestamptz + given.time_ms * interval '1 millisecond',
    position_time = 'epoch'::timestamptz + given.position_ms * interval '1 millisecond',
    lat = given.lat, lon = given.lon, heading = given.heading, speed = given.speed,
    signals = given.signals::json, keys_hash = given.keys_hash,
    received_at = now()
FROM unnest($1::text::integer[], $2::text::bigint[], $3::text::bigint[], $4::text::bigint[],
    $5::text::double precision[], $6::text::double precision[], $7::text::double precision[],
    $8::text::double precision[], $9::text[])
    AS given (vehicle_id, keys_hash, time_ms, position_ms, lat, lon, heading, speed, signals)
WHERE l.vehicle_id = given.vehicle_id
