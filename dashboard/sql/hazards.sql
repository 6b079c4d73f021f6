-- Hazards, last told first. $1 regions, $2 only active ones, $3 since, $4 until: those that are partly between,
-- $5 id of the last before, $6..$9 west, south, east, north, $10 limit.
SELECT id, region, station_id, sequence, cause, sub_cause, quality, lat, lon, speed, heading, detected_at, reference_at,
    valid_until, first_at, updates, ended_at, state
FROM api.hazards
WHERE ($1::text[] IS NULL OR region = ANY ($1))
    AND (NOT $2::boolean OR (ended_at IS NULL AND valid_until > now()))
    AND ($3::timestamptz IS NULL OR least(ended_at, valid_until) > $3)
    AND ($4::timestamptz IS NULL OR first_at < $4)
    AND ($5::bigint IS NULL OR id < $5)
    AND ($6::double precision IS NULL OR (
        lat BETWEEN $7::double precision AND $9::double precision
        AND CASE WHEN $6 <= $8::double precision THEN lon BETWEEN $6 AND $8 ELSE lon >= $6 OR lon <= $8 END))
ORDER BY id DESC
LIMIT $10
