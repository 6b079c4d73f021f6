-- Commands, newest first. $1 vehicle, $2 states, $3 and $4 created_at and id of the last before, $5 limit.
SELECT id, vehicle, name, args, require, state, outcome, code, result, error, not_after, created_by, created_at,
    updated_at, epoch, sent, pages
FROM api.commands
WHERE ($1::text IS NULL OR vehicle = $1)
    AND ($2::text[] IS NULL OR state = ANY ($2))
    AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4::uuid))
ORDER BY created_at DESC, id DESC
LIMIT $5
