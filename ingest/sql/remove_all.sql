DROP SCHEMA IF EXISTS api CASCADE;

DROP SCHEMA fleet CASCADE;

DROP TABLE IF EXISTS public._pogo_migration, public._pogo_version;
