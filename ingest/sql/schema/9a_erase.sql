-- Erasing a vehicle: api.erase ends it at once, fleet.erase_some removes what is many rows, a part at a time.

-- Where rows of a vehicle are, and which ones: $1 is its number, $2 its name. A test compares this with the tables.
CREATE OR REPLACE FUNCTION fleet.parts_of_vehicle() RETURNS TABLE (part text, condition text)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    VALUES
        ('telemetry', 'vehicle_id = $1'),
        ('event', 'vehicle_id = $1'),
        ('presence_event', 'vehicle_id = $1'),
        ('command_step', 'command_id IN (SELECT id FROM fleet.command WHERE vehicle_id = $1)'),
        ('command', 'vehicle_id = $1'),
        ('dead_letter', 'split_part(topic, ''/'', 4) = $2'),
        ('rollup', 'vehicle_id = $1'),
        ('journey', 'vehicle_id = $1'),
        ('geofence_crossing', 'vehicle_id = $1'),
        ('geofence_bucket', 'vehicle_id = $1'),
        ('geofence_vehicle', 'vehicle_id = $1'),
        ('alert', 'vehicle_id = $1'),
        ('dirty_bucket', 'vehicle_id = $1'),
        ('derive_request', 'vehicle_id = $1'),
        ('ledger', 'vehicle_id = $1'),
        ('vehicle_latest', 'vehicle_id = $1'),
        ('registration', 'vehicle_id = $1')
$$;

