SELECT pg_notify('fleetcell_signs', $1);
