SELECT at, event, state, detail FROM api.command_steps WHERE command_id = $1::uuid ORDER BY id
