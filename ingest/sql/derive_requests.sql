-- The vehicles that somebody waits for, at most $1, and the number of the newest request of each.
SELECT vehicle_id, asked FROM fleet.derive_request WHERE done < asked ORDER BY vehicle_id LIMIT $1
