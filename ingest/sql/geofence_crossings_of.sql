-- What is kept of these buckets.
SELECT c.vehicle_id, (extract(epoch FROM c.bucket) / 600)::integer AS number, c.geofence_id,
    (extract(epoch FROM c.at) * 1e6)::bigint AS at_us, c.kind, (extract(epoch FROM c.before_at) * 1e6)::bigint AS before_us,
    c.silence, c.lat, c.lon
FROM unnest($1::integer[], $2::integer[]) AS given (vehicle_id, number)
JOIN fleet.geofence_crossing AS c
    ON c.vehicle_id = given.vehicle_id AND c.bucket = 'epoch'::timestamptz + given.number * interval '10 minutes'
ORDER BY c.vehicle_id, c.at, c.geofence_id, c.kind
