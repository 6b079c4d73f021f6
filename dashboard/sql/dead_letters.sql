-- Dead letters, last arrived first. $1 vehicle, $2 since, $3 until, $4 and $5 last_at and id of the last before, $6 limit.
SELECT id, topic, split_part(topic, '/', 4) AS vehicle, reason, size, payload, sha256, boot, first_at, last_at, count
FROM api.dead_letters
WHERE ($1::text IS NULL OR split_part(topic, '/', 4) = $1)
    AND ($2::timestamptz IS NULL OR last_at >= $2)
    AND ($3::timestamptz IS NULL OR last_at < $3)
    AND ($4::timestamptz IS NULL OR (last_at, id) < ($4, $5::bigint))
ORDER BY last_at DESC, id DESC
LIMIT $6
