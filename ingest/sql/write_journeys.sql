INSERT INTO fleet.journey (vehicle_id, bucket, open, kind, start_at, end_at, start_lat, start_lon, end_lat, end_lon,
    distance_m, moving_s, speed_max, soc_used, soc_charged, fuel_used, fuel_filled)
SELECT vehicle_id, 'epoch'::timestamptz + number * interval '10 minutes', open, kind,
    'epoch'::timestamptz + start_us * interval '1 microsecond', 'epoch'::timestamptz + end_us * interval '1 microsecond',
    start_lat, start_lon, end_lat, end_lon, distance_m, moving_s, speed_max, soc_used, soc_charged, fuel_used, fuel_filled
FROM unnest($1::integer[], $2::integer[], $3::boolean[], $4::text[], $5::bigint[], $6::bigint[], $7::double precision[],
    $8::double precision[], $9::double precision[], $10::double precision[], $11::double precision[],
    $12::double precision[], $13::double precision[], $14::double precision[], $15::double precision[],
    $16::double precision[], $17::double precision[]) AS given (vehicle_id, number, open, kind, start_us, end_us,
    start_lat, start_lon, end_lat, end_lon, distance_m, moving_s, speed_max, soc_used, soc_charged, fuel_used, fuel_filled)
