SELECT name, role, password_hash FROM api.user_get($1)
