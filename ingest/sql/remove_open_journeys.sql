DELETE FROM fleet.journey WHERE vehicle_id = ANY ($1::integer[]) AND open
