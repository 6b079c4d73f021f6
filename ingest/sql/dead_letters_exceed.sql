SELECT coalesce(sum(octet_length(payload) + 200) > $2::bigint OR min(last_at) < now() - $1::integer * interval '1 day', false)
FROM fleet.dead_letter
