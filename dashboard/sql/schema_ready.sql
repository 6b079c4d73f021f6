-- Whether ingest has made the schema, and this role may use it.
SELECT CASE WHEN to_regnamespace('api') IS NULL THEN false
    ELSE has_schema_privilege('api', 'USAGE') AND to_regclass('api.feed') IS NOT NULL END
