-- Every region; storing: its gateway said so, no longer than $1 seconds ago.
SELECT r.name, r.url, r.cells, r.address_pool,
    coalesce(g.storing AND g.heartbeat_at > clock_timestamp() - $1::double precision * interval '1 second', false)
        AS storing
FROM fleet.region AS r
LEFT JOIN fleet.gateway AS g ON g.region = r.name
ORDER BY r.name
