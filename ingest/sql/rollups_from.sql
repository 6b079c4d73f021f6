-- What is derived from each (vehicle, bucket) on, at most $3 of a vehicle.
SELECT given.vehicle_id, (extract(epoch FROM r.bucket) / 600)::integer AS number, r.segments::text AS segments,
    r.last::text AS last, r.journey::text AS journey
FROM unnest($1::integer[], $2::integer[]) AS given (vehicle_id, number)
CROSS JOIN LATERAL (
    SELECT bucket, segments, last, journey FROM fleet.rollup
    WHERE vehicle_id = given.vehicle_id AND bucket >= 'epoch'::timestamptz + given.number * interval '10 minutes'
    ORDER BY bucket LIMIT $3
) AS r
ORDER BY given.vehicle_id, r.bucket
