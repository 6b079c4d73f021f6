SELECT pg_advisory_lock(hashtext('fleetcell'), hashtext('migrate'))
