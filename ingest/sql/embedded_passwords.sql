ALTER ROLE postgres PASSWORD '{superuser}';

ALTER ROLE fleetcell PASSWORD '{owner}';

ALTER ROLE fleetcell_dashboard PASSWORD '{dashboard}';

