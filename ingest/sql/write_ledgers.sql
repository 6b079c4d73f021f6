-- The rows are locked, so the sets are written whole; the counters are added.
UPDATE fleet.ledger AS l SET
    received = given.received::int8multirange,
    evicted = given.evicted::int8multirange,
    quarantined = given.quarantined::int8multirange,
    dead = given.dead::int8multirange,
    corrected = given.corrected::int8multirange,
    lateness = ARRAY[l.lateness[1] + late.n[1], l.lateness[2] + late.n[2], l.lateness[3] + late.n[3],
        l.lateness[4] + late.n[4], l.lateness[5] + late.n[5], l.lateness[6] + late.n[6], l.lateness[7] + late.n[7],
        l.lateness[8] + late.n[8], l.lateness[9] + late.n[9]],
    origin = 'epoch'::timestamptz + given.origin_us * interval '1 microsecond',
    claimed = greatest(l.claimed, given.claimed),
    duplicates = l.duplicates + given.duplicates,
    late = l.late + late.n[4] + late.n[5] + late.n[6] + late.n[7] + late.n[8] + late.n[9], -- over a minute, LATE_US
    max_late = greatest(l.max_late, given.max_late_us * interval '1 microsecond'),
    measured_from = least(l.measured_from, 'epoch'::timestamptz + given.from_us * interval '1 microsecond'),
    measured_until = greatest(l.measured_until, 'epoch'::timestamptz + given.until_us * interval '1 microsecond'),
    first_at = least(l.first_at, 'epoch'::timestamptz + given.first_us * interval '1 microsecond'),
    last_at = greatest(l.last_at, 'epoch'::timestamptz + given.last_us * interval '1 microsecond')
FROM unnest($1::text::integer[], $2::text::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[])
    AS given (vehicle_id, boot, received, evicted, quarantined, dead, corrected, lateness, origin_us, claimed,
    duplicates, max_late_us, from_us, until_us, first_us, last_us)
CROSS JOIN LATERAL (SELECT given.lateness::bigint[] AS n OFFSET 0) AS late -- read once a row
WHERE l.vehicle_id = given.vehicle_id AND l.boot = given.boot
