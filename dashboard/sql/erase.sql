SELECT api.erase($1, $2) AS id
