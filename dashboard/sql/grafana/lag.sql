SELECT max(lag_s) AS "lag", max(heartbeat_age_s) AS "heartbeat age" FROM api.gateways
