SELECT api.key_put($1, $2, $3)
