-- TimescaleDB under the Timescale licence, after tier_timescale_apache.sql: old chunks turn into columns.

DO $$
DECLARE
    extension regnamespace := (SELECT extnamespace FROM pg_extension WHERE extname = 'timescaledb');
BEGIN
    ALTER TABLE fleet.telemetry SET (
        timescaledb.enable_columnstore,
        timescaledb.segmentby = 'vehicle_id',
        timescaledb.orderby = 'time DESC'
    );
    -- Seven days: units that were out of coverage have sent what they held by then.
    EXECUTE format(
        $call$ CALL %s.add_columnstore_policy('fleet.telemetry', after => interval '7 days', if_not_exists => true) $call$,
        extension);
END
$$;
