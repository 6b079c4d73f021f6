SELECT asked_at, request FROM api.derive_now($1)
