SELECT api.set_retention($1, $2)
