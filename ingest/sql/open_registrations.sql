-- Makes the rows that are missing, so that there is something to lock; the fold fills them in the same transaction.
INSERT INTO fleet.registration (vehicle_id, state, reason, since, epoch, region)
SELECT v.id, 'unknown', 'new', v.created_at, 0, $2
FROM unnest($1::integer[]) AS given (vehicle_id) JOIN fleet.vehicle AS v ON v.id = given.vehicle_id ORDER BY v.id
ON CONFLICT DO NOTHING
