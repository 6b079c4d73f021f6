-- Rollups, trips and stops, as the dashboard reads them.

CREATE VIEW api.rollups AS
SELECT r.vehicle_id, v.name AS vehicle, r.bucket, r.count, r.first_at, r.last_at, r.distance_m, r.moving_s, r.speed_count,
    r.speed_sum, r.speed_min, r.speed_max, r.soc_used, r.soc_charged, r.fuel_used, r.fuel_filled
FROM fleet.rollup AS r
JOIN fleet.vehicle AS v ON v.id = r.vehicle_id;

-- open: nothing has ended it yet. A trip that nothing was heard of for longer than the longest gap has ended all the
-- same: a vehicle that vanished does not drive for ever.
CREATE VIEW api.journeys AS
SELECT j.vehicle_id, v.name AS vehicle, j.kind, j.start_at, j.end_at,
    j.open AND (j.kind = 'stop'
        OR j.end_at > clock_timestamp() - coalesce((d.rules ->> 'gap_s')::double precision, 0) * interval '1 second') AS open,
    j.start_lat, j.start_lon, j.end_lat, j.end_lon, j.distance_m, j.moving_s, j.speed_max, j.soc_used, j.soc_charged,
    j.fuel_used, j.fuel_filled
FROM fleet.journey AS j
JOIN fleet.vehicle AS v ON v.id = j.vehicle_id
LEFT JOIN fleet.derived_by AS d ON true;

-- Buckets whose readings are not in the above yet: rollups, trips and stops are complete until the first of a vehicle.
CREATE VIEW api.dirty_buckets AS
SELECT vehicle_id, bucket, since FROM fleet.dirty_bucket;

-- Asks the worker to derive a vehicle's dirty buckets now. One row: when that was, and the number of the request; no number
-- where nothing is dirty. What was stored before `asked_at` is derived when api.derive_requests has that number as done.
CREATE FUNCTION api.derive_now(vehicle_id integer) RETURNS TABLE (asked_at timestamptz, request bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    now_ timestamptz := clock_timestamp();
    number bigint;
BEGIN
    IF EXISTS (SELECT FROM fleet.dirty_bucket AS d WHERE d.vehicle_id = derive_now.vehicle_id) THEN
        INSERT INTO fleet.derive_request AS r (vehicle_id) VALUES (derive_now.vehicle_id)
        ON CONFLICT (vehicle_id) DO UPDATE SET asked = r.asked + 1
        RETURNING r.asked INTO number;
        PERFORM pg_notify('fleetcell_derive', '');
    END IF;
    RETURN QUERY SELECT now_, number;
END
$$;

CREATE VIEW api.derive_requests AS
SELECT vehicle_id, asked, done FROM fleet.derive_request;
