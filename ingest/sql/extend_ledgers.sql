-- Locks the rows in order, and adds to each what a batch says of it, where none of it is there yet and the origin agrees.
-- What is not returned has only been locked, if it is there. Where another worker had the lock, the update meets the row
-- as that one left it, and the conditions are looked at again.
WITH given AS MATERIALIZED (
    SELECT l.vehicle_id, l.boot, g.numbers::int8multirange AS numbers, g.lateness::bigint[] AS n, g.last, g.max_late_us,
        g.own_us, g.low_us, g.high_us, g.from_us, g.until_us, g.first_us, g.last_us
    FROM unnest($1::text::integer[], $2::text::uuid[], $3::text[], $4::text::bigint[], $5::text[], $6::text::bigint[],
        $7::text::double precision[], $8::text::double precision[], $9::text::double precision[], $10::text::bigint[],
        $11::text::bigint[], $12::text::bigint[], $13::text::bigint[])
        AS g (vehicle_id, boot, numbers, last, lateness, max_late_us, own_us, low_us, high_us, from_us, until_us, first_us,
        last_us)
    JOIN fleet.ledger AS l USING (vehicle_id, boot)
    ORDER BY l.vehicle_id, l.boot
    FOR UPDATE OF l
)
UPDATE fleet.ledger AS l SET
    received = l.received + given.numbers,
    lateness = ARRAY[l.lateness[1] + n[1], l.lateness[2] + n[2], l.lateness[3] + n[3], l.lateness[4] + n[4],
        l.lateness[5] + n[5], l.lateness[6] + n[6], l.lateness[7] + n[7], l.lateness[8] + n[8], l.lateness[9] + n[9]],
    late = l.late + n[4] + n[5] + n[6] + n[7] + n[8] + n[9], -- over a minute, LATE_US
    origin = least(l.origin, 'epoch'::timestamptz + given.own_us * interval '1 microsecond'),
    claimed = greatest(l.claimed, given.last),
    max_late = greatest(l.max_late, given.max_late_us * interval '1 microsecond'),
    measured_from = least(l.measured_from, 'epoch'::timestamptz + given.from_us * interval '1 microsecond'),
    measured_until = greatest(l.measured_until, 'epoch'::timestamptz + given.until_us * interval '1 microsecond'),
    first_at = least(l.first_at, 'epoch'::timestamptz + given.first_us * interval '1 microsecond'),
    last_at = greatest(l.last_at, 'epoch'::timestamptz + given.last_us * interval '1 microsecond')
FROM given
WHERE l.vehicle_id = given.vehicle_id AND l.boot = given.boot
    AND NOT l.received && given.numbers AND NOT l.dead && given.numbers AND NOT l.evicted && given.numbers
    AND (l.origin IS NULL OR given.low_us IS NULL
        OR l.origin BETWEEN 'epoch'::timestamptz + given.low_us * interval '1 microsecond'
            AND 'epoch'::timestamptz + given.high_us * interval '1 microsecond')
RETURNING l.vehicle_id, l.boot::text AS boot, (l.received + l.dead + l.evicted)::text AS settled
