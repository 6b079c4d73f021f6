-- Notes what later readings say of alerts; null: as they were raised.
UPDATE fleet.alert AS a SET holds_at = 'epoch'::timestamptz + given.holds_us * interval '1 microsecond', correction = given.why,
    corrected_at = CASE WHEN given.why IS NOT NULL THEN clock_timestamp() END
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS given (id, holds_us, why)
WHERE a.id = given.id