-- Removes rows of one part and counts them in the erasure; at most max_rows, null: all.
CREATE OR REPLACE FUNCTION fleet.erase_part(
    erasure fleet.erasure, name text, part text, condition text, max_rows integer DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone bigint;
BEGIN
    IF max_rows IS NULL THEN
        EXECUTE format('DELETE FROM fleet.%I WHERE %s', part, condition) USING erasure.vehicle_id, name;
    ELSE
        EXECUTE format('DELETE FROM fleet.%I WHERE ctid = ANY (ARRAY(SELECT ctid FROM fleet.%I WHERE %s LIMIT $3))',
            part, part, condition) USING erasure.vehicle_id, name, max_rows;
    END IF;
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM fleet.count_erased(erasure.id, part, gone);
    RETURN gone;
END
$$;

CREATE OR REPLACE FUNCTION fleet.count_erased(erasure_id bigint, part text, gone bigint) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    UPDATE fleet.erasure AS e
    SET removed = e.removed || jsonb_build_object(part, coalesce((e.removed ->> part)::bigint, 0) + gone)
    WHERE e.id = erasure_id AND gone > 0
$$;

-- Removes at most about max_rows rows of an erasure, in one transaction with their count, and returns how many; 0: it is
-- finished. May be called again at any time, by anybody, also after a crash.
CREATE OR REPLACE FUNCTION fleet.erase_some(erasure_id bigint, max_rows integer DEFAULT 20000) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    it fleet.erasure;
    name_ text;
    here record;
    gone bigint;
    upto timestamptz;
BEGIN
    SELECT * INTO it FROM fleet.erasure AS e WHERE e.id = erasure_id AND e.finished_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    SELECT v.name INTO name_ FROM fleet.vehicle AS v WHERE v.id = it.vehicle_id;
    -- Readings by time: in a chunk that was turned into columns no row has an address of its own.
    SELECT t.time INTO upto FROM fleet.telemetry AS t WHERE t.vehicle_id = it.vehicle_id
    ORDER BY t.time OFFSET max_rows LIMIT 1;
    IF FOUND THEN
        DELETE FROM fleet.telemetry AS t WHERE t.vehicle_id = it.vehicle_id AND t.time <= upto;
        GET DIAGNOSTICS gone = ROW_COUNT;
        PERFORM fleet.count_erased(it.id, 'telemetry', gone);
        RETURN gone;
    END IF;
    FOR here IN SELECT * FROM fleet.parts_of_vehicle() LOOP
        gone := fleet.erase_part(it, name_, here.part, here.condition,
            CASE WHEN here.part <> 'telemetry' THEN max_rows END);
        IF gone > 0 THEN
            RETURN gone;
        END IF;
    END LOOP;
    -- Whoever derives from rows that were there has ended then (ingest/sql/derive_begins.sql); what was written goes too.
    PERFORM pg_advisory_xact_lock(hashtext('fleetcell'), hashtext('erase'));
    FOR here IN SELECT * FROM fleet.parts_of_vehicle() LOOP
        PERFORM fleet.erase_part(it, name_, here.part, here.condition);
    END LOOP;
    UPDATE fleet.erasure AS e SET finished_at = clock_timestamp() WHERE e.id = it.id;
    RETURN 0;
END
$$;

-- Erases a vehicle. In this one transaction its credential ends, its name becomes a tombstone, and what others would
-- store under goes: register, ledger, dirty marks. What is many rows follows, by ingest. Repeated: the erasure there is.
-- No row: there is no such vehicle. The order of the locks is that of the writers: ledger, register, vehicle.
CREATE FUNCTION api.erase(name text, asked_by text) RETURNS SETOF bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner integer := (SELECT v.id FROM fleet.vehicle AS v WHERE v.name = erase.name);
    erased timestamptz;
    it fleet.erasure;
    here record;
BEGIN
    IF owner IS NULL THEN
        RETURN;
    END IF;
    PERFORM FROM fleet.ledger AS k WHERE k.vehicle_id = owner ORDER BY k.boot FOR UPDATE;
    PERFORM FROM fleet.registration AS r WHERE r.vehicle_id = owner FOR UPDATE;
    SELECT v.erased_at INTO erased FROM fleet.vehicle AS v WHERE v.id = owner FOR UPDATE;
    IF erased IS NOT NULL THEN
        RETURN QUERY SELECT e.id FROM fleet.erasure AS e WHERE e.vehicle_id = owner ORDER BY e.id DESC LIMIT 1;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    -- Nothing of the vehicle is kept but its name, and that it was erased.
    UPDATE fleet.vehicle AS v SET mac = NULL, retention_days = NULL, erased_at = clock_timestamp(),
        created_at = clock_timestamp(), revoked_at = clock_timestamp()
    WHERE v.id = owner;
    INSERT INTO fleet.erasure (vehicle_id, asked_by, regions)
    SELECT owner, erase.asked_by, coalesce(array_agg(served.region ORDER BY served.region), '{}')
    FROM (
        SELECT r.region FROM fleet.registration AS r WHERE r.vehicle_id = owner
        UNION SELECT p.region FROM fleet.presence_event AS p WHERE p.vehicle_id = owner
        UNION SELECT p.previous_region FROM fleet.presence_event AS p
            WHERE p.vehicle_id = owner AND p.previous_region IS NOT NULL
    ) AS served
    RETURNING * INTO it;
    FOR here IN SELECT * FROM fleet.parts_of_vehicle() AS p
        WHERE p.part IN ('ledger', 'registration', 'vehicle_latest', 'dirty_bucket', 'derive_request') LOOP
        PERFORM fleet.erase_part(it, erase.name, here.part, here.condition);
    END LOOP;
    UPDATE fleet.feed SET generation = gen_random_uuid(); -- pages take a new snapshot, without the vehicle
    PERFORM pg_notify('fleetcell_credentials', ''), pg_notify('fleetcell_erase', ''), pg_notify('fleetcell_presence', '');
    RETURN NEXT it.id;
END
$$;

-- How many rows of each table an erasure would remove now. No row: there is no such vehicle.
CREATE FUNCTION api.erase_count(name text) RETURNS TABLE (part text, count bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner integer := (SELECT v.id FROM fleet.vehicle AS v WHERE v.name = erase_count.name);
    here record;
BEGIN
    IF owner IS NULL THEN
        RETURN;
    END IF;
    FOR here IN SELECT * FROM fleet.parts_of_vehicle() LOOP
        part := here.part;
        EXECUTE format('SELECT count(*) FROM fleet.%I WHERE %s', here.part, here.condition)
            INTO count USING owner, erase_count.name;
        RETURN NEXT;
    END LOOP;
END
$$;

CREATE VIEW api.erasures AS
SELECT e.id, v.name AS vehicle, e.asked_at, e.asked_by, e.finished_at, e.regions, e.removed
FROM fleet.erasure AS e
JOIN fleet.vehicle AS v ON v.id = e.vehicle_id;

-- How long what a vehicle measured is kept; null: as the fleet's. false: there is no such vehicle.
CREATE FUNCTION api.set_retention(name text, days integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE fleet.vehicle AS v SET retention_days = set_retention.days
    WHERE v.name = set_retention.name AND v.erased_at IS NULL;
    RETURN FOUND;
END
$$;
