UPDATE fleet.hazard
SET ended_at = clock_timestamp(), ended_by = $3,
    reference_at = 'epoch'::timestamptz + $2::bigint * interval '1 ms'
WHERE id = $1
