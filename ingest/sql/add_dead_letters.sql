-- Unique by topic and hash: a transaction that is repeated after an unknown COMMIT cannot double them.
INSERT INTO fleet.dead_letter AS d (topic, sha256, payload, size, reason, boot, epoch)
SELECT topic, sha256, payload, size, reason, boot, epoch
FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::integer[], $5::text[], $6::uuid[], $7::bigint[])
    AS given (topic, sha256, payload, size, reason, boot, epoch)
ORDER BY topic, sha256
ON CONFLICT (topic, sha256) DO UPDATE SET count = d.count + 1, last_at = now(), reason = excluded.reason
