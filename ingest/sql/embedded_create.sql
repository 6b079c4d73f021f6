-- Run once in a new cluster, by the single-user mode of PostgreSQL: a blank line ends a statement there.

CREATE ROLE fleetcell LOGIN;

CREATE ROLE fleetcell_dashboard LOGIN;

CREATE DATABASE fleetcell OWNER fleetcell;

REVOKE ALL ON DATABASE fleetcell, postgres, template1 FROM PUBLIC;

GRANT CONNECT ON DATABASE fleetcell TO fleetcell_dashboard;

