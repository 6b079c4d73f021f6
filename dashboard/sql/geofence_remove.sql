SELECT api.geofence_remove($1::integer, $2::text)
