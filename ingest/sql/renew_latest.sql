-- Locks the rows in order, and writes those whole that hold the same signals, all of them measured before.
WITH given AS MATERIALIZED (
    SELECT l.vehicle_id, g.keys_hash, g.time_ms, g.oldest_ms, g.position_ms, g.lat, g.lon, g.heading, g.speed, g.signals
    FROM unnest($1::text::integer[], $2::text::bigint[], $3::text::bigint[], $4::text::bigint[], $5::text::bigint[],
        $6::text::double precision[], $7::text::double precision[], $8::text::double precision[],
        $9::text::double precision[], $10::text[])
        AS g (vehicle_id, keys_hash, time_ms, oldest_ms, position_ms, lat, lon, heading, speed, signals)
    JOIN fleet.vehicle_latest AS l USING (vehicle_id)
    ORDER BY l.vehicle_id
    FOR UPDATE OF l
)
UPDATE fleet.vehicle_latest AS l SET
    time = 'epoch'::timestamptz + given.time_ms * interval '1 millisecond',
    position_time = 'epoch'::timestamptz + given.position_ms * interval '1 millisecond',
    lat = given.lat, lon = given.lon, heading = given.heading, speed = given.speed,
    signals = given.signals::json,
    received_at = now()
FROM given
WHERE l.vehicle_id = given.vehicle_id AND l.keys_hash = given.keys_hash
    AND l.time < 'epoch'::timestamptz + given.oldest_ms * interval '1 millisecond'
RETURNING l.vehicle_id
