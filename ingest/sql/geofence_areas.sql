SELECT id, geometry::text AS geometry, radius_m FROM fleet.geofence WHERE id = ANY ($1::integer[])
