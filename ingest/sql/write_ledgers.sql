-- The rows are locked, so the sets are written whole; the counters are added.
UPDATE fleet.ledger AS l SET
    received = given.received::int8multirange,
    evicted = given.evicted::int8multirange,
    quarantined = given.quarantined::int8multirange,
    dead = given.dead::int8multirange,
    claimed = greatest(l.claimed, given.claimed),
    duplicates = l.duplicates + given.duplicates,
    late = l.late + given.late,
    max_late = greatest(l.max_late, given.max_late_us * interval '1 microsecond'),
    first_at = least(l.first_at, 'epoch'::timestamptz + given.first_us * interval '1 microsecond'),
    last_at = greatest(l.last_at, 'epoch'::timestamptz + given.last_us * interval '1 microsecond')
FROM unnest($1::integer[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
    $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[]) AS given (vehicle_id, boot, received, evicted, quarantined,
    dead, claimed, duplicates, late, max_late_us, first_us, last_us)
WHERE l.vehicle_id = given.vehicle_id AND l.boot = given.boot
