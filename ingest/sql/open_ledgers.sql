-- Makes the ledger rows that are missing, in the order of the locks.
INSERT INTO fleet.ledger (vehicle_id, boot)
SELECT vehicle_id, boot FROM unnest($1::text::integer[], $2::text::uuid[]) AS given (vehicle_id, boot) ORDER BY vehicle_id, boot
ON CONFLICT DO NOTHING
