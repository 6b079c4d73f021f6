SELECT vehicle_id, signals::text AS signals FROM fleet.vehicle_latest WHERE vehicle_id = ANY ($1::text::integer[])
ORDER BY vehicle_id FOR UPDATE
