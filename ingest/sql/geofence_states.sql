-- Of each (vehicle, bucket): what is kept of it, what was kept last before it, and the number of the next one that is.
SELECT given.vehicle_id, given.number, own.position_us, own.lat, own.lon, own.inside, before.number AS before_number,
    before.position_us AS before_position_us, before.lat AS before_lat, before.lon AS before_lon,
    before.inside AS before_inside, after.number AS after_number
FROM unnest($1::integer[], $2::integer[]) AS given (vehicle_id, number)
LEFT JOIN LATERAL (
    SELECT (extract(epoch FROM position_at) * 1e6)::bigint AS position_us, lat, lon, inside::text AS inside
    FROM fleet.geofence_bucket
    WHERE vehicle_id = given.vehicle_id AND bucket = 'epoch'::timestamptz + given.number * interval '10 minutes'
) AS own ON true
LEFT JOIN LATERAL (
    SELECT (extract(epoch FROM bucket) / 600)::integer AS number,
        (extract(epoch FROM position_at) * 1e6)::bigint AS position_us, lat, lon, inside::text AS inside
    FROM fleet.geofence_bucket
    WHERE vehicle_id = given.vehicle_id AND bucket < 'epoch'::timestamptz + given.number * interval '10 minutes'
    ORDER BY bucket DESC LIMIT 1
) AS before ON true
LEFT JOIN LATERAL (
    SELECT (extract(epoch FROM bucket) / 600)::integer AS number FROM fleet.geofence_bucket
    WHERE vehicle_id = given.vehicle_id AND bucket > 'epoch'::timestamptz + given.number * interval '10 minutes'
    ORDER BY bucket LIMIT 1
) AS after ON true
ORDER BY given.vehicle_id, given.number
