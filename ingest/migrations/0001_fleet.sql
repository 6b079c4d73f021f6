-- The first tables: vehicles, readings, the delivery ledger, the presence register, access.
-- depends:

-- Columns and tables that the first sketch of the schema did not have:
--   registration.lost         as in fleetcell.contract.presence.Registration
--   vehicle_latest.position_time   lat, lon, heading and speed may be older than the newest signal
--   presence_event.previous_region the gateway that a vehicle left clears its retained state by it
--   dead_letter.size          bytes that arrived; the kept payload may be cut
--   event.quality             as in telemetry
-- A presence event is written by fleet.append_presence_events(jsonb), several at once, as the transaction's last statement.
-- Views, functions and grants are not migrations: ingest/sql/schema/*.sql is run again whenever it changes.
-- Names are compared by byte (COLLATE "C"): the same order in every database, and prefixes use the index.

-- migrate: apply

CREATE SCHEMA fleet;

CREATE TABLE fleet.vehicle (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text COLLATE "C" NOT NULL UNIQUE CHECK (name ~ '^[A-Za-z0-9_-]{1,64}$'),
    mac         text,                                   -- HMAC-SHA-256 of the unit's secret, hex; null once erased
    created_at  timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz,
    erased_at   timestamptz                             -- tombstone: late messages are dropped, the name stays
);

CREATE TABLE fleet.telemetry (
    time        timestamptz NOT NULL,                   -- when it was measured
    vehicle_id  integer NOT NULL,                       -- no foreign key: it would cost a look-up a row
    boot        uuid NOT NULL,
    seq         bigint NOT NULL,
    lat         double precision,                       -- degrees, WGS 84
    lon         double precision,
    alt         double precision,                       -- m
    acc         double precision,                       -- m, horizontal
    speed       double precision,                       -- km/h
    heading     double precision,                       -- degrees clockwise from north
    odo         double precision,                       -- km
    soc         double precision,                       -- % of the traction battery
    fuel        double precision,                       -- %
    range       double precision,                       -- km
    rpm         double precision,                       -- 1/min
    coolant     double precision,                       -- degrees Celsius
    lvbat       double precision,                       -- V
    ignition    boolean,
    gear        integer,
    brake       double precision,                       -- %
    rsrp        double precision,                       -- dBm
    rat         text,
    cell        text,
    extra       jsonb,                                  -- every other signal, by wire key
    received_at timestamptz NOT NULL,
    quality     smallint NOT NULL DEFAULT 0             -- bit flags, 0 is good
);

CREATE INDEX telemetry_vehicle_time ON fleet.telemetry (vehicle_id, time DESC);

CREATE TABLE fleet.ledger (
    vehicle_id  integer NOT NULL REFERENCES fleet.vehicle,
    boot        uuid NOT NULL,
    received    int8multirange NOT NULL DEFAULT '{}',   -- stored, as a reading or an event
    evicted     int8multirange NOT NULL DEFAULT '{}',   -- given up by the unit, as it declared
    quarantined int8multirange NOT NULL DEFAULT '{}',   -- stored, dated by arrival: the clock was wrong
    dead        int8multirange NOT NULL DEFAULT '{}',   -- in dead_letter
    claimed     bigint NOT NULL DEFAULT 0,              -- the last sequence number known to exist
    duplicates  bigint NOT NULL DEFAULT 0,
    late        bigint NOT NULL DEFAULT 0,
    max_late    interval NOT NULL DEFAULT '0',
    first_at    timestamptz NOT NULL DEFAULT now(),     -- arrival of the first and of the last batch
    last_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vehicle_id, boot)
) WITH (fillfactor = 50);                               -- rewritten by every batch: room for HOT updates

CREATE TABLE fleet.vehicle_latest (
    vehicle_id  integer PRIMARY KEY REFERENCES fleet.vehicle,
    time        timestamptz NOT NULL,                   -- of the newest reading
    position_time timestamptz,                          -- of lat, lon, heading and speed
    lat         double precision,
    lon         double precision,
    heading     double precision,
    speed       double precision,
    signals     jsonb NOT NULL DEFAULT '{}',            -- {key: {"v": value, "t": epoch ms}}, newest measured wins
    received_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE fleet.event (
    time        timestamptz NOT NULL,
    vehicle_id  integer NOT NULL REFERENCES fleet.vehicle,
    boot        uuid NOT NULL,
    seq         bigint NOT NULL,
    kind        text NOT NULL,
    data        jsonb NOT NULL DEFAULT '{}',
    received_at timestamptz NOT NULL DEFAULT now(),
    quality     smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (vehicle_id, boot, seq)
);

CREATE INDEX event_vehicle_time ON fleet.event (vehicle_id, time DESC);

CREATE INDEX event_time ON fleet.event (time DESC);

CREATE TABLE fleet.dead_letter (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic       text NOT NULL,
    sha256      bytea NOT NULL CHECK (octet_length(sha256) = 32), -- of the whole payload
    payload     bytea NOT NULL,                         -- its beginning, where it was too large to keep
    size        integer NOT NULL,
    reason      text NOT NULL,
    first_at    timestamptz NOT NULL DEFAULT now(),
    last_at     timestamptz NOT NULL DEFAULT now(),
    count       bigint NOT NULL DEFAULT 1,
    UNIQUE (topic, sha256)
);

CREATE INDEX dead_letter_last ON fleet.dead_letter (last_at);

CREATE TABLE fleet.registration (
    vehicle_id  integer PRIMARY KEY REFERENCES fleet.vehicle,
    state       text NOT NULL CHECK (state IN ('online', 'suspect', 'asleep', 'offline', 'unknown')),
    reason      text NOT NULL,
    since       timestamptz NOT NULL,
    evidence    jsonb NOT NULL DEFAULT '{}',
    deadline    timestamptz,                            -- when it changes if nothing is heard
    epoch       bigint NOT NULL,
    n           bigint,                                 -- null: none heard (a will carries none)
    region      text COLLATE "C" NOT NULL,
    cell        text,
    address     text,                                   -- as handed out, as the unit says
    seen_address text,                                  -- as the broker saw it
    update_interval_s double precision,
    keep_alive_s double precision,
    sleep_s     double precision,
    lost        boolean NOT NULL DEFAULT false,         -- the epoch's will was heard
    ended       boolean NOT NULL DEFAULT false,         -- the vehicle said goodbye
    cursor      bigint NOT NULL DEFAULT 0,              -- of its newest presence_event
    updated_at  timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

CREATE INDEX registration_deadline ON fleet.registration (region, deadline) WHERE deadline IS NOT NULL;

CREATE SEQUENCE fleet.presence_cursor AS bigint;

CREATE TABLE fleet.presence_event (
    cursor      bigint PRIMARY KEY,                     -- fleet.append_presence_events gives it
    vehicle_id  integer NOT NULL REFERENCES fleet.vehicle,
    at          timestamptz NOT NULL,                   -- when it became so
    learned_at  timestamptz NOT NULL,                   -- when it was known here
    state       text NOT NULL,
    reason      text NOT NULL,
    evidence    jsonb NOT NULL DEFAULT '{}',
    deadline    timestamptz,
    epoch       bigint NOT NULL,
    n           bigint,
    region      text COLLATE "C" NOT NULL,
    cell        text,
    address     text,
    seen_address text,
    previous_state text,
    previous_region text COLLATE "C"
);

CREATE INDEX presence_event_vehicle ON fleet.presence_event (vehicle_id, learned_at DESC, cursor DESC);

CREATE INDEX presence_event_region ON fleet.presence_event (region, cursor);

CREATE INDEX presence_event_left ON fleet.presence_event (previous_region, cursor)
    WHERE previous_region IS DISTINCT FROM region;

CREATE TABLE fleet.gateway (
    region      text COLLATE "C" PRIMARY KEY,
    heartbeat_at timestamptz NOT NULL,
    storing     boolean NOT NULL,
    lag_s       double precision,
    address_pool text,
    started_at  timestamptz NOT NULL
);

CREATE TABLE fleet.feed (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    generation  uuid NOT NULL DEFAULT gen_random_uuid()
);

INSERT INTO fleet.feed DEFAULT VALUES;

CREATE TABLE fleet.command (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    vehicle_id  integer NOT NULL REFERENCES fleet.vehicle,
    name        text NOT NULL,
    args        jsonb NOT NULL DEFAULT '{}',
    require     jsonb NOT NULL DEFAULT '{}',
    state       text NOT NULL DEFAULT 'queued',
    not_after   timestamptz NOT NULL,
    result      jsonb,
    error       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX command_vehicle ON fleet.command (vehicle_id, created_at DESC);

CREATE TABLE fleet.api_key (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text COLLATE "C" NOT NULL UNIQUE,
    role        text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    hash        bytea NOT NULL UNIQUE,                  -- keyed SHA-256: the key itself is random
    created_at  timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz
);

CREATE TABLE fleet.app_user (
    name        text COLLATE "C" PRIMARY KEY,
    role        text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    password_hash text,                                 -- argon2id; null: signs in by link only
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

-- migrate: rollback

DROP SCHEMA fleet CASCADE;
