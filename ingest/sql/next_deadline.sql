-- The next deadline of the region.
SELECT min(deadline) FROM fleet.registration WHERE region = $1
