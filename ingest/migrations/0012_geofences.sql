-- Geofences: areas, when vehicles were in them, and alerts.
-- depends: 0011_erase

-- migrate: apply

CREATE TABLE fleet.geofence (
    id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    geometry     json NOT NULL,                         -- GeoJSON: Polygon, MultiPolygon, or Point with radius_m
    radius_m     double precision,
    margin_m     double precision NOT NULL,             -- a vehicle has left when it is this far outside
    restricted   boolean NOT NULL,                      -- holds for those of geofence_vehicle only
    alert_enter  boolean NOT NULL,
    alert_exit   boolean NOT NULL,
    dwell_s      integer CHECK (dwell_s BETWEEN 1 AND 2592000), -- alert when a vehicle stays this long; null: never
    version      integer NOT NULL DEFAULT 1,            -- counts changes that make another history
    backfill_after integer DEFAULT 0,                   -- history of the vehicles after it is to be derived; null: of none
    marked_at    timestamptz,                           -- when buckets were marked for that last
    alerts_from  timestamptz,                           -- what was before it raises no alert; null: nothing does, yet
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by   text NOT NULL,                         -- a user or an API key
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_by   text NOT NULL,
    removed_at   timestamptz,                           -- its alerts stay
    removed_by   text,
    CHECK ((removed_at IS NULL) = (removed_by IS NULL))
);

CREATE UNIQUE INDEX geofence_name ON fleet.geofence (name) WHERE removed_at IS NULL;

CREATE TABLE fleet.geofence_vehicle (
    geofence_id  integer NOT NULL REFERENCES fleet.geofence,
    vehicle_id   integer NOT NULL REFERENCES fleet.vehicle,
    PRIMARY KEY (geofence_id, vehicle_id)
);

CREATE INDEX geofence_vehicle_vehicle ON fleet.geofence_vehicle (vehicle_id);

-- Where a vehicle was in a bucket of ten minutes, and what the next bucket goes on from. Kept while there are geofences.
CREATE TABLE fleet.geofence_bucket (
    vehicle_id   integer NOT NULL,
    bucket       timestamptz NOT NULL,
    position_at  timestamptz,                           -- the last position that counts, in it or before; null: none yet
    lat          double precision,
    lon          double precision,
    south        double precision,                      -- the box around its positions that count; null: it has none
    west         double precision,
    north        double precision,
    east         double precision,
    inside       jsonb NOT NULL,                        -- {geofence: when entered, in us, while dwell_s is to come}, at its end
    PRIMARY KEY (vehicle_id, bucket)
) WITH (fillfactor = 70);

-- What the readings of a bucket say of a vehicle and a geofence.
CREATE TABLE fleet.geofence_crossing (
    vehicle_id   integer NOT NULL,
    geofence_id  integer NOT NULL,                      -- no foreign key: the worker may write while one is removed
    at           timestamptz NOT NULL,                  -- of the position that shows it; after a silence: of the last before
    kind         text NOT NULL CHECK (kind IN ('enter', 'exit', 'dwell', 'gap')),
    bucket       timestamptz NOT NULL,
    before_at    timestamptz,                           -- the position before; gap: where it begins
    silence      boolean NOT NULL,                      -- nobody saw it: it lies in a long silence
    lat          double precision NOT NULL,
    lon          double precision NOT NULL,
    PRIMARY KEY (vehicle_id, geofence_id, at, kind)
);

CREATE INDEX geofence_crossing_bucket ON fleet.geofence_crossing (vehicle_id, bucket);

CREATE INDEX geofence_crossing_at ON fleet.geofence_crossing (geofence_id, kind, at DESC, vehicle_id DESC);

CREATE TABLE fleet.alert (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vehicle_id   integer NOT NULL REFERENCES fleet.vehicle,
    geofence_id  integer NOT NULL REFERENCES fleet.geofence,
    geofence     text COLLATE "C" NOT NULL,             -- its name when it was raised, as its version
    version      integer NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('enter', 'exit', 'dwell')),
    at           timestamptz NOT NULL,                  -- of the crossing that raised it
    lat          double precision NOT NULL,
    lon          double precision NOT NULL,
    raised_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    holds_at     timestamptz,                           -- of the crossing as it is known now; null: there was none
    correction   text CHECK (correction IN ('moved', 'withdrawn')), -- by what came later
    corrected_at timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text,                               -- a user or an API key
    UNIQUE (vehicle_id, geofence_id, version, kind, at),
    CHECK ((correction IS NULL) = (corrected_at IS NULL)),
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
);

CREATE INDEX alert_raised ON fleet.alert (raised_at);

-- migrate: rollback

DROP TABLE fleet.alert, fleet.geofence_crossing, fleet.geofence_bucket, fleet.geofence_vehicle, fleet.geofence;
