-- An erasure waits for the end of this transaction before it looks for the last time; both never wait for each other.
SELECT pg_advisory_xact_lock_shared(hashtext('fleetcell'), hashtext('erase'))
