INSERT INTO fleet.geofence_bucket (vehicle_id, bucket, position_at, lat, lon, inside, south, west, north, east)
SELECT vehicle_id, 'epoch'::timestamptz + number * interval '10 minutes',
    'epoch'::timestamptz + position_us * interval '1 microsecond', lat, lon, inside::jsonb, south, west, north, east
FROM unnest($1::integer[], $2::integer[], $3::bigint[], $4::double precision[], $5::double precision[], $6::text[],
    $7::double precision[], $8::double precision[], $9::double precision[], $10::double precision[])
    AS given (vehicle_id, number, position_us, lat, lon, inside, south, west, north, east)
ON CONFLICT (vehicle_id, bucket) DO UPDATE SET
    position_at = excluded.position_at, lat = excluded.lat, lon = excluded.lon, inside = excluded.inside,
    south = excluded.south, west = excluded.west, north = excluded.north, east = excluded.east
