-- Whether the history of a geofence is still to be derived.
SELECT EXISTS (SELECT FROM api.geofences WHERE pending)
