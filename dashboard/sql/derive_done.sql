-- Whether request $2 of vehicle $1 is done.
SELECT done >= $2::bigint FROM api.derive_requests WHERE vehicle_id = $1
