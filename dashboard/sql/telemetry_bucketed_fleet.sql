-- The same for many vehicles, each by itself. $1 vehicles, $2 regions, $3 since, $4 until, $5 width, $6..$7 vehicle and
-- start of the last bucket before, $8 limit.
SELECT v.vehicle, t.*
FROM (
    SELECT vehicle_id, vehicle
    FROM api.vehicles
    WHERE ($1::text[] IS NULL OR vehicle = ANY ($1))
        AND ($2::text[] IS NULL OR region = ANY ($2))
        AND ($6::text IS NULL OR vehicle >= $6)
    ORDER BY vehicle
) AS v
CROSS JOIN LATERAL (
    SELECT date_bin($5::interval, time, timestamptz '2001-01-01T00:00:00Z') AS bucket, count(*) AS count{aggregates}
    FROM api.telemetry AS r
    WHERE r.vehicle_id = v.vehicle_id
        AND ($3::timestamptz IS NULL OR time >= $3)
        AND ($4::timestamptz IS NULL OR time < $4)
        AND ($6::text IS NULL OR v.vehicle > $6 OR time >= $7::timestamptz + $5::interval)
        AND quality & 1 = 0
    GROUP BY bucket
    ORDER BY bucket
    LIMIT $8
) AS t
ORDER BY v.vehicle, t.bucket
LIMIT $8
