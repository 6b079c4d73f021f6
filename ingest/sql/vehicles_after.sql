SELECT id FROM fleet.vehicle WHERE id > $1 ORDER BY id LIMIT $2
