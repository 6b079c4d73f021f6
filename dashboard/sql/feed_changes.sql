-- Presence events after cursor $1, up to $2 (null: no end), oldest first, $3 at most.
SELECT vehicle, at, state, reason, evidence, deadline, epoch, n, region, cell, address, seen_address, cursor,
    previous_region, learned_at
FROM api.presence_events
WHERE cursor > $1 AND cursor <= coalesce($2, 9223372036854775807)
ORDER BY cursor
LIMIT $3
