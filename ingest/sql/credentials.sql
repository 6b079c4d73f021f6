SELECT name, mac FROM fleet.vehicle WHERE mac IS NOT NULL AND revoked_at IS NULL AND erased_at IS NULL ORDER BY name
