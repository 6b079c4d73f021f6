-- Events, newest first. $1 vehicle, $2 kinds, $3 since, $4 until, $5..$8 time, vehicle, boot and seq of the last before,
-- $9..$12 west, south, east, north, $13 limit.
SELECT time, vehicle, boot, seq, kind, data, lat, lon, received_at, quality
FROM api.events
WHERE ($1::text IS NULL OR vehicle = $1)
    AND ($2::text[] IS NULL OR kind = ANY ($2))
    AND ($3::timestamptz IS NULL OR time >= $3)
    AND ($4::timestamptz IS NULL OR time < $4)
    AND ($5::timestamptz IS NULL OR (time, vehicle, boot, seq) < ($5, $6::text, $7::uuid, $8::bigint))
    AND ($9::double precision IS NULL OR (
        lat BETWEEN $10::double precision AND $12::double precision
        AND CASE WHEN $9 <= $11::double precision THEN lon BETWEEN $9 AND $11 ELSE lon >= $9 OR lon <= $11 END))
ORDER BY time DESC, vehicle DESC, boot DESC, seq DESC
LIMIT $13
