-- Deny by default, then what the dashboard needs. Runs only where the role exists.

REVOKE ALL ON ALL TABLES IN SCHEMA fleet, api FROM PUBLIC, fleetcell_dashboard;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA fleet, api FROM PUBLIC, fleetcell_dashboard;

REVOKE ALL ON SCHEMA fleet, api FROM PUBLIC, fleetcell_dashboard;

GRANT USAGE ON SCHEMA api TO fleetcell_dashboard;

GRANT SELECT ON ALL TABLES IN SCHEMA api TO fleetcell_dashboard;

GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA api TO fleetcell_dashboard;

-- The views call these two; without USAGE on the schema nobody can name them otherwise.
GRANT EXECUTE ON FUNCTION fleet.numbers(int8multirange), fleet.feed_generation() TO fleetcell_dashboard;
