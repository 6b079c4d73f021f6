-- The vehicles of these names that may send: neither revoked nor erased.
SELECT id, name FROM fleet.vehicle WHERE name = ANY ($1::text[]) AND revoked_at IS NULL AND erased_at IS NULL
