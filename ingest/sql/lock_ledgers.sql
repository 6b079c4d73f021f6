-- A statement of its own after open_ledgers: its snapshot sees rows that another worker has just made.
SELECT l.vehicle_id, l.boot::text AS boot, l.received::text AS received, l.evicted::text AS evicted,
    l.quarantined::text AS quarantined, l.dead::text AS dead, l.corrected::text AS corrected,
    (extract(epoch FROM l.origin) * 1000000)::bigint AS origin_us
FROM unnest($1::text::integer[], $2::text::uuid[]) AS given (vehicle_id, boot)
JOIN fleet.ledger AS l USING (vehicle_id, boot)
ORDER BY l.vehicle_id, l.boot
FOR UPDATE OF l
