-- The presence feed: its generation, its newest cursor and the database's clock.
SELECT generation::text AS generation, cursor, now() AS at FROM api.feed
