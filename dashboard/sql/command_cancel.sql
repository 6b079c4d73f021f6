SELECT state, cancelled FROM api.command_cancel($1::uuid, $2::text)
