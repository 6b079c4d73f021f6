-- Events by place, and the hazards that vehicles warn each other of.
-- depends: 0005_derived

-- migrate: apply

-- A number of `data` in degrees, where it is one and not outside of -most to most.
CREATE FUNCTION fleet.degrees(data jsonb, key text, most numeric) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
RETURN CASE
    WHEN jsonb_typeof(data -> key) = 'number' AND (data -> key)::numeric BETWEEN -most AND most
        THEN round((data -> key)::numeric, 7)::double precision
END;

ALTER TABLE fleet.event
    ADD COLUMN lat double precision GENERATED ALWAYS AS (fleet.degrees(data, 'lat', 90)) STORED,
    ADD COLUMN lon double precision GENERATED ALWAYS AS (fleet.degrees(data, 'lon', 180)) STORED;

CREATE INDEX event_kind_time ON fleet.event (kind, time DESC);

-- What DENMs told. Nothing here names a vehicle: a station is known by its pseudonym.
CREATE TABLE fleet.hazard (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region       text COLLATE "C" NOT NULL,
    station_id   bigint NOT NULL CHECK (station_id BETWEEN 0 AND 4294967295), -- ETSI actionID: who told it first,
    sequence     integer NOT NULL CHECK (sequence BETWEEN 0 AND 65535),       -- and its number there
    cause        smallint NOT NULL,                     -- TS 102 894-2, causeCode and subCauseCode
    sub_cause    smallint NOT NULL,
    quality      smallint,                              -- informationQuality, 1 to 7; null: not told
    lat          double precision NOT NULL,             -- degrees, WGS 84
    lon          double precision NOT NULL,
    speed        double precision,                      -- km/h, of the event
    heading      double precision,                      -- degrees clockwise from north, of the event
    detected_at  timestamptz NOT NULL,                  -- by the newest message, as all the rest but first_at
    reference_at timestamptz NOT NULL,                  -- when that message was made: the later one holds
    valid_until  timestamptz NOT NULL,
    first_at     timestamptz NOT NULL DEFAULT clock_timestamp(), -- arrival of the first message
    updates      integer NOT NULL DEFAULT 0,
    ended_at     timestamptz,                           -- null: nobody has ended it (it may have expired)
    ended_by     text CHECK (ended_by IN ('cancelled', 'negated')),
    CHECK ((ended_at IS NULL) = (ended_by IS NULL))
);

CREATE INDEX hazard_action ON fleet.hazard (region, station_id, sequence, id DESC);

CREATE INDEX hazard_valid ON fleet.hazard (valid_until) WHERE ended_at IS NULL;

CREATE INDEX hazard_first ON fleet.hazard (first_at DESC, id DESC);

-- migrate: rollback

DROP TABLE fleet.hazard;

DROP INDEX fleet.event_kind_time;

ALTER TABLE fleet.event DROP COLUMN lat, DROP COLUMN lon;

DROP FUNCTION fleet.degrees(jsonb, text, numeric);
