SELECT id, vehicle, asked_at, asked_by, finished_at, regions, removed FROM api.erasures
WHERE ($1::text IS NULL OR vehicle = $1) AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
