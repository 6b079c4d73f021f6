-- The directory, as the regions registered themselves.
CREATE VIEW api.regions AS
SELECT name AS region, url, cells, address_pool, registered_at FROM fleet.region;
