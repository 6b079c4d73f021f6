-- Dead letters after $1, of one vehicle or ($2 null) of all; those of which only the beginning was kept are left out.
SELECT id, topic, sha256, payload, reason, boot, epoch, (extract(epoch FROM first_at) * 1e6)::bigint AS received_us
FROM fleet.dead_letter
WHERE id > $1 AND ($2::text IS NULL OR split_part(topic, '/', 4) = $2) AND octet_length(payload) = size
ORDER BY id LIMIT $3
