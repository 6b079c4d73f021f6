SELECT pg_advisory_xact_lock(hashtext('fleetcell hazards'), hashtext($1))
