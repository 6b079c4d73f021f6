-- Unique by topic and hash: a transaction that is repeated after an unknown COMMIT cannot double them.
INSERT INTO fleet.dead_letter AS d (topic, sha256, payload, size, reason)
SELECT topic, sha256, payload, octet_length(payload), reason
FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::text[]) AS given (topic, sha256, payload, reason)
ORDER BY topic, sha256
ON CONFLICT (topic, sha256) DO UPDATE SET count = d.count + 1, last_at = now(), reason = excluded.reason
