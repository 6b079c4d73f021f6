SELECT pg_try_advisory_lock(hashtext('fleetcell eraser'), 0)
