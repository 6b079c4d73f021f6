-- Makes the rows that are missing, in the order of the locks; write_latest fills them in the same transaction.
INSERT INTO fleet.vehicle_latest (vehicle_id, time)
SELECT vehicle_id, 'epoch' FROM unnest($1::text::integer[]) AS given (vehicle_id) ORDER BY vehicle_id
ON CONFLICT DO NOTHING
