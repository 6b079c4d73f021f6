-- One that is there already is of a bucket that was derived before late readings came, and follows yet.
INSERT INTO fleet.geofence_crossing (vehicle_id, bucket, geofence_id, at, kind, before_at, silence, lat, lon)
SELECT vehicle_id, 'epoch'::timestamptz + number * interval '10 minutes', geofence_id,
    'epoch'::timestamptz + at_us * interval '1 microsecond', kind,
    'epoch'::timestamptz + before_us * interval '1 microsecond', silence, lat, lon
FROM unnest($1::integer[], $2::integer[], $3::integer[], $4::bigint[], $5::text[], $6::bigint[], $7::boolean[],
    $8::double precision[], $9::double precision[])
    AS given (vehicle_id, number, geofence_id, at_us, kind, before_us, silence, lat, lon)
ON CONFLICT (vehicle_id, geofence_id, at, kind) DO UPDATE SET
    bucket = excluded.bucket, before_at = excluded.before_at, silence = excluded.silence, lat = excluded.lat, lon = excluded.lon
