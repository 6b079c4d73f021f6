SELECT vehicle_id FROM api.vehicles WHERE vehicle = $1
