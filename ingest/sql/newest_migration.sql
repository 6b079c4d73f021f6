SELECT max(migration_id) FROM public._pogo_migration
