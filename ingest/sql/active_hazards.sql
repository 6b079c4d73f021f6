SELECT count(*) FROM fleet.hazard WHERE region = $1 AND ended_at IS NULL AND valid_until > now()
