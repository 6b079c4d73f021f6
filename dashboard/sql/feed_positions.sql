-- Positions that are newer than $1; read only while the broker does not bring them.
SELECT vehicle, lat, lon, heading, speed, position_time
FROM api.vehicles
WHERE position_time > $1 AND lat IS NOT NULL AND lon IS NOT NULL AND revoked_at IS NULL
