UPDATE fleet.hazard
SET cause = $2, sub_cause = $3, quality = $4, lat = $5, lon = $6, speed = $7, heading = $8,
    detected_at = 'epoch'::timestamptz + $9::bigint * interval '1 ms',
    reference_at = 'epoch'::timestamptz + $10::bigint * interval '1 ms',
    valid_until = 'epoch'::timestamptz + $11::bigint * interval '1 ms',
    updates = updates + 1
WHERE id = $1
