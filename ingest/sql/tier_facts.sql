-- What tells the tier. A parameter of the extension is known only when its library was preloaded.
SELECT
    current_setting('server_version') AS server,
    current_setting('server_version_num')::integer / 10000 AS major,
    (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS installed,
    (SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb') AS available,
    EXISTS (SELECT FROM pg_settings WHERE name = 'timescaledb.max_background_workers') AS preloaded,
    current_setting('timescaledb.license', true) AS license
