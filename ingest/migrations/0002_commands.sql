-- Commands: their states, how they were sent, and every step with its time.
-- depends: 0001_fleet

-- migrate: apply

ALTER TABLE fleet.command
    ADD COLUMN created_by text NOT NULL DEFAULT '',        -- who asked for it: a user or an API key
    ADD COLUMN idempotency_key text,                       -- the same request twice is one command
    ADD COLUMN outcome text,                               -- what the unit said; it may come after `expired`
    ADD COLUMN code text,                                  -- why the unit refused, as fleetcell.contract.commands.Refusal
    ADD COLUMN epoch bigint,                               -- the session that it was last sent to
    ADD COLUMN sent integer NOT NULL DEFAULT 0,            -- how often it was published
    ADD COLUMN pages integer NOT NULL DEFAULT 0,           -- how often the vehicle was paged for it
    ADD COLUMN next_at timestamptz DEFAULT now(),          -- when to look at it again; null: when the vehicle speaks up
    ADD COLUMN give_up_at timestamptz,                     -- when it expires: not_after; later once the unit has accepted it
    ADD CONSTRAINT command_state_check CHECK (state IN
        ('queued', 'paged', 'sent', 'delivered', 'succeeded', 'failed', 'expired', 'cancelled')),
    ADD CONSTRAINT command_outcome_check CHECK (outcome IN ('accepted', 'succeeded', 'failed', 'expired')),
    ADD CONSTRAINT command_idempotency_key UNIQUE (created_by, idempotency_key);

UPDATE fleet.command SET give_up_at = not_after;

ALTER TABLE fleet.command ALTER COLUMN give_up_at SET NOT NULL;

CREATE INDEX command_created ON fleet.command (created_at DESC, id DESC);

-- Only what is under way: small, however many commands there were.
CREATE INDEX command_active ON fleet.command (vehicle_id)
    WHERE state IN ('queued', 'paged', 'sent', 'delivered');

CREATE INDEX command_next ON fleet.command (next_at, created_at, id)
    WHERE state IN ('queued', 'paged', 'sent', 'delivered') AND next_at IS NOT NULL;

CREATE INDEX command_give_up ON fleet.command (give_up_at)
    WHERE state IN ('queued', 'paged', 'sent', 'delivered');

CREATE TABLE fleet.command_step (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    command_id  uuid NOT NULL REFERENCES fleet.command ON DELETE CASCADE,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    event       text NOT NULL,                             -- queued, or a fleetcell.contract.commands.CommandEvent
    state       text NOT NULL,                             -- of the command after it
    detail      jsonb NOT NULL DEFAULT '{}'                -- who, session, error, ...
);

CREATE INDEX command_step_command ON fleet.command_step (command_id, id);

-- migrate: rollback

DROP TABLE fleet.command_step;

DROP INDEX fleet.command_created, fleet.command_active, fleet.command_next, fleet.command_give_up;

ALTER TABLE fleet.command
    DROP CONSTRAINT command_state_check, DROP CONSTRAINT command_outcome_check, DROP CONSTRAINT command_idempotency_key,
    DROP COLUMN created_by, DROP COLUMN idempotency_key, DROP COLUMN outcome, DROP COLUMN code, DROP COLUMN epoch,
    DROP COLUMN sent, DROP COLUMN pages, DROP COLUMN next_at, DROP COLUMN give_up_at;
