-- TimescaleDB, the functions of its Apache build: telemetry is a hypertable, at first of one-day chunks (ingest/chunks.py).

DROP INDEX IF EXISTS fleet.telemetry_time; -- chunks exclude by time already

DO $$
DECLARE
    extension regnamespace := (SELECT extnamespace FROM pg_extension WHERE extname = 'timescaledb');
BEGIN
    EXECUTE format(
        $call$ SELECT %1$s.create_hypertable('fleet.telemetry', %1$s.by_range('time', interval '1 day'),
            create_default_indexes => false, if_not_exists => true, migrate_data => true) $call$, extension);
    -- Whole chunks go at once; what is left is at most one chunk older than the cutoff.
    EXECUTE format(
        $define$
        CREATE OR REPLACE FUNCTION fleet.drop_old_telemetry(cutoff timestamptz, max_rows integer) RETURNS bigint
        LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $body$
            SELECT count(*) FROM %s.drop_chunks('fleet.telemetry', older_than => cutoff)
        $body$
        $define$, extension);
    EXECUTE format(
        $define$
        CREATE OR REPLACE FUNCTION fleet.set_chunk_interval(held interval) RETURNS void
        LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $body$
            SELECT %s.set_chunk_time_interval('fleet.telemetry', held)
        $body$
        $define$, extension);
END
$$;
