-- Removes dead letters older than $1 days, and the oldest while all of them are more than $2 bytes; how many.
-- 200: about what a row takes besides its payload.
WITH counted AS (
    SELECT id, last_at, sum(octet_length(payload) + 200) OVER (ORDER BY last_at DESC, id DESC) AS bytes
    FROM fleet.dead_letter
), gone AS (
    DELETE FROM fleet.dead_letter AS d USING counted AS c
    WHERE d.id = c.id AND (c.bytes > $2::bigint OR c.last_at < now() - $1::integer * interval '1 day')
    RETURNING d.id
)
SELECT count(*)::integer FROM gone
