-- The ledger: corrected clocks, how late readings are, numbers that were used twice. And requests to derive at once.
-- depends: 0005_derived

-- migrate: apply

ALTER TABLE fleet.ledger
    ADD COLUMN corrected int8multirange NOT NULL DEFAULT '{}',  -- stored, dated in spite of a wrong clock
    ADD COLUMN lateness bigint[] NOT NULL DEFAULT '{0,0,0,0,0,0,0,0,0}', -- by fleetcell.contract.ledger.LATENESS_S
    ADD COLUMN origin timestamptz,                              -- when the unit's uptime was 0
    ADD COLUMN conflicts bigint NOT NULL DEFAULT 0,             -- other readings under a number that was taken
    ADD COLUMN conflict_at timestamptz,                         -- arrival of the last of them
    ADD COLUMN measured_from timestamptz,                       -- of all readings with a time that is believed
    ADD COLUMN measured_until timestamptz;

-- Somebody waits for what is derived of a vehicle, the worker does these first.
CREATE TABLE fleet.derive_request (
    vehicle_id  integer PRIMARY KEY,
    asked       bigint NOT NULL DEFAULT 1,                      -- counts the requests
    done        bigint NOT NULL DEFAULT 0                       -- the last of them that was done
) WITH (fillfactor = 50);

CREATE INDEX derive_request_open ON fleet.derive_request (vehicle_id) WHERE done < asked;

-- migrate: rollback

DROP TABLE fleet.derive_request;

ALTER TABLE fleet.ledger
    DROP COLUMN corrected, DROP COLUMN lateness, DROP COLUMN origin, DROP COLUMN conflicts, DROP COLUMN conflict_at,
    DROP COLUMN measured_from, DROP COLUMN measured_until;
