SELECT vehicle FROM api.vehicles WHERE revoked_at IS NULL ORDER BY vehicle
