-- Makes the rows that are missing, so that there is something to lock; the fold fills them in the same transaction.
INSERT INTO fleet.registration (vehicle_id, state, reason, since, epoch, region)
SELECT vehicle_id, 'unknown', 'new', now(), 0, $2 FROM unnest($1::integer[]) AS given (vehicle_id) ORDER BY vehicle_id
ON CONFLICT DO NOTHING
