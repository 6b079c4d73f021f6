-- All vehicles as the hub starts with them.
SELECT vehicle, state, reason, since, evidence, deadline, epoch, n, region, cell, address, seen_address,
    coalesce(cursor, 0) AS cursor, lat, lon, heading, speed, coalesce(position_time, latest_time) AS position_time
FROM api.vehicles
WHERE revoked_at IS NULL
