SELECT part, count FROM api.erase_count($1)
