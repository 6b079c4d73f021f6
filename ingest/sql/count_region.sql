-- How many vehicles of a region are in these states.
SELECT count(*) FROM fleet.registration WHERE region = $1 AND state = ANY ($2::text[])
