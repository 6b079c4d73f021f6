-- Of events whose number was received before, the rows ($1) that are not what is stored.
SELECT given.row FROM unnest($1::integer[], $2::integer[], $3::uuid[], $4::bigint[], $5::bigint[], $6::text[])
    AS given (row, vehicle_id, boot, seq, time_us, kind)
WHERE NOT EXISTS (
    SELECT FROM fleet.event AS e
    WHERE e.vehicle_id = given.vehicle_id AND e.boot = given.boot AND e.seq = given.seq AND e.kind = given.kind
        AND e.time = 'epoch'::timestamptz + given.time_us * interval '1 microsecond'
)
