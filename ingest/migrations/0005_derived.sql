-- What is derived from the readings: rollups of ten minutes, trips and stops; and dead letters that can be replayed.
-- depends: 0003_presence 0004_regions

-- migrate: apply

-- Buckets whose readings changed since they were derived. Ingest marks them in the transaction that stores readings.
CREATE TABLE fleet.dirty_bucket (
    vehicle_id  integer NOT NULL,
    bucket      timestamptz NOT NULL,                   -- its beginning; ten minutes long, counted from 1970
    marks       bigint NOT NULL DEFAULT 1,              -- the worker takes off only the mark that it has seen
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (vehicle_id, bucket)
) WITH (fillfactor = 50);                               -- marked by every batch: room for HOT updates

-- Figures belong to the steps between readings that end in the bucket; see ingest/derive/summary.py.
CREATE TABLE fleet.rollup (
    vehicle_id  integer NOT NULL,
    bucket      timestamptz NOT NULL,
    count       integer NOT NULL,                       -- readings, without those whose clock is wrong
    first_at    timestamptz NOT NULL,
    last_at     timestamptz NOT NULL,
    distance_m  double precision NOT NULL,
    moving_s    double precision NOT NULL,
    speed_count integer NOT NULL,                       -- readings with a speed
    speed_sum   double precision NOT NULL,              -- km/h
    speed_min   double precision,
    speed_max   double precision,
    soc_used    double precision NOT NULL,              -- percent points of the traction battery, as the next
    soc_charged double precision NOT NULL,
    fuel_used   double precision NOT NULL,              -- percent points of the tank, as the next
    fuel_filled double precision NOT NULL,
    segments    json NOT NULL,                          -- what the worker joins to trips and stops
    last        json NOT NULL,                          -- what was last known at its end: the next bucket goes on there
    journey     json NOT NULL,                          -- what is under way at its end
    PRIMARY KEY (vehicle_id, bucket)
) WITH (fillfactor = 70);

CREATE INDEX rollup_bucket ON fleet.rollup USING brin (bucket); -- for the retention

CREATE TABLE fleet.journey (
    vehicle_id  integer NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('trip', 'stop')),
    start_at    timestamptz NOT NULL,
    end_at      timestamptz NOT NULL,                   -- of one that is open: its last reading
    open        boolean NOT NULL,                       -- it may go on
    bucket      timestamptz NOT NULL,                   -- the one whose readings ended it; open: of its end
    start_lat   double precision,
    start_lon   double precision,
    end_lat     double precision,
    end_lon     double precision,
    distance_m  double precision NOT NULL,
    moving_s    double precision NOT NULL,
    speed_max   double precision,
    soc_used    double precision NOT NULL,
    soc_charged double precision NOT NULL,
    fuel_used   double precision NOT NULL,
    fuel_filled double precision NOT NULL,
    PRIMARY KEY (vehicle_id, kind, start_at)
);

CREATE INDEX journey_bucket ON fleet.journey (vehicle_id, bucket);

-- The rules by which all of it was derived; others make every bucket dirty.
CREATE TABLE fleet.derived_by (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    rules       json NOT NULL
);

-- What was stored before this migration.
INSERT INTO fleet.dirty_bucket (vehicle_id, bucket)
SELECT DISTINCT vehicle_id, date_bin('10 minutes', time, 'epoch') FROM fleet.telemetry WHERE quality & 1 = 0;

ALTER TABLE fleet.dead_letter
    ADD COLUMN boot uuid,                               -- of a single sample or event; null: a whole message
    ADD COLUMN epoch bigint;

-- migrate: rollback

ALTER TABLE fleet.dead_letter DROP COLUMN boot, DROP COLUMN epoch;

DROP TABLE fleet.derived_by, fleet.journey, fleet.rollup, fleet.dirty_bucket;
