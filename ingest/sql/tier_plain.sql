-- Plain PostgreSQL: telemetry is an ordinary table.

-- Rows arrive nearly in the order of time, so a few bytes for every 32 pages tell which pages a time range needs.
CREATE INDEX IF NOT EXISTS telemetry_time ON fleet.telemetry USING brin (time)
    WITH (pages_per_range = 32, autosummarize = on);

CREATE OR REPLACE FUNCTION fleet.drop_old_telemetry(cutoff timestamptz, max_rows integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    removed bigint;
BEGIN
    DELETE FROM fleet.telemetry
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM fleet.telemetry WHERE time < cutoff LIMIT max_rows));
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
