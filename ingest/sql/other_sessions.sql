-- Who else is connected to this database.
SELECT application_name, usename FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
