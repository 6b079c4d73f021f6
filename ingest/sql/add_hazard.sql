INSERT INTO fleet.hazard (region, station_id, sequence, cause, sub_cause, quality, lat, lon, speed, heading,
    detected_at, reference_at, valid_until)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'epoch'::timestamptz + $11::bigint * interval '1 ms',
    'epoch'::timestamptz + $12::bigint * interval '1 ms', 'epoch'::timestamptz + $13::bigint * interval '1 ms')
