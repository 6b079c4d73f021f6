-- The directory: each region's broker for units, and its H3 cells.
SELECT region, url, cells FROM api.regions
