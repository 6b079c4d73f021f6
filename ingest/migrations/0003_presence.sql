-- The presence register: the count of a link's losses, and the history by the time when it became so.
-- depends: 0002_commands

-- migrate: apply

ALTER TABLE fleet.registration
    ADD COLUMN flaps integer NOT NULL DEFAULT 0,        -- losses that followed one another within the hysteresis time
    ADD COLUMN flaps_since timestamptz,                 -- the first of them
    ADD COLUMN flapped_at timestamptz;                  -- the last of them

-- What was so at a time, and the uptime from then on; presence_event_vehicle is the same for what was known.
CREATE INDEX presence_event_became ON fleet.presence_event (vehicle_id, at DESC, cursor DESC);

-- The few whose credential was ended and that the register still has to be told of.
CREATE INDEX vehicle_revoked ON fleet.vehicle (id) WHERE revoked_at IS NOT NULL AND erased_at IS NULL;

-- migrate: rollback

DROP INDEX fleet.vehicle_revoked;

DROP INDEX fleet.presence_event_became;

ALTER TABLE fleet.registration
    DROP COLUMN flaps,
    DROP COLUMN flaps_since,
    DROP COLUMN flapped_at;
