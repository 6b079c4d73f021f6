-- Seconds until the next deadline of the region, as the database's clock has it.
SELECT extract(epoch FROM min(deadline) - clock_timestamp())::double precision FROM fleet.registration WHERE region = $1
