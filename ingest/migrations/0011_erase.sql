-- Erasing a vehicle: what was asked for, by whom, how far it is; and that nothing comes in after it.
-- depends: 0007_events 0008_time

-- migrate: apply

ALTER TABLE fleet.vehicle ADD COLUMN retention_days integer CHECK (retention_days BETWEEN 1 AND 36500); -- null: the fleet's

CREATE TABLE fleet.erasure (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vehicle_id  integer NOT NULL REFERENCES fleet.vehicle,
    asked_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    asked_by    text NOT NULL,                          -- a user or an API key
    finished_at timestamptz,                            -- null: rows of the vehicle may be left
    regions     text[] COLLATE "C" NOT NULL,            -- whose broker may still hold a retained state of it
    removed     jsonb NOT NULL DEFAULT '{}'             -- rows by table
);

-- One at a time for a vehicle.
CREATE UNIQUE INDEX erasure_open ON fleet.erasure (vehicle_id) WHERE finished_at IS NULL;

CREATE INDEX erasure_uncleared ON fleet.erasure (id) WHERE regions <> '{}';

-- Takes out at once what was stored for an erased vehicle by somebody who did not know. The lock waits for an erasure
-- that is being written, and makes the next one wait for this transaction. Only rows that are new come here.
CREATE FUNCTION fleet.keep_erased_out() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM fleet.vehicle WHERE id = NEW.vehicle_id AND erased_at IS NULL FOR KEY SHARE;
    IF NOT FOUND THEN
        EXECUTE format('DELETE FROM fleet.%I WHERE vehicle_id = $1', TG_TABLE_NAME) USING NEW.vehicle_id;
    END IF;
    RETURN NULL;
END
$$;

-- Readings and events come in under a row of the ledger, presence under one of the register.
CREATE TRIGGER ledger_erased AFTER INSERT ON fleet.ledger
    FOR EACH ROW EXECUTE FUNCTION fleet.keep_erased_out();

CREATE TRIGGER registration_erased AFTER INSERT ON fleet.registration
    FOR EACH ROW EXECUTE FUNCTION fleet.keep_erased_out();

CREATE FUNCTION fleet.keep_erased_letters_out() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    erased timestamptz;
BEGIN
    SELECT v.erased_at INTO erased FROM fleet.vehicle AS v WHERE v.name = split_part(NEW.topic, '/', 4) FOR KEY SHARE;
    IF erased IS NOT NULL THEN
        DELETE FROM fleet.dead_letter WHERE id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER dead_letter_erased AFTER INSERT ON fleet.dead_letter
    FOR EACH ROW EXECUTE FUNCTION fleet.keep_erased_letters_out();

-- migrate: rollback

DROP TRIGGER ledger_erased ON fleet.ledger;

DROP TRIGGER registration_erased ON fleet.registration;

DROP TRIGGER dead_letter_erased ON fleet.dead_letter;

DROP FUNCTION fleet.keep_erased_out(), fleet.keep_erased_letters_out();

DROP TABLE fleet.erasure;

ALTER TABLE fleet.vehicle DROP COLUMN retention_days;
