-- The ledger has already said that these are new.
INSERT INTO fleet.event (time, vehicle_id, boot, seq, kind, data, received_at, quality)
SELECT 'epoch'::timestamptz + time_us * interval '1 microsecond', vehicle_id, boot, seq, kind, data::jsonb,
    'epoch'::timestamptz + received_us * interval '1 microsecond', quality
FROM unnest($1::bigint[], $2::integer[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::smallint[])
    AS given (time_us, vehicle_id, boot, seq, kind, data, received_us, quality)
