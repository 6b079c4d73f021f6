-- Vehicles that were made or revoked, or whose registration was written, within the last $1.
SELECT vehicle, revoked_at, state, reason, since, evidence, deadline, epoch, n, region, cell, address, seen_address,
    coalesce(cursor, 0) AS cursor
FROM api.vehicles
WHERE updated_at > now() - $1::interval OR created_at > now() - $1::interval OR revoked_at > now() - $1::interval
