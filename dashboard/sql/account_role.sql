-- The role that an account has now: $1 `key` or `user`, $2 its name. No row: it was revoked or removed.
SELECT role FROM api.api_keys WHERE $1 = 'key' AND name = $2 AND revoked_at IS NULL
UNION ALL
SELECT role FROM api.users WHERE $1 = 'user' AND name = $2
