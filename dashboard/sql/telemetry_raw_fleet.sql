-- Readings of many vehicles: by vehicle, then by time. $1 vehicles, $2 regions (null: all), $3 since, $4 until,
-- $5..$8 vehicle, time, boot and seq of the last reading before, $9 limit (null: all).
SELECT v.vehicle, t.*
FROM (
    SELECT vehicle_id, vehicle
    FROM api.vehicles
    WHERE ($1::text[] IS NULL OR vehicle = ANY ($1))
        AND ($2::text[] IS NULL OR region = ANY ($2))
        AND ($5::text IS NULL OR vehicle >= $5)
    ORDER BY vehicle
) AS v
CROSS JOIN LATERAL (
    SELECT time, boot, seq, received_at, quality, {columns} extra
    FROM api.telemetry AS r
    WHERE r.vehicle_id = v.vehicle_id
        AND ($3::timestamptz IS NULL OR time >= $3)
        AND ($4::timestamptz IS NULL OR time < $4)
        AND ($5::text IS NULL OR v.vehicle > $5 OR (time, boot, seq) {after} ($6::timestamptz, $7::uuid, $8::bigint))
    ORDER BY time {order}, boot {order}, seq {order}
    LIMIT $9
) AS t
ORDER BY v.vehicle, t.time {order}, t.boot {order}, t.seq {order}
LIMIT $9
