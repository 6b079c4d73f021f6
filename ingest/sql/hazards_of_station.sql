SELECT count(*) FROM fleet.hazard
WHERE region = $1 AND station_id = $2 AND ended_at IS NULL AND valid_until > now()
