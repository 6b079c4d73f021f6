-- When nobody spoke for a region: what was believed then cannot be told from the presence events alone.
-- depends: 0003_presence

-- migrate: apply

CREATE TABLE fleet.gateway_silence (
    region      text COLLATE "C" NOT NULL,
    since       timestamptz NOT NULL,                   -- the last heartbeat
    until       timestamptz NOT NULL,                   -- the next one
    PRIMARY KEY (region, since)
);

-- migrate: rollback

DROP TABLE fleet.gateway_silence;
