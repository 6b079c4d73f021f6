-- Vehicles by region and registered state; a vehicle that was never heard has neither.
SELECT region, state, count(*) AS vehicles
FROM api.vehicles
WHERE revoked_at IS NULL
GROUP BY region, state
