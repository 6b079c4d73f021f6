SELECT id, created, problem
FROM api.command_add($1::text, $2::text, $3::jsonb, $4::jsonb, $5::timestamptz, $6::double precision, $7::text, $8::text)
