SELECT vehicle, lat, lon, speed, heading, state, reason, position_time AS "measured"
FROM api.vehicles
WHERE revoked_at IS NULL AND lat IS NOT NULL AND lon IS NOT NULL
