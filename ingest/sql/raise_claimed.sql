-- A claim says which numbers exist: a loss at the end of a boot is seen too.
INSERT INTO fleet.ledger AS l (vehicle_id, boot, claimed)
SELECT vehicle_id, boot, claimed FROM unnest($1::integer[], $2::uuid[], $3::bigint[]) AS given (vehicle_id, boot, claimed)
ORDER BY vehicle_id, boot
ON CONFLICT (vehicle_id, boot) DO UPDATE SET claimed = excluded.claimed WHERE l.claimed < excluded.claimed
