SELECT pg_try_advisory_lock(hashtext('fleetcell'), hashtext('derive'))
