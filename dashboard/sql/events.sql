-- Events, newest first. $1 vehicle, $2 kinds, $3 since, $4 until, $5..$8 time, vehicle, boot and seq of the last before,
-- $9 limit.
SELECT time, vehicle, boot, seq, kind, data, received_at, quality
FROM api.events
WHERE ($1::text IS NULL OR vehicle = $1)
    AND ($2::text[] IS NULL OR kind = ANY ($2))
    AND ($3::timestamptz IS NULL OR time >= $3)
    AND ($4::timestamptz IS NULL OR time < $4)
    AND ($5::timestamptz IS NULL OR (time, vehicle, boot, seq) < ($5, $6::text, $7::uuid, $8::bigint))
ORDER BY time DESC, vehicle DESC, boot DESC, seq DESC
LIMIT $9
