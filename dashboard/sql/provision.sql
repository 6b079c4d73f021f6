SELECT name, created, rotated, revoked FROM api.provision($1::text[], $2::text[], $3::boolean)
