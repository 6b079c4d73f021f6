-- Readings of one vehicle. $1 vehicle, $2 since, $3 until, $4..$6 time, boot and seq of the last reading before,
-- $7 limit (null: all). {columns}: columns of the signal catalogue; {after}: > or <; {order}: ASC or DESC.
SELECT time, boot, seq, received_at, quality, {columns} extra
FROM api.telemetry
WHERE vehicle_id = $1
    AND ($2::timestamptz IS NULL OR time >= $2)
    AND ($3::timestamptz IS NULL OR time < $3)
    AND ($4::timestamptz IS NULL OR (time, boot, seq) {after} ($4, $5::uuid, $6::bigint))
ORDER BY time {order}, boot {order}, seq {order}
LIMIT $7
