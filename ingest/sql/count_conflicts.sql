-- Numbers that another reading had already; the rows are locked.
UPDATE fleet.ledger AS l SET
    conflicts = l.conflicts + given.conflicts,
    conflict_at = greatest(l.conflict_at, 'epoch'::timestamptz + given.last_us * interval '1 microsecond')
FROM unnest($1::text::integer[], $2::text::uuid[], $3::bigint[], $4::bigint[]) AS given (vehicle_id, boot, conflicts, last_us)
WHERE l.vehicle_id = given.vehicle_id AND l.boot = given.boot
