-- What was derived last before each (vehicle, bucket).
SELECT given.vehicle_id, r.last::text AS last, r.journey::text AS journey
FROM unnest($1::integer[], $2::integer[]) AS given (vehicle_id, number)
CROSS JOIN LATERAL (
    SELECT last, journey FROM fleet.rollup
    WHERE vehicle_id = given.vehicle_id AND bucket < 'epoch'::timestamptz + given.number * interval '10 minutes'
    ORDER BY bucket DESC LIMIT 1
) AS r
