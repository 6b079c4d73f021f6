SELECT geofence, problem, missing
FROM api.geofence_put($1::integer, $2::text, $3::jsonb, $4::double precision, $5::double precision, $6::text[], $7::boolean,
    $8::boolean, $9::integer, $10::text)
