-- Of readings whose number was received before, the rows ($1) that are not what is stored: at their time no reading of this
-- number has the same values. $10, $11: within these times all of them are, so that a hypertable looks into these chunks only.
-- A look-up a row: never a plan that reads the table.
SELECT given.row FROM unnest($1::integer[], $2::integer[], $3::uuid[], $4::bigint[], $5::bigint[], $6::double precision[],
    $7::double precision[], $8::double precision[], $9::double precision[])
    AS given (row, vehicle_id, boot, seq, time_us, lat, lon, speed, odo)
WHERE (
    SELECT true FROM fleet.telemetry AS t
    WHERE t.vehicle_id = given.vehicle_id
        AND t.time = 'epoch'::timestamptz + given.time_us * interval '1 microsecond'
        AND t.time >= 'epoch'::timestamptz + $10::bigint * interval '1 microsecond'
        AND t.time <= 'epoch'::timestamptz + $11::bigint * interval '1 microsecond'
        AND t.boot = given.boot AND t.seq = given.seq
        AND (t.lat, t.lon, t.speed, t.odo) IS NOT DISTINCT FROM (given.lat, given.lon, given.speed, given.odo)
    LIMIT 1
) IS NULL
