SELECT id, vehicle, name, args, require, state, outcome, code, result, error, not_after, created_by, created_at,
    updated_at, epoch, sent, pages
FROM api.commands
WHERE id = $1::uuid
