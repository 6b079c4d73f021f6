SELECT state, acknowledged FROM api.alert_acknowledge($1::bigint, $2::text)
