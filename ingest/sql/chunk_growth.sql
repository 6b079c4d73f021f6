-- The chunk that covers now: its bytes with indexes, and since when it has been written.
SELECT
    pg_total_relation_size(format('%I.%I', c.chunk_schema, c.chunk_name)::regclass) AS bytes,
    extract(epoch FROM clock_timestamp() - greatest(c.range_start, c.chunk_creation_time))::double precision AS seconds,
    (SELECT d.time_interval FROM timescaledb_information.dimensions AS d
        WHERE d.hypertable_schema = 'fleet' AND d.hypertable_name = 'telemetry') AS held,
    pg_size_bytes(current_setting('shared_buffers')) AS shared_buffers
FROM timescaledb_information.chunks AS c
WHERE c.hypertable_schema = 'fleet' AND c.hypertable_name = 'telemetry'
    AND c.range_start <= clock_timestamp() AND c.range_end > clock_timestamp()
