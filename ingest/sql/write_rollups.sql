INSERT INTO fleet.rollup (vehicle_id, bucket, count, first_at, last_at, distance_m, moving_s, speed_count, speed_sum,
    speed_min, speed_max, soc_used, soc_charged, fuel_used, fuel_filled, segments, last, journey)
SELECT vehicle_id, 'epoch'::timestamptz + number * interval '10 minutes', count,
    'epoch'::timestamptz + first_us * interval '1 microsecond', 'epoch'::timestamptz + last_us * interval '1 microsecond',
    distance_m, moving_s, speed_count, speed_sum, speed_min, speed_max, soc_used, soc_charged, fuel_used, fuel_filled,
    segments::json, last::json, journey::json
FROM unnest($1::integer[], $2::integer[], $3::integer[], $4::bigint[], $5::bigint[], $6::double precision[],
    $7::double precision[], $8::integer[], $9::double precision[], $10::double precision[], $11::double precision[],
    $12::double precision[], $13::double precision[], $14::double precision[], $15::double precision[], $16::text[],
    $17::text[], $18::text[]) AS given (vehicle_id, number, count, first_us, last_us, distance_m, moving_s, speed_count,
    speed_sum, speed_min, speed_max, soc_used, soc_charged, fuel_used, fuel_filled, segments, last, journey)
ON CONFLICT (vehicle_id, bucket) DO UPDATE SET
    count = excluded.count, first_at = excluded.first_at, last_at = excluded.last_at, distance_m = excluded.distance_m,
    moving_s = excluded.moving_s, speed_count = excluded.speed_count, speed_sum = excluded.speed_sum,
    speed_min = excluded.speed_min, speed_max = excluded.speed_max, soc_used = excluded.soc_used,
    soc_charged = excluded.soc_charged, fuel_used = excluded.fuel_used, fuel_filled = excluded.fuel_filled,
    segments = excluded.segments, last = excluded.last, journey = excluded.journey
