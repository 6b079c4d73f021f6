-- Seconds since a region's ingest last said that it is there.
SELECT extract(epoch FROM clock_timestamp() - heartbeat_at)::double precision FROM fleet.gateway WHERE region = $1
